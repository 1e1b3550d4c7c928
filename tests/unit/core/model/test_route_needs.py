"""Which requests of a route are due, and when the next one is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.model_route_status import ModelState, ModelStatus
from sophia_operator.core.model.findings import ModelFault, ModelNeeds, PassiveFinding, QualityFinding
from sophia_operator.core.model.needs import needs, next_look
from sophia_operator.core.model.views import ModelAccess, ModelRouteObserved, ModelRouteView
from tests.support.model_scene import (
    answered,
    at,
    failed,
    model,
    observed,
    plan,
    ranking,
    replica,
    route,
    settled,
    spec,
    step,
    switch,
)

ALL = ("large", "small")
CUSTOM = {"preset": "Custom", "queries": {"requests": "r", "errors": "e"}, "intervalSeconds": 15}


def probes(view: ModelRouteView, seen: ModelRouteObserved, seconds: float) -> tuple[str, ...]:
    return needs(view, seen, at(seconds)).probes


def test_a_new_route_asks_its_models_at_once_and_no_replica_before_it_is_told_something() -> None:
    assert needs(route(), observed(None), at(0)) == ModelNeeds(probes=ALL)
    assert next_look(route(), observed(None), at(0)) == 0
    told = route(revision=1)
    assert needs(told, observed(None), at(0)).replicas


def test_in_calm_models_are_asked_at_each_interval() -> None:
    assert not needs(settled(), observed(0), at(0.9))
    assert next_look(settled(), observed(0), at(0.4)) == pytest.approx(0.6)
    assert needs(settled(), observed(0), at(1)) == ModelNeeds(probes=ALL)
    slow = settled(spec(probe={"intervalSeconds": 10}))
    assert (probes(slow, observed(0), 9.9), probes(slow, observed(0), 10)) == ((), ALL)


def test_what_is_under_way_is_not_asked_twice() -> None:
    view = route(spec(metrics=CUSTOM, models=[model("large", qualityQuery="q"), model("small")]), revision=1)
    seen = observed(None)
    assert needs(view, seen, at(0)) == ModelNeeds(probes=ALL, passive=True, qualities=("large",), replicas=True)
    going = {"probe/large": at(0), "passive": at(0), "quality/large": at(0), "replicas": at(0)}
    seen = observed(None, under_way=going)
    assert needs(view, seen, at(0)) == ModelNeeds(probes=("small",))
    seen = observed(None, under_way={**going, "probe/small": at(0)})
    assert not needs(view, seen, at(99))
    assert next_look(view, seen, at(99)) == 3600  # what is under way wakes when it ends


@pytest.mark.parametrize(("asked", "seconds"), [(None, 30), (12.0, 12), (0.0, 1), (9999.0, 600)])
def test_a_model_whose_provider_asked_to_wait_is_left_alone_for_so_long(asked: float | None, seconds: float) -> None:
    paused = (failed(0, ModelFault.RATE_LIMITED, retry_after_seconds=asked),)
    seen = observed(0, probes={"large": paused, "small": (answered(seconds),)})
    assert probes(settled(), seen, seconds - 0.1) == ()
    assert probes(settled(), seen, seconds) == ("large",)


def test_a_pause_outlives_the_operator() -> None:
    row = ModelStatus(name="large", state=ModelState.PAUSED, paused_until=at(100))
    view = route(models=[row])
    assert probes(view, observed(None), 99) == ("small",)
    assert probes(view, observed(None), 100) == ALL


@pytest.mark.parametrize("fault", [ModelFault.CREDENTIALS_REFUSED, ModelFault.TLS_UNTRUSTED, ModelFault.TIMEOUT])
def test_refused_credentials_that_change_are_tried_at_once(fault: ModelFault) -> None:
    view = settled(spec(probe={"intervalSeconds": 60}))
    found = {"large": (failed(10, fault),), "small": (answered(10),)}
    assert probes(view, observed(10, probes=found, access_changed_at={"large": at(9)}), 11) == ()
    changed = observed(10, probes=found, access_changed_at={"large": at(10.5), "small": at(10.5)})
    assert probes(view, changed, 11) == (() if fault is ModelFault.TIMEOUT else ("large",))


def test_what_could_change_nothing_is_not_asked() -> None:
    wish = spec(models=[model("large"), model("small", capabilities=["tools"])], requires=["tools"])
    assert probes(route(wish), observed(None), 0) == ("small",)
    assert probes(route(wish, active="large"), observed(None), 0) == ALL  # it serves
    assert probes(route(wish.model_copy(update={"pin": "large"})), observed(None), 0) == ALL
    without = observed(None, access={"small": ModelAccess()})
    assert probes(route(), without, 0) == ("small",)


def test_prometheus_is_asked_only_for_what_the_spec_wants() -> None:
    assert not needs(settled(), observed(0), at(0.5))
    wish = spec(
        metrics=CUSTOM, models=[model("large", qualityQuery="q"), model("small")], probe={"intervalSeconds": 99}
    )
    kept: dict[str, Any] = {"passive": PassiveFinding(at(0), {}), "qualities": {"large": QualityFinding(at(5), 0.8)}}
    view = settled(wish)
    assert not needs(view, observed(0, **kept), at(14.9))
    assert needs(view, observed(0, **kept), at(15)) == ModelNeeds(passive=True)
    assert needs(view, observed(0, **kept), at(20)) == ModelNeeds(passive=True, qualities=("large",))
    failing = {**kept, "passive": PassiveFinding(at(0), "it does not answer")}
    assert not needs(view, observed(0, **failing), at(14.9))


def quiet(view: ModelRouteView) -> ModelRouteView:
    """So that only replicas are asked."""
    return replace(view, spec=spec(probe={"intervalSeconds": 3600}))


@pytest.mark.parametrize(
    ("passed", "again"), [(0.0, 0.25), (1.0, 0.25), (4.0, 0.5), (8.0, 1.0), (16.0, 2.0), (599.0, 2.0), (600.0, 10.0)]
)
def test_replicas_that_lag_are_asked_often_at_first(passed: float, again: float) -> None:
    view = quiet(settled())
    view = replace(view, status=view.status.model_copy(update={"revision": 4, "switch": switch()}))
    seen = observed(passed)
    assert not needs(view, seen, at(passed + again - 0.01)).replicas
    assert needs(view, seen, at(passed + again)).replicas
    assert next_look(view, seen, at(passed)) == pytest.approx(again)


def test_a_change_without_a_switch_is_proved_as_quickly() -> None:
    view = quiet(settled())
    told = replace(view, status=step(view, observed(7), ranking(), plan(revision=4, revision_at=at(7)), 7))
    assert next_look(told, observed(7), at(7)) == 0.25
    assert next_look(told, observed(15), at(15)) == 1.0


def test_what_was_told_is_waited_for_since_then_whatever_was_said_before() -> None:
    told = quiet(route(revision=4, proved_revision=3, revision_at=at(7)))
    assert (next_look(told, observed(7), at(7)), next_look(told, observed(15), at(15))) == (0.25, 1.0)


def test_in_calm_replicas_are_asked_each_minute_and_more_often_during_a_stage() -> None:
    view = quiet(settled())
    assert (needs(view, observed(0), at(59.9)).replicas, needs(view, observed(0), at(60)).replicas) == (False, True)
    staged = replace(view, status=view.status.model_copy(update={"switch": switch(revision=3, percent=5)}))
    assert (needs(staged, observed(0), at(4.9)).replicas, needs(staged, observed(0), at(5)).replicas) == (False, True)


@pytest.mark.parametrize(
    "kept",
    [
        {"replicas": {"gw-0": replica("gw-0")}},
        {"replicas": {"gw-0": replica("gw-0"), "gw-1": replica("gw-1", failure=failed(0).answer)}},
        {"replicas": {}},
        {"asking_failed": "the host is not known"},
    ],
)
def test_a_replica_that_says_nothing_any_more_or_is_new_is_asked_again_soon(kept: dict[str, Any]) -> None:
    """Not all the time: each marked request costs a token, and the model may be down for long."""
    assert next_look(quiet(settled()), observed(0, **kept), at(0)) == 5.0


def test_a_replica_that_fell_behind_is_asked_often() -> None:
    seen = observed(60, replicas={"gw-0": replica("gw-0"), "gw-1": replica("gw-1", 2)})
    view = quiet(settled())
    told = replace(view, status=step(view, seen, ranking(), plan(lagging=("gw-1 serves by 2",)), 60))
    assert next_look(told, seen, at(60)) == 0.25


def test_after_a_restart_replicas_are_asked_at_once() -> None:
    assert needs(quiet(settled()), observed(None), at(500)).replicas


def test_without_a_gateway_that_could_answer_nobody_is_asked() -> None:
    assert not needs(quiet(settled()), observed(None, pods=()), at(0)).replicas
    way = {"parentRefs": [{"name": "gw"}], "hostnames": ["m.example.com"]}
    models = [{"name": n, "model": "m", "endpoint": {"serviceRef": {"name": n, "port": 80}}} for n in ALL]
    view = route(spec(models=models, gateway={"httpRoute": way}), revision=1)
    assert not needs(view, observed(None), at(0)).replicas
    assert needs(view, observed(None, gateway_url="http://10.0.0.7:80"), at(0)).replicas
    plane = {**way, "dataPlane": {"host": "envoy.infra.svc", "port": 80}}
    view = route(spec(models=models, gateway={"httpRoute": plane}), revision=1)
    assert needs(view, observed(None), at(0)).replicas


def test_what_is_due_and_when_are_one_answer() -> None:
    view = settled(spec(metrics=CUSTOM))
    for tenths in range(0, 700, 3):
        seen = observed(0, passive=PassiveFinding(at(3), {}))
        left = next_look(view, seen, at(tenths / 10))
        assert bool(needs(view, seen, at(tenths / 10))) is (left == 0)
        assert needs(view, seen, at(tenths / 10 + left))
