"""Actions and policies that receivers are told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.core.recovery.views import ActionView, PolicyView, TargetView
from sophia_operator.runtime.recovery import observe
from tests.support import recovery_objects

NOW: Final = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
TRIGGER: Final = {
    "policy": "pools",
    "symptom": "ConnectionLost",
    "since": "2026-03-01T12:04:00Z",
    "step": 1,
    "timeoutSeconds": 120,
    "severity": "Warning",
    "message": "ConnectionLost for 45 s: no instance reaches a primary",
}


def later(seconds: float) -> datetime:
    """So long after NOW."""
    return NOW + timedelta(seconds=seconds)


def hook(name: str = "pager", **more: Any) -> dict[str, Any]:
    """A receiver: a webhook."""
    fields = {key: more.pop(key) for key in ("minSeverity",) if key in more}
    return {"name": name, **fields, "webhook": {"url": f"https://{name}.example/hook", **more}}


def policy(*signals: dict[str, Any], name: str = "pools", **more: Any) -> PolicyView:
    """A policy with these receivers."""
    return observe.policy_view(policy_object(*signals, name=name, **more))


def policy_object(*signals: dict[str, Any], name: str = "pools", **more: Any) -> dict[str, Any]:
    """The same as an object."""
    return recovery_objects.policy(name, **more, signals=list(signals))


def action(phase: str = "Pending", *, by_person: bool = False, **more: Any) -> ActionView:
    """An action of the policy, or of a person."""
    return observe.action_view(action_object(phase, by_person=by_person, **more))


def action_object(phase: str = "Pending", *, by_person: bool = False, **more: Any) -> dict[str, Any]:
    """The same as an object."""
    made = recovery_objects.action("act", phase, **more)
    if not by_person:
        made["spec"]["trigger"] = TRIGGER
        del made["spec"]["requestedBy"]
    return made


def pool(**labels: str) -> TargetView:
    """The pool that actions are about."""
    return observe.target_view(pool_object(**labels))


def pool_object(**labels: str) -> dict[str, Any]:
    """The same as an object."""
    meta = recovery_objects.meta("orders", labels=labels)
    return {"apiVersion": "sophia.ai/v1alpha1", "kind": "ConnectionPool", "metadata": meta, "spec": {}, "status": {}}
