"""Deployments, pods and endpoints as a pass sees them. Pure functions over objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.core.names import LABEL_RELEASE
from sophia_operator.core.views import DeploymentView, EndpointsView, PodProblem

_IMAGE_REASONS: Final = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_START_REASONS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
#: The worst first: what a person has to mend before anything else matters.
_RANK: Final = (Reason.QUOTA_EXCEEDED, Reason.IMAGE_PULL_FAILED, Reason.CRASH_LOOP, Reason.NOT_READY)


def deployment_view(deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> DeploymentView:
    """A release's Deployment; `pods` are those with the release's label."""
    spec, status, meta = deployment.get("spec", {}), deployment.get("status", {}), deployment["metadata"]
    current = int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 0))
    living = [p for p in pods if not is_ending(p)]
    ready = sum(1 for p in living if is_ready(p))
    # While pods of an older template are around, the counts of the Deployment bound those of the current one.
    total, updated = int(status.get("replicas", 0)), int(status.get("updatedReplicas", 0))
    old = max(0, total - updated)
    wanted, of_current = int(spec.get("replicas", 1)), max(0, ready - old)
    # Pods that ended stay around long after others took their place: only while some are missing do they matter.
    ended = [p for p in pods if has_failed(p)] if of_current < wanted else []
    return DeploymentView(
        release=meta["name"],
        spec_replicas=wanted,
        pods=max(0, len(living) - old),
        ready_pods=of_current,
        current=current,
        problem=worst_problem(deployment, living, ended),
    )


def is_ending(pod: Mapping[str, Any]) -> bool:
    """Whether the pod is being deleted, or has ended for good."""
    return bool(pod["metadata"].get("deletionTimestamp")) or pod["status"].get("phase") in ("Succeeded", "Failed")


def has_failed(pod: Mapping[str, Any]) -> bool:
    """Whether the pod ended for good, not because somebody deleted it."""
    return pod["status"].get("phase") == "Failed" and not pod["metadata"].get("deletionTimestamp")


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod says that it is ready."""
    return any(c["type"] == "Ready" and c.get("status") == "True" for c in pod["status"].get("conditions", ()))


def worst_problem(
    deployment: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], ended: Iterable[Mapping[str, Any]] = ()
) -> PodProblem | None:
    """Why pods do not become ready; None when nothing is known to be wrong. `ended` are those that failed for good."""
    problems = [p for pod in pods if (p := _pod_problem(pod)) is not None]
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = condition.get("message", "")
            quota = "exceeded quota" in message or "must specify" in message
            problems.append(PodProblem(Reason.QUOTA_EXCEEDED if quota else Reason.NOT_READY, message))
    # Last, so that what is wrong with a living pod is told before it; of those that ended, the newest.
    newest_first = sorted(ended, key=lambda p: p["metadata"].get("creationTimestamp", ""), reverse=True)
    problems += [p for pod in newest_first if (p := _end_of(pod)) is not None]
    return min(problems, key=lambda p: _RANK.index(p.reason), default=None)


def _pod_problem(pod: Mapping[str, Any]) -> PodProblem | None:
    name = pod["metadata"]["name"]
    for container in pod["status"].get("containerStatuses", ()):
        waiting = container.get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        where = f"pod {name}, container {container['name']}"
        if reason in _IMAGE_REASONS:
            return PodProblem(Reason.IMAGE_PULL_FAILED, f"{where}: {reason}: {message}".rstrip(": "))
        if ends_again_and_again(container):
            return PodProblem(Reason.CRASH_LOOP, f"{where}: {how_it_ended(container)}")
        if reason in _START_REASONS:
            return PodProblem(Reason.NOT_READY, f"{where}: {reason}: {message}".rstrip(": "))
    for condition in pod["status"].get("conditions", ()):
        if (
            condition["type"] == "PodScheduled"
            and condition.get("status") == "False"
            and condition.get("reason") == "Unschedulable"
        ):
            return PodProblem(Reason.NOT_READY, f"pod {name} cannot be scheduled: {condition.get('message', '')}")
    return None


def ends_again_and_again(container: Mapping[str, Any]) -> bool:
    """Whether the kubelet holds the container back, since it ended again and again."""
    return (container.get("waiting") or {}).get("reason") == "CrashLoopBackOff"


def how_it_ended(container: Mapping[str, Any]) -> str:
    """How often the container ended, and how the last time, in words."""
    return f"ended {_restarts(container)}{_exit(container)}"


def _end_of(pod: Mapping[str, Any]) -> PodProblem | None:
    """Why a pod was ended from outside; None when its own containers ended it, which gives no reason."""
    name, reason = pod["metadata"]["name"], pod["status"].get("reason", "")
    if not reason:
        return None
    end = "was evicted" if reason == "Evicted" else f"has failed ({reason})"
    return PodProblem(Reason.NOT_READY, f"pod {name} {end}: {pod['status'].get('message', '')}".rstrip(": "))


def _restarts(container: Mapping[str, Any]) -> str:
    count = int(container.get("restartCount", 0))
    return "once" if count <= 1 else f"{count} times"


def _exit(container: Mapping[str, Any]) -> str:
    ended = container.get("ended", {})
    if not ended:
        return ""
    return f", last with code {ended.get('exitCode', '?')} ({ended.get('reason', 'unknown')})"


def endpoints_view(service: Mapping[str, Any], slices: Iterable[Mapping[str, Any]]) -> EndpointsView:
    """Endpoints of a colour's Service; `slices` are its EndpointSlices.

    An endpoint counts once, however many address families list it.
    """
    release = (service.get("spec", {}).get("selector") or {}).get(LABEL_RELEASE)
    if release is None:
        return EndpointsView(release=None, ready=0)
    ready: set[str] = set()
    for piece in slices:
        for endpoint in piece.get("endpoints", ()):
            pod, conditions = endpoint.get("targetRef", {}).get("name", ""), endpoint.get("conditions", {})
            # The API: an absent `ready` means ready.
            if (
                pod.startswith(f"{release}-")
                and conditions.get("ready", True) is not False
                and not conditions.get("terminating")
            ):
                ready.add(pod)
    return EndpointsView(release=release, ready=len(ready))
