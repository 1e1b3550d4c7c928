"""What a route's status says, and that it is not written anew with every probe."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise

import pytest

from sophia_operator.api.model_gateway import MAX_REPLICAS
from sophia_operator.api.model_route_status import MAX_SWITCHES, ModelState, PastSwitch, SwitchKind, SwitchResult
from sophia_operator.core.model.findings import ModelFailure, ModelFault
from sophia_operator.core.model.plan_values import ModelScore, Ranking
from sophia_operator.core.model.scoreboard import fraction
from sophia_operator.core.model.status import project
from sophia_operator.core.model.views import ModelRouteObserved
from tests.support.model_scene import (
    URL,
    after,
    at,
    failed,
    health,
    observed,
    plan,
    ranking,
    replica,
    route,
    score,
    settled,
    step,
    switch,
)


def test_the_first_status_says_everything() -> None:
    judged = ranking({"small": health(ModelState.UNHEALTHY, failing_since=at(-5), failures=3.0)})
    hash_ = "v1:" + "a" * 64
    status = step(route(), observed(), judged, plan(config_hash=hash_, switched_at=at(-9)), 0)
    large, small = status.models
    assert (large.name, large.state, large.rank, large.score) == ("large", ModelState.HEALTHY, 1, "0.9")
    assert (large.p95_ms, large.first_token_ms, large.requests, large.failures) == (400, 90, 6, 0)
    assert (large.healthy_since, large.score_parts[0].why) == (at(0), "p95 400 ms")
    assert (small.state, small.rank, small.eligible, small.failing_since) == (ModelState.UNHEALTHY, None, False, at(-5))
    assert (small.reason, small.message) == ("ServerUnreachable", "it does not answer: see whether it runs")
    assert (status.active, status.best, status.revision, status.proved_revision) == ("large", "large", 3, 3)
    assert [(s.name, s.percent) for s in status.shares] == [("large", 100), ("small", 0)]
    assert [(r.name, r.revision, r.model) for r in status.replicas] == [("gw-0", 3, "large"), ("gw-1", 3, "large")]
    assert (status.endpoint, status.binding and status.binding.name) == (URL, "answers-model-binding")
    assert (status.observed_generation, status.config_hash, status.switched_at) == (1, hash_, at(-9))


def test_where_clients_send_requests_stays_while_it_is_not_known() -> None:
    view = settled()
    status = project(view, observed(), ranking(), plan(), at(1), endpoint=lambda _r, _o: None)
    assert (status.endpoint, status.binding) == (view.status.endpoint, view.status.binding)
    fresh = project(route(), observed(), ranking(), plan(), at(1), endpoint=lambda _r, _o: None)
    assert (fresh.endpoint, fresh.binding) == (None, None)


def noisy(draw: random.Random) -> Ranking:
    """Two good models about as good as each other, as they are judged each second."""
    found = {
        name: health(
            requests=float(draw.randint(58, 62)),
            p95_ms=draw.uniform(380, 440),
            first_token_ms=draw.uniform(80, 100),
        )
        for name in ("large", "small")
    }
    points = {name: draw.uniform(0.79, 0.81) for name in found}
    order = sorted(found, key=lambda n: -points[n])
    return Ranking(found, {n: score(points[n], f"p95 {draw.random()}") for n in found}, tuple(order))


def test_probes_each_second_cost_few_writes() -> None:
    draw, view, writes = random.Random(7), settled(), []
    for seconds in range(1, 601):
        status = step(view, observed(seconds), noisy(draw), plan(), seconds)
        writes += [seconds] if status != view.status else []
        view = after(view, status)
    # Models that change places are worth no more than one write in half a minute, and what nobody reads none.
    assert len(writes) <= 20
    assert all(b - a >= 30 for a, b in pairwise(writes))


def test_figures_that_say_the_same_are_never_written() -> None:
    view = settled()
    for seconds in range(1, 301):
        close = ranking({"large": health(requests=6.0 + seconds % 2, p95_ms=400 + seconds % 40)}, large=0.905)
        assert step(view, observed(seconds), close, plan(), seconds) == view.status


def test_what_matters_is_written_at_once_with_all_figures() -> None:
    view = settled()
    same = ranking({"large": health(p95_ms=900.0)}, large=0.95)
    assert step(view, observed(1), same, plan(), 1).models == view.status.models
    broken = ranking({"large": health(ModelState.FAILING, failing_since=at(1), p95_ms=900.0)}, large=0.95)
    status = step(view, observed(1), broken, plan(), 1)
    assert (status.models[0].state, status.models[0].p95_ms, status.models[0].score) == (
        ModelState.FAILING,
        900,
        "0.95",
    )
    assert status.figures_at == at(1)
    moved = step(view, observed(1), same, plan(active="small"), 1)
    begun = step(view, observed(1), same, plan(switch=switch(SwitchKind.BETTER)), 1)
    assert moved.models[0].p95_ms == begun.models[0].p95_ms == 900
    later = step(view, observed(30), same, plan(), 30)
    assert (later.models[0].p95_ms, later.figures_at) == (900, at(30))


def test_times_that_decisions_go_by_are_always_exact() -> None:
    view = settled()
    judged = ranking({"large": health(healthy_since=at(7), paused_until=at(8), failing_since=at(9))})
    row = step(view, observed(10), judged, plan(), 10).models[0]
    assert (row.healthy_since, row.paused_until, row.failing_since) == (at(7), at(8), at(9))
    assert row.p95_ms == view.status.models[0].p95_ms


def test_a_model_that_is_new_in_the_spec_or_gone_changes_the_table() -> None:
    view = settled()
    fewer = view.spec.model_copy(update={"models": view.spec.models[:1]})
    status = step(after(view, view.status, spec=fewer), observed(1), ranking(), plan(shares={"large": 100}), 1)
    assert [m.name for m in status.models] == ["large"]
    assert [m.name for m in step(after(view, status), observed(2), ranking(), plan(), 2).models] == ["large", "small"]


@pytest.mark.parametrize(
    ("value", "text"), [("0", "0"), ("1", "1"), ("0.12345", "0.123"), ("0.5", "0.5"), ("1.2", "1"), ("-0.1", "0")]
)
def test_scores_are_fractions(value: str, text: str) -> None:
    assert fraction(Decimal(value)) == text


def test_texts_are_bounded() -> None:
    long = "x" * 5000
    judged = ranking({"small": health(ModelState.UNHEALTHY, message=long)})
    judged = Ranking(
        judged.health, {**judged.scores, "large": ModelScore(Decimal("0.9"), score(0.9).parts)}, judged.order
    )
    failing = observed(0, replicas={"gw-0": replica("gw-0", None, failure=failed(0).answer)})
    status = step(route(), failing, judged, plan(lagging=tuple(f"gw-{n}: {long[:300]}" for n in range(60))), 0)
    assert len(status.models[1].message or "") == 512
    assert all(len(c.message) <= 4096 for c in status.conditions)
    many = {f"gw-{n:03}": replica(f"gw-{n:03}") for n in range(MAX_REPLICAS + 9)}
    assert len(step(route(), observed(0, replicas=many), ranking(), plan(), 0).replicas) == MAX_REPLICAS


def test_replicas_stay_as_they_were_until_they_are_asked() -> None:
    view = settled()
    assert step(view, observed(None), ranking(), plan(), 1).replicas == view.status.replicas
    none = step(view, observed(1, replicas={}), ranking(), plan(), 1)
    assert none.replicas == []


def test_either_model_may_answer_during_a_stage_and_that_is_no_news() -> None:
    view, shared = settled(), plan(shares={"large": 75, "small": 25})
    mixed = {"gw-0": replica("gw-0", model="small"), "gw-1": replica("gw-1")}
    assert step(view, observed(1, replicas=mixed), ranking(), shared, 1).replicas == view.status.replicas
    alone = step(view, observed(1, replicas=mixed), ranking(), plan(), 1)
    assert [r.model for r in alone.replicas] == ["small", "large"]
    newer = {name: replica(name, 4, model="small") for name in ("gw-0", "gw-1")}
    assert {r.model for r in step(view, observed(1, replicas=newer), ranking(), shared, 1).replicas} == {"small"}


def test_only_the_newest_switches_are_kept() -> None:
    view = settled()
    for number in range(MAX_SWITCHES + 3):
        past = PastSwitch(
            kind=SwitchKind.FAILOVER, to="small", trigger="x", started_at=at(number), ended_at=at(number),
            result=SwitchResult.SWITCHED,
        )  # fmt: skip
        view = after(view, step(view, observed(number), ranking(), plan(past=past), number))
    assert [s.started_at for s in view.status.switches] == [at(n) for n in range(3, MAX_SWITCHES + 3)]


def test_of_too_many_replicas_those_are_shown_that_do_not_serve_as_told() -> None:
    many = {f"gw-{n:03}": replica(f"gw-{n:03}") for n in range(MAX_REPLICAS + 9)}
    last = max(many)
    many[last] = replica(last, 2)
    shown = step(route(), observed(0, replicas=many), ranking(), plan(), 0).replicas
    assert (len(shown), shown[-1].name, shown[-1].revision) == (MAX_REPLICAS, last, 2)
    assert [r.name for r in shown] == sorted(r.name for r in shown)


@pytest.mark.parametrize(
    ("new", "is_news"),
    [
        ("answers 500: no luck (request id 8a01f4c2)", False),
        ("answers 500: out of memory (request id 8a01f4c2)", True),
        ("answers 404: no luck (request id 8a01f4c2)", True),
        ("no answer to a marked request within 5 s", True),
    ],
)
def test_that_each_answer_names_a_request_of_its_own_is_no_news(new: str, is_news: bool) -> None:
    def seen(seconds: float, message: str) -> ModelRouteObserved:
        failure = ModelFailure(ModelFault.SERVER_ERROR, message)
        return observed(seconds, replicas={"gw-0": replica("gw-0", None, seconds, failure=failure)})

    before = step(settled(), seen(0, "answers 500: no luck (request id 17b0)"), ranking(), plan(), 0)
    later = step(after(settled(), before), seen(1, new), ranking(), plan(), 1)
    assert (later.replicas != before.replicas) is is_news


def test_a_table_of_a_time_that_is_yet_to_come_does_not_stay() -> None:
    view = settled()
    slower = ranking({"large": health(p95_ms=4000.0)})
    ahead = after(view, view.status.model_copy(update={"figures_at": at(3600)}))
    assert step(ahead, observed(1), slower, plan(), 1).models[0].p95_ms == 4000
    assert step(view, observed(1), slower, plan(), 1).models[0].p95_ms != 4000
