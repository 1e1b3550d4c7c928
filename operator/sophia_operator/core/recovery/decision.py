"""What a look at a namespace decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sophia_operator.api.recovery_action import RecoveryActionSpec
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.decision import Done, Next, Notice


@dataclass(frozen=True, slots=True)
class NewAction:
    """A RecoveryAction to be created, by the loop of that policy, once the policy's status is persisted."""

    policy: str
    #: Made of the incident and the number of the act in it: the same decision, made again, has the same name.
    name: str
    spec: RecoveryActionSpec


@dataclass(frozen=True, slots=True)
class Decisions:
    """For every policy of the namespace, by its name."""

    statuses: Mapping[str, RecoveryPolicyStatus] = field(default_factory=dict)
    create: tuple[NewAction, ...] = ()
    notices: Mapping[str, tuple[Notice, ...]] = field(default_factory=dict)
    #: When something changes by time alone.
    next: Next = field(default_factory=Done)
