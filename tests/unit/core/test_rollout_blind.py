"""What is seen of the traffic: users' requests decide, silence holds, and a hold tells why."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.api.release import Intent
from sophia_operator.core.findings import Findings, MetricsAnswer, MetricsOutage, MetricsRequest, ProbeResult, Samples
from sophia_operator.core.sighting import look_interval_seconds
from sophia_operator.core.views import Observed
from tests.support.sim import Sim, settled, until

_WINDOW = re.compile(r"\[(\d+)s\]")


class Blind(Sim):
    """Prometheus is down, and nobody answers marked requests."""

    def observed(self, findings: Findings | None = None) -> Observed:
        if findings is not None and findings.probe is not None:
            findings = replace(findings, probe=ProbeResult({}, 20, "no answer"))
        return super().observed(findings)

    def answer(self, request: MetricsRequest) -> MetricsAnswer:
        return MetricsOutage(f"down, for {request.key} too")


class Lying(Sim):
    """Prometheus counts users elsewhere than the route says."""

    counts: dict[str, float] | None = None

    def answer(self, request: MetricsRequest) -> MetricsAnswer:
        return Samples(self.counts) if request.key == "share" and self.counts is not None else super().answer(request)


def shifting(kind: type[Sim]) -> Any:
    world = settled()
    world.__class__ = kind
    world.change(image="app:2")
    until_shifting(world)
    return world


def until_shifting(world: Sim) -> None:
    while world.state_or("app-2") != "Shifting":
        world.run(1)


@pytest.mark.parametrize("every", [0.1, 1.0])
def test_silence_holds_a_stage_for_as_long_as_it_lasts(every: float) -> None:
    world = shifting(Blind)
    world.run(600, every=every)
    assert world.state("app-2") == "Shifting"
    ready = find(world.service.status.conditions, ConditionType.READY)
    assert ready is not None
    assert "nothing can be seen of the traffic" in ready.message
    world.__class__ = Sim
    world.run(120)
    assert world.state("app-2") == "Promoted"


def test_long_silence_is_looked_into_seldom() -> None:
    assert [look_interval_seconds(s) for s in (0, 59, 60, 599, 600)] == [1.0, 1.0, 5.0, 5.0, 15.0]
    world = shifting(Blind)
    world.run(700)
    before = world.releases["app-2"].status.weights.looked_at
    world.run(14)
    after = world.releases["app-2"].status.weights.looked_at
    assert before is not None
    assert after is not None
    assert after - before in (timedelta(), *(timedelta(seconds=s) for s in (15, 16)))


def test_a_person_can_promote_what_nobody_can_see() -> None:
    world = shifting(Blind)
    world.run(60)
    world.intend("app-2", Intent.PROMOTE)
    world.lagging = True
    world.run(60)
    assert world.state("app-2") == "Shifting"
    world.lagging = False
    world.run(60)
    assert world.state("app-2") == "Promoted"


def test_marked_requests_do_not_outvote_users_who_are_not_there() -> None:
    world = settled()
    world.__class__ = Lying
    assert isinstance(world, Lying)
    world.counts = {"blue": 5000.0, "green": 0.0}
    world.change(image="app:2")
    until_shifting(world)
    world.run(60)
    stage = world.releases["app-2"].status.stage
    assert stage is not None
    assert stage.effective_at is None
    world.run(120)
    assert world.state("app-2") == "RolledBack"


def test_marked_requests_do_not_outvote_users_who_are_still_there() -> None:
    world = shifting(Sim)
    until(world, "app-2", "Shifting", 0)
    world.__class__ = Lying
    assert isinstance(world, Lying)
    world.counts = {"blue": 3750.0, "green": 1250.0}
    world.intend("app-2", Intent.ABORT)
    world.run(60)
    assert world.state("app-2") == "RollingBack"
    assert world.sizes["app-2"] == 2
    world.counts = None
    world.run(60)
    assert world.state("app-2") == "RolledBack"


def test_marked_requests_tell_stragglers_from_users() -> None:
    world = shifting(Sim)
    until(world, "app-2", "Shifting", 0)
    world.__class__ = Lying
    assert isinstance(world, Lying)
    world.counts = {"blue": 4950.0, "green": 50.0}
    world.intend("app-2", Intent.ABORT)
    world.run(60)
    assert world.state("app-2") == "RolledBack"


def test_smoke_tests_that_cannot_be_sent_end_at_the_deadline_and_say_why() -> None:
    tests = [{"name": "front", "path": "/", "via": "Gateway"}]
    world = settled(rollout={"smokeTests": tests})
    world.lagging = True
    world.change(image="app:2", rollout={"smokeTests": tests})
    world.lagging = False
    while world.state_or("app-2") != "SmokeTesting":
        world.step()
        world.now += timedelta(seconds=0.1)
    world.lagging = True
    world.run(30)
    ready = find(world.service.status.conditions, ConditionType.READY)
    assert ready is not None
    assert "the gateway has not taken up the route" in ready.message
    world.run(60)
    world.lagging = False
    world.run(10)
    assert world.state("app-2") == "Failed"
    last = world.releases["app-2"].status.outcome
    assert last is not None
    assert "could not be tried within 60 s" in last.message


def test_share_is_asked_for_a_window_that_does_not_grow_for_ever() -> None:
    world = settled()
    world.__class__ = Lying
    assert isinstance(world, Lying)
    world.counts = {"blue": 5000.0, "green": 0.0}
    world.change(image="app:2", rollout={"routeDeadlineSeconds": 600})
    until_shifting(world)
    world.run(300)
    windows = {int(s) for n in world.asked for r in n.metrics if r.key == "share" for s in _WINDOW.findall(r.query)}
    assert min(windows) == 4
    assert max(windows) == 60
