"""When a rollout is over for somebody who waits for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import Intent
from sophia_operator.cli.ending import Ending, ending_of
from sophia_operator.cli.objects import parse_release, parse_service
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, MetricsRequest, Samples
from sophia_operator.core.situation import situate
from sophia_operator.core.views import Blocker, ReleaseView, ServiceView
from tests.support.objects import LATCHED, NOW, ROLLING, SETTLED, rolled_back, service, shifting, stable
from tests.support.sim import Sim, good_metrics, settled, sim


@pytest.mark.parametrize(
    ("objects", "over"),
    [
        ([service(status=SETTLED), stable()], True),
        ([service(status=LATCHED), stable(), rolled_back()], True),
        # The Release's status is written first, the service's after it: until then it is not over.
        ([service(status=ROLLING), stable(), rolled_back()], False),
        ([service(status=ROLLING), stable(), stable(3, promoted=1, color="green")], False),
        ([service(status=SETTLED, metadata={"generation": 2}), stable()], False),
        ([service()], False),
        # The release that failed made way for a new one.
        ([service(status=LATCHED), stable()], False),
        ([service(status=LATCHED), stable(), shifting()], False),
    ],
)
def test_what_counts_as_over(objects: list[dict[str, Any]], over: bool) -> None:
    first, *rest = objects
    assert (ending_of(situate(parse_service(first), [parse_release(r) for r in rest], NOW)) == Ending()) is over


def _object(kind: str, view: ServiceView | ReleaseView, status: object) -> dict[str, Any]:
    metadata = {"name": view.name, "generation": view.generation}
    return {"apiVersion": "sophia.ai/v1alpha1", "kind": kind, "metadata": metadata, "spec": view.spec, "status": status}


def seen(world: Sim, told: ManagedServiceStatus | None = None) -> Ending | None:
    """What somebody concludes who reads the API; with an older status of the service: between two writes."""
    service = world.service
    read = parse_service(_object("ManagedService", service, told or service.status))
    releases = [parse_release(_object("Release", r, r.status)) for r in world.releases.values()]
    return ending_of(situate(read, releases, world.now))


def wait(world: Sim) -> Ending:
    """Pass after pass until it is over, as the operator works; nothing else may look like the end before."""
    for _ in range(600):
        ending = seen(world)
        if ending is not None:
            return ending
        before = world.service.status
        world.step()
        assert seen(world, before) is None or seen(world) is not None, "between two writes it looked as if it was over"
        world.now += timedelta(seconds=1)
    raise AssertionError("it never ended")


def intend_soon(world: Sim, name: str, intent: Intent, reason: str = "test") -> None:
    """A person gives the order once the release is on its way."""
    while name not in world.releases or not world.releases[name].status.state.is_active:
        world.run(1)
    world.intend(name, intent, reason)


def test_waiting_for_a_rollout() -> None:
    world = sim()
    assert wait(world) == Ending()
    assert world.stable == "app-1"
    world.change(image="app:2")
    assert wait(world) == Ending()
    assert world.stable == "app-2"


def test_waiting_for_a_rollout_that_fails_and_is_tried_again() -> None:
    world = settled()
    world.change(image="app:2")
    world.metrics = bad_metrics
    assert wait(world) == Ending()
    assert world.state("app-2") == "RolledBack"
    world.metrics = good_metrics
    world.intend("app-2", Intent.RETRY)
    assert wait(world) == Ending()
    assert world.stable == "app-2"


def test_waiting_for_a_new_spec_after_one_that_failed() -> None:
    world = settled()
    world.change(image="app:2")
    intend_soon(world, "app-2", Intent.ABORT)
    assert wait(world) == Ending()
    world.change(image="app:3")
    assert wait(world) == Ending()
    assert world.stable == "app-3"


def bad_metrics(_: MetricsRequest) -> MetricsAnswer:
    return Samples({"total": 1000.0, "errors": 500.0})


def no_metrics(_: MetricsRequest) -> MetricsAnswer:
    return MetricsOutage("connection refused")


@pytest.mark.parametrize(
    ("rollout", "metrics", "why"),
    [
        ({"onFailure": "Pause"}, bad_metrics, "gate errors"),
        ({}, no_metrics, "gate errors"),
    ],
)
def test_a_rollout_that_a_limit_paused_waits_for_a_person(rollout: Any, metrics: Any, why: str) -> None:
    world = settled()
    world.change(image="app:2", rollout=rollout)
    world.metrics = metrics
    ending = wait(world)
    assert ending.is_certain
    assert why in (ending.waits_for or "")
    world.metrics = good_metrics
    world.intend("app-2", Intent.PROCEED)
    assert wait(world) == Ending()
    assert world.stable == "app-2"


def test_a_rollout_that_a_person_paused_waits_for_a_person() -> None:
    world = settled()
    world.change(image="app:2")
    intend_soon(world, "app-2", Intent.PAUSE, "lunch")
    assert "lunch" in (wait(world).waits_for or "")
    world.intend("app-2", Intent.PROCEED)
    assert wait(world) == Ending()
    world.change(image="app:3", paused=True)
    assert "spec.paused of app" in (wait(world).waits_for or "")
    world.change(image="app:3")
    assert wait(world) == Ending()
    assert world.stable == "app-3"


def test_what_is_stalled_is_no_certain_end() -> None:
    world = settled()
    world.blockers = (Blocker(Reason.GATEWAY_NOT_FOUND, "Gateway edge/gw does not exist"),)
    world.change(image="app:2")
    ending = wait(world)
    assert not ending.is_certain
    assert "Gateway edge/gw does not exist" in (ending.waits_for or "")
    world.blockers = ()
    world.step()
    assert wait(world) == Ending()
    assert world.stable == "app-2"
