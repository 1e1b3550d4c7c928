"""RecoveryActions and policies as the API server has them."""

from __future__ import annotations

from typing import Any, Final

NAMESPACE: Final = "shop"
CREATED: Final = "2026-03-01T12:00:00Z"


def meta(name: str, version: int = 1, namespace: str = NAMESPACE, **more: Any) -> dict[str, Any]:
    """Metadata of an object."""
    made = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1, "creationTimestamp": CREATED}
    return made | {"resourceVersion": str(version)} | more


def action(
    name: str = "act",
    phase: str | None = None,
    *,
    target: tuple[str, str] = ("ConnectionPool", "orders"),
    does: str = "Reconnect",
    version: int = 1,
    namespace: str = NAMESPACE,
    metadata: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A RecoveryAction that a person asked for; `status` is added to its phase."""
    kind, named = target
    written = {**({"phase": phase} if phase is not None else {}), **(status or {})}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryAction",
        "metadata": meta(name, version, namespace, **(metadata or {})),
        "spec": {"target": {"kind": kind, "name": named}, "action": does, "requestedBy": "eve", **spec},
        **({"status": written} if written else {}),
    }


def policy(name: str = "pools", version: int = 1, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A RecoveryPolicy for all pools that lost their connections."""
    rules = [{"symptom": "ConnectionLost", "escalation": [{"action": "Reconnect"}]}]
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryPolicy",
        "metadata": meta(name, version),
        "spec": {"targets": [{"kind": "ConnectionPool"}], "rules": rules, **spec},
        **({"status": status} if status is not None else {}),
    }
