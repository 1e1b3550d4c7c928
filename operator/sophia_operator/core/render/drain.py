"""Draining: a pod goes on serving until every gateway and kube-proxy has heard that it left the endpoints."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

from sophia_operator.api.release import Snapshot

#: What Kubernetes takes when a template does not say.
_DEFAULT_GRACE_SECONDS: Final = 30
#: Least time for a process to end, after the drain, for the drain to count as safe.
_MIN_STOP_SECONDS: Final = 5


def add_drain(pod_spec: dict[str, Any], drain_seconds: int) -> None:
    """Let each container without a preStop hook of its own sleep while the pod leaves the endpoints.

    Changes `pod_spec` in place. The grace period is set only when the user did not set one.
    """
    if drain_seconds <= 0:
        return
    grace = pod_spec.get("terminationGracePeriodSeconds")
    if grace is None:
        grace = pod_spec["terminationGracePeriodSeconds"] = drain_seconds + _DEFAULT_GRACE_SECONDS
    seconds = _sleep_seconds(drain_seconds, grace) if _is_count(grace) else 0
    if seconds <= 0:
        return
    for container in _containers(pod_spec):
        if not _has_pre_stop(container):
            container["lifecycle"] = (container.get("lifecycle") or {}) | {"preStop": {"sleep": {"seconds": seconds}}}


def _sleep_seconds(drain_seconds: int, grace: int) -> int:
    """Length of the sleep: Kubernetes refuses one longer than the grace period, of which the process needs a part."""
    return min(drain_seconds, max(grace - _MIN_STOP_SECONDS, grace // 2))


def drain_warnings(snapshot: Snapshot) -> list[str]:
    """Why requests may be lost when pods of the release stop; empty when they drain safely.

    A preStop hook of the user's own is trusted to last long enough, if the grace period leaves it the time.
    """
    pod_spec = snapshot.template.get("spec")
    if not isinstance(pod_spec, dict):
        return []
    drain = snapshot.plan.drain_seconds
    if drain <= 0:
        bare = [str(c.get("name")) for c in _containers(pod_spec) if not _has_pre_stop(c)]
        if not bare:
            return []
        return [
            f"rollout.drainSeconds is 0 and containers without a preStop hook ({', '.join(bare)}) stop before their pod"
            " has left the endpoints: set rollout.drainSeconds, or give them a preStop hook"
        ]
    grace = pod_spec.get("terminationGracePeriodSeconds")
    if not _is_count(grace) or grace >= drain + _MIN_STOP_SECONDS:
        return []
    return [
        f"template.spec.terminationGracePeriodSeconds is {grace}, too short to drain for {drain} s and then stop:"
        f" raise it to at least {drain + _MIN_STOP_SECONDS}, or leave it out, or lower rollout.drainSeconds"
    ]


def _containers(pod_spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The main containers. Sidecars among the init containers end after these by themselves."""
    containers = pod_spec.get("containers")
    return [c for c in containers if isinstance(c, dict)] if isinstance(containers, list) else []


def _has_pre_stop(container: dict[str, Any]) -> bool:
    """Whether there is a hook, or something in its place that is the API server's to refuse."""
    lifecycle = container.get("lifecycle")
    if lifecycle is None:
        return False
    return not isinstance(lifecycle, dict) or lifecycle.get("preStop") is not None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
