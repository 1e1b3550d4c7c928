"""Deployments, pods and endpoints as a pass sees them."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.core.names import LABEL_RELEASE
from sophia_operator.core.views import EndpointsView, PodProblem
from sophia_operator.runtime.observe_workloads import deployment_view, endpoints_view


def pod(name: str = "app-1-x", ready: bool = True, **parts: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *parts.pop("conditions", [])]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": parts.pop("containers", [])}
    return {"metadata": {"name": name, **parts.pop("metadata", {})}, "status": status | parts}


def deployment(**status: Any) -> dict[str, Any]:
    numbers = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}
    return {"metadata": {"name": "app-1", "generation": 2}, "spec": {"replicas": 2}, "status": numbers | status}


def waiting(reason: str, message: str = "", **rest: Any) -> dict[str, Any]:
    return {"name": "app", "waiting": {"reason": reason, "message": message}, **rest}


def test_pods_that_live_and_those_that_are_ready_are_counted() -> None:
    pods = [
        pod("a"),
        pod("b", ready=False),
        pod("c", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        pod("d", phase="Failed"),
    ]
    view = deployment_view(deployment(), pods)
    assert (view.release, view.spec_replicas, view.pods, view.ready_pods, view.current) == ("app-1", 2, 2, 1, True)


def test_pods_of_an_older_template_may_be_the_ready_ones() -> None:
    view = deployment_view(deployment(replicas=3, updatedReplicas=1), [pod("a"), pod("b"), pod("c", ready=False)])
    assert (view.pods, view.ready_pods) == (1, 0)


def test_a_deployment_whose_controller_lags_is_not_current() -> None:
    assert not deployment_view(deployment(observedGeneration=1), []).current
    assert not deployment_view(deployment() | {"status": {}}, []).current


@pytest.mark.parametrize(
    ("pods", "reason", "words"),
    [
        (
            [pod(containers=[waiting("ImagePullBackOff", "not found")])],
            Reason.IMAGE_PULL_FAILED,
            "ImagePullBackOff: not found",
        ),
        (
            [pod(containers=[waiting("ErrImagePull")])],
            Reason.IMAGE_PULL_FAILED,
            "pod app-1-x, container app: ErrImagePull",
        ),
        (
            [pod(containers=[waiting("CrashLoopBackOff", restartCount=4, ended={"exitCode": 3, "reason": "Error"})])],
            Reason.CRASH_LOOP,
            "ended 4 times, last with code 3 (Error)",
        ),
        ([pod(containers=[waiting("CreateContainerConfigError", "no key")])], Reason.NOT_READY, "no key"),
        (
            [
                pod(
                    conditions=[
                        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
                    ]
                )
            ],
            Reason.NOT_READY,
            "cannot be scheduled: 0/1 nodes",
        ),
        # The worst is told.
        (
            [pod("a", containers=[waiting("CrashLoopBackOff")]), pod("b", containers=[waiting("ErrImagePull")])],
            Reason.IMAGE_PULL_FAILED,
            "pod b",
        ),
    ],
)
def test_problems_of_pods(pods: list[dict[str, Any]], reason: Reason, words: str) -> None:
    problem = deployment_view(deployment(), pods).problem
    assert problem is not None
    assert problem.reason is reason
    assert words in problem.message


def test_pods_that_only_start_are_no_problem() -> None:
    starting = pod(ready=False, containers=[waiting("ContainerCreating")])
    assert deployment_view(deployment(), [starting]).problem is None


def evicted(name: str = "app-1-x", **metadata: Any) -> dict[str, Any]:
    words = {"reason": "Evicted", "message": "The node was low on resource: memory."}
    return pod(name, ready=False, phase="Failed", metadata=metadata, **words)


def test_an_evicted_pod_is_told_while_pods_are_missing() -> None:
    pods = [evicted(), pod("a"), pod("b", ready=False, containers=[waiting("ContainerCreating")])]
    problem = deployment_view(deployment(), pods).problem
    assert problem == PodProblem(Reason.NOT_READY, "pod app-1-x was evicted: The node was low on resource: memory.")
    assert deployment_view(deployment(), [evicted(), pod("a"), pod("b")]).problem is None


def test_of_pods_that_ended_the_newest_is_told_after_those_that_live() -> None:
    ended = [
        evicted("old", creationTimestamp="2026-01-01T00:00:00Z"),
        evicted("new", creationTimestamp="2026-01-02T00:00:00Z"),
        evicted("gone", creationTimestamp="2026-01-03T00:00:00Z", deletionTimestamp="2026-01-03T01:00:00Z"),
    ]
    problem = deployment_view(deployment(), ended).problem
    assert problem is not None
    assert problem.message.startswith("pod new was evicted")
    living = pod("b", ready=False, containers=[waiting("CreateContainerConfigError", "no key")])
    problem = deployment_view(deployment(), [*ended, living]).problem
    assert problem is not None
    assert problem.message.startswith("pod b, container app")


def test_other_ends_of_pods_are_told_by_their_reason() -> None:
    problem = deployment_view(deployment(), [pod(ready=False, phase="Failed", reason="NodeLost")]).problem
    assert problem == PodProblem(Reason.NOT_READY, "pod app-1-x has failed (NodeLost)")
    assert deployment_view(deployment(), [pod(ready=False, phase="Failed")]).problem is None


def test_a_quota_is_the_worst_problem() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota: q'}
    crashing = pod(containers=[waiting("CrashLoopBackOff")])
    problem = deployment_view(deployment(conditions=[failure]), [crashing]).problem
    assert problem is not None
    assert problem.reason is Reason.QUOTA_EXCEEDED


def endpoint(name: str, **conditions: Any) -> dict[str, Any]:
    return {"targetRef": {"name": name}, "conditions": conditions}


def service(release: str | None = "app-1") -> dict[str, Any]:
    return {"spec": {"selector": {LABEL_RELEASE: release} if release else {}}}


def test_ready_endpoints_of_the_selected_release_are_counted_once() -> None:
    slices = [
        {
            "endpoints": [
                endpoint("app-1-a", ready=True),
                endpoint("app-1-b"),  # absent means ready
                endpoint("app-1-c", ready=False),
                endpoint("app-1-d", ready=True, terminating=True),
                endpoint("app-10-a", ready=True),
                endpoint("app-2-a", ready=True),
            ]
        },
        {"endpoints": [endpoint("app-1-a", ready=True)]},  # another address family
    ]
    assert endpoints_view(service(), slices) == EndpointsView("app-1", 2)


def test_a_service_that_selects_no_release_has_no_endpoints() -> None:
    assert endpoints_view(service(None), [{"endpoints": [endpoint("app-1-a")]}]) == EndpointsView(None, 0)
