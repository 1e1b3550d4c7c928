"""What a look at a RecoveryAction sees and decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from sophia_operator.api.recovery_action_status import ActStatus, RecoveryActionStatus
from sophia_operator.core.decision import Done, Next, Notice
from sophia_operator.core.recovery.views import CrashingPod, History, PolicyView, Sign, Symptoms, TargetView


@dataclass(frozen=True, slots=True)
class ActionObserved:
    """Everything else that a look at an action sees."""

    #: None when it does not exist, or is being deleted.
    target: TargetView | None
    #: What the target says of this action.
    act: ActStatus | None = None
    #: Whether the pod that it is about is there still, crashing or not, and not on its way out.
    pod_there: bool = False
    #: Of its symptom; None for an action without one.
    sign: Sign | None = None
    policies: tuple[PolicyView, ...] = ()
    symptoms: Symptoms = field(default_factory=lambda: Symptoms({}))
    history: History = field(default_factory=History)


@dataclass(frozen=True, slots=True)
class ActionDecision:
    """The status is persisted before anything is done."""

    status: RecoveryActionStatus
    notices: tuple[Notice, ...] = ()
    #: The pod to delete, by its uid.
    restart: CrashingPod | None = None
    next: Next = field(default_factory=Done)
