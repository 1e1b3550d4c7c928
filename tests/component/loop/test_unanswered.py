"""Questions that the API server does not answer: aborts, gates and rollbacks do not wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sophia_operator.api.release import Intent
from sophia_operator.core.findings import Samples
from sophia_operator.ports import Cluster, ClusterError, Object, Refusal
from sophia_operator.runtime.dry_run import DryRun, Objection
from tests.component.loop import test_namespaces
from tests.component.loop.test_obstacles import served, stalled
from tests.support.fake_cluster import Call, FakeCluster, Fault
from tests.support.fake_cluster_harness import START, Harness

OTHER_HOST = {"gateway": {"parentRefs": [{"name": "gw"}], "hostnames": ["new.example.com"]}}


def silent(verb: str, kind: str = "") -> Callable[[Call], Fault | None]:
    """Calls of that kind get no answer."""
    return lambda call: Fault.UNAVAILABLE if call.verb == verb and kind in ("", call.kind) else None


async def shifting() -> Harness:
    harness = await served()
    harness.change()
    await harness.run_until(lambda: harness.shares().get("app-2") == 25)
    return harness


def abort(harness: Harness) -> None:
    harness.intend("app-2", Intent.ABORT)


def fail(harness: Harness) -> None:
    harness.gate = lambda _: Samples({"total": 1000.0, "errors": 900.0})


BACK = pytest.mark.parametrize("go_back", [abort, fail])


@BACK
async def test_an_unknown_template_keeps_nothing_from_going_back(go_back: Callable[[Harness], None]) -> None:
    harness = await shifting()
    harness.cluster.hook = silent("dry-run")
    harness.change("app:3")
    go_back(harness)
    await harness.run_until(lambda: harness.shares() == {"app-1": 100}, limit=20)
    await harness.run(60)
    assert harness.state("app-2") == "RolledBack"
    assert harness.state("app-3") is None
    assert stalled(harness, "InvalidTemplate", "it did not answer when asked (Unavailable: injected")
    harness.cluster.hook = lambda _: None
    harness.gate = None
    await harness.run_until(lambda: harness.state("app-3") == "Promoted")


@BACK
async def test_an_unknown_route_keeps_nothing_from_going_back(go_back: Callable[[Harness], None]) -> None:
    harness = await shifting()
    harness.cluster.hook = silent("dry-run")
    harness.change("app:2", traffic=OTHER_HOST)
    go_back(harness)
    await harness.run_until(lambda: harness.state("app-2") == "RolledBack", limit=20)
    assert harness.shares() == {"app-1": 100}
    assert stalled(harness, "InvalidRoute", "did not answer when asked about the HTTPRoute")
    route = harness.cluster.find("HTTPRoute", "app")
    assert route is not None
    assert route["spec"]["hostnames"] == ["app.example.com"]
    harness.cluster.hook = lambda _: None
    await harness.run(90)
    route = harness.cluster.find("HTTPRoute", "app")
    assert route is not None
    assert route["spec"]["hostnames"] == ["new.example.com"]


async def test_a_server_that_fails_once_is_nothing_to_tell() -> None:
    harness = await served()
    told = len(harness.cluster.events)
    failed = 0

    def once(call: Call) -> Fault | None:
        nonlocal failed
        failed += call.verb == "dry-run"
        return Fault.UNAVAILABLE if call.verb == "dry-run" and failed == 1 else None

    harness.cluster.hook = once
    harness.change()
    await harness.run_until(lambda: harness.state("app-2") is not None, limit=5)
    assert [n for _, n in harness.cluster.events[told:] if n.type.value == "Warning"] == []
    assert failed == 2


async def test_what_is_not_answered_is_asked_again_later_and_later() -> None:
    harness = await served()
    harness.cluster.hook = silent("dry-run")
    harness.change()
    calls = len(harness.cluster.calls)
    await harness.run(600)
    asked = [c for c in harness.cluster.calls[calls:] if c.verb == "dry-run"]
    assert 10 <= len(asked) <= 20
    wait = await harness.loop.once()
    assert wait is not None
    assert 0 < wait <= 60


async def test_a_webhook_that_hangs_holds_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = await shifting()
    apply = FakeCluster.apply
    hanging = asyncio.Event()

    async def hang(self: FakeCluster, obj: Object, *, dry_run: bool = False) -> Object:
        if dry_run:
            await hanging.wait()
        return await apply(self, obj, dry_run=dry_run)

    monkeypatch.setattr(FakeCluster, "apply", hang)
    harness.loop._template._patience = 0.01
    harness.change("app:3")
    abort(harness)
    async with asyncio.timeout(20):
        await harness.run_until(lambda: harness.state("app-2") == "RolledBack", limit=60)
    assert stalled(harness, "InvalidTemplate", "there is no answer yet")
    # A slow answer is one all the same.
    hanging.set()
    await asyncio.sleep(0.01)
    await harness.run_until(lambda: harness.state("app-3") == "Promoted")


async def test_a_gateway_elsewhere_that_cannot_be_read_stays_as_it_was() -> None:
    world = test_namespaces.harness()
    world.controllers.add_gateway("edge", "infra")
    await world.run_until(world.settled)
    world.change("app:2", traffic=test_namespaces.TRAFFIC)
    await world.run_until(lambda: world.shares().get("app-2") == 25)
    world.cluster.hook = silent("get", "Gateway")
    await world.run(70)
    assert world.condition("Stalled") is None
    await world.run_until(lambda: world.state("app-2") == "Promoted")


async def test_a_gateway_elsewhere_that_was_never_read_keeps_nothing_from_going_back() -> None:
    world = test_namespaces.harness()
    world.controllers.add_gateway("edge", "infra")
    await world.run_until(world.settled)
    world.change("app:2", traffic=test_namespaces.TRAFFIC)
    await world.run_until(lambda: world.shares().get("app-2") == 25)
    world.start()
    world.cluster.hook = silent("get", "Gateway")
    abort(world)
    await world.run_until(lambda: world.state("app-2") == "RolledBack", limit=20)
    assert world.shares() == {"app-1": 100}
    assert stalled(world, "GatewayNotFound", "Gateway edge in namespace infra cannot be read: Unavailable")
    wait = await world.loop.once()
    assert wait is not None
    assert wait <= 16
    world.cluster.hook = lambda _: None
    # The spec names the release that was aborted.
    await world.run_until(lambda: not stalled(world, "GatewayNotFound", ""), limit=60)


class Answers:
    """Says the same to each dry run."""

    def __init__(self, error: ClusterError) -> None:
        self.error = error
        self.asked = 0

    async def apply(self, obj: Object, *, dry_run: bool = False) -> Object:  # noqa: ARG002 - the port's
        self.asked += 1
        raise self.error


async def test_a_new_question_is_asked_at_once_and_the_old_answer_does_not_hold_for_it() -> None:
    def make() -> dict[str, Any]:
        return {}

    answers: Any = Answers(ClusterError(Refusal.UNAVAILABLE, "down"))
    cluster: Cluster = answers
    dry_run = DryRun(cluster)
    with pytest.raises(ClusterError):
        await dry_run.objection("a", make, START)
    assert await dry_run.objection("a", make, START) == Objection("Unavailable: down", answered=False)
    assert dry_run.wait(START) == 1.0
    answers.error = ClusterError(Refusal.INVALID, "no")
    assert await dry_run.objection("b", make, START) == Objection("no", answered=True)
    assert await dry_run.objection("b", make, START) == Objection("no", answered=True)
    assert answers.asked == 3
    assert dry_run.wait(START) == 60.0
