"""What a rollout sees of recovery in its namespace: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sophia_operator.api.recovery_values import Action, Symptom
from sophia_operator.core.recovery.views import TargetKey


@dataclass(frozen=True, slots=True)
class ActSeen:
    """A RecoveryAction that was claimed and is not over."""

    name: str
    action: Action
    target: TargetKey


@dataclass(frozen=True, slots=True)
class SymptomLeft:
    """A symptom that has lasted, and that recovery leaves to the release which it began with."""

    policy: str
    symptom: Symptom
    target: TargetKey
    since: datetime
    message: str = ""


@dataclass(frozen=True, slots=True)
class RecoverySeen:
    """What recovery does in the namespace of a service."""

    #: Name of the first policy that sees a storm, and what it says of it; None while there is none.
    storm: tuple[str, str] | None = None
    acts: tuple[ActSeen, ...] = ()
    left: tuple[SymptomLeft, ...] = ()
