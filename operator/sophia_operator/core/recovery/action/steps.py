"""A step of an action's way: where it goes, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.core.recovery.action.values import ActionObserved
from sophia_operator.core.recovery.views import ActionView, CrashingPod


@dataclass(frozen=True, slots=True)
class Look:
    """An action, what is seen of it, and the time."""

    action: ActionView
    seen: ActionObserved
    now: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """Where the action is after this look."""

    phase: ActionPhase
    reason: Reason
    message: str
    #: Fields of the status that change, beside phase and message.
    changes: Mapping[str, Any] = field(default_factory=dict)
    #: When it is to be looked at again at the latest.
    until: datetime | None = None
    restart: CrashingPod | None = None
