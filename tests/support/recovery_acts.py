"""One RecoveryAction, and what its target says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.core.recovery.action.values import ActionDecision
from sophia_operator.core.recovery.views import ActionView, CrashingPod, Sign, TargetView
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import advance, target
from tests.support.symptom_scene import at

POLICY: Final = scene.policy("pools", scene.rule("ConnectionLost", "Reconnect", "Notify", forSeconds=0), mode="Auto")
PODS: Final = scene.policy("pools", scene.rule("PodCrashLoop", "RestartPod", forSeconds=0), mode="Auto")
WORSE: Final = Sign(True, 5.6, "worse")
CRASHING: Final = CrashingPod("db-1", "uid-db-1", 7, "it ends")
BEFORE: Final[dict[str, Any]] = {"before": {"at": at(0), "present": True, "value": "5"}}


def done(phase: str = "Done", name: str = "act", **more: Any) -> TargetView:
    """A target that says this of the act."""
    return target(acts=[said(phase, name, **more)], well=more.get("well", True))


def said(phase: str = "Done", name: str = "act", ended: float | None = 20, **more: Any) -> ActStatus:
    """What a target says of an act."""
    running = phase == "Running"
    return ActStatus(
        name=name,
        uid=f"uid-{name}",
        action="Reconnect",
        phase=ActPhase(phase),
        subject="every instance",
        did=["RECONNECT"],
        message=more.get("message", ""),
        started_at=at(10),
        ended_at=None if running else at(ended or 20),
    )


def go(action: ActionView, now: float, **more: Any) -> ActionDecision:
    """What becomes of an action of the policy."""
    return advance(action, now, policies=[POLICY], **more)


def reason(decision: ActionDecision) -> str:
    """Why it is where it is."""
    (ready,) = [c for c in decision.status.conditions if c.type == "Ready"]
    return ready.reason


def persisted(action: ActionView, decision: ActionDecision) -> ActionView:
    """The action with what was decided."""
    return replace(action, status=decision.status)
