"""What holds of every judgement, whatever was seen."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.api.model_route_status import ModelScorePart, ModelState, ModelStatus
from sophia_operator.core.model.evidence import gather
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelFault, ModelFinding, PassiveFinding
from sophia_operator.core.model.plan_values import Ranking
from sophia_operator.core.model.score import fraction
from tests.support.model_watch import Watch, answer, at, model, result, spec, tally, values

_FRACTION = re.compile(r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$")
NAMES = ("a", "b", "c", "d")

milliseconds = st.floats(0, 60_000, allow_nan=False)
failures = st.builds(ModelFailure, st.sampled_from(ModelFault), st.just("said"), st.none() | st.floats(-1, 1e9))
answers = st.builds(answer, milliseconds) | failures
costs = st.none() | st.sampled_from(["0", "0.000001", "0.15", "0.6", "3", "15", "999999"])
qualities = st.none() | st.sampled_from(["0", "0.3", "0.85", "1"])
counts = st.floats(0, 1e6) | st.floats()
tallies = st.builds(tally, counts, counts, st.none() | st.floats())
letters = st.text("SSSSFLTX4C.", max_size=40)
policies = st.fixed_dictionaries(
    {
        "minRequests": st.sampled_from([1, 3, 20]),
        "maxErrorPercent": st.sampled_from([0, 5, 20, 60, 99]),
        "forSeconds": st.sampled_from([0, 10, 35]),
        "windowSeconds": st.sampled_from([5, 60, 600]),
        "maxP95Ms": st.sampled_from([1000, 10_000]),
    }
)


@st.composite
def watches(draw: st.DrawFn) -> Watch:
    """A route of up to four models, at some moment of its life."""
    names = NAMES[: draw(st.integers(1, 4))]
    models = []
    for name in names:
        cost, quality = draw(costs), draw(qualities)
        given_values: dict[str, Any] = {"costPer1kTokens": cost, "quality": quality}
        models.append(model(name, **{k: v for k, v in given_values.items() if v is not None}))
    made = Watch(spec(*models, switch=draw(policies), metrics={"preset": "LiteLLM"}))
    for name in names:
        made.probes[name] = tuple(
            ModelFinding(at(-draw(st.floats(0, 90))), a) for a in draw(st.lists(answers, max_size=8))
        )
    made.models = [
        ModelStatus(
            name=n, state=draw(st.sampled_from(ModelState)), failing_since=at(-20) if draw(st.booleans()) else None
        )
        for n in names
    ]
    made.passive = draw(
        st.none()
        | st.builds(PassiveFinding, st.just(at(-5)), st.just("away"))
        | st.builds(PassiveFinding, st.just(at(-5)), st.dictionaries(st.sampled_from(names), tallies))
    )
    return made


def judged(made: Watch) -> Ranking:
    return made.judge(made.view, made.observed, made.now)


@given(watches())
def test_what_holds_of_every_ranking(made: Watch) -> None:
    ranking = judged(made)
    names = [m.name for m in made.spec.models]
    assert list(ranking.health) == list(ranking.scores) == names
    assert sorted(ranking.order) == sorted(n for n in names if ranking.health[n].eligible)
    scores = [ranking.scores[n].score for n in ranking.order]
    assert scores == sorted(scores, reverse=True)
    for name in names:
        score, health = ranking.scores[name], ranking.health[name]
        assert 0 <= score.score <= 1
        assert _FRACTION.match(fraction(score.score))
        assert all(_FRACTION.match(p.value) and _FRACTION.match(p.weight) and p.why for p in score.parts)
        total = sum((Decimal(p.value) * Decimal(p.weight) for p in score.parts), Decimal(0))
        assert abs(score.score - total) <= Decimal("0.0000005")
        assert 0 <= health.failures <= health.requests
        assert math.isfinite(health.requests)
        assert health.p95_ms is None or math.isfinite(health.p95_ms)
        assert len(health.evidence) <= 1024
        assert len(health.message) <= 512
        assert (health.state is ModelState.HEALTHY) == (health.healthy_since is not None)
        assert (health.state in (ModelState.FAILING, ModelState.UNHEALTHY)) <= (health.failing_since is not None)
        assert (health.state is ModelState.HEALTHY) == (health.reason is None)
        assert bool(health.reason) == bool(health.message)
        ModelScorePart.model_validate(score.parts[0].model_dump())


@given(watches())
def test_the_same_is_judged_twice(made: Watch) -> None:
    assert judged(made) == judged(made)
    first = made.look()
    second = made.look()
    assert {n: h.state for n, h in second.health.items()} == {n: h.state for n, h in first.health.items()}
    assert second.scores == first.scores


@given(watches(), st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_does_not_matter(made: Watch, draw: Any) -> None:
    before = judged(made)
    for name, rows in made.probes.items():
        mixed = list(rows)
        draw.shuffle(mixed)
        made.probes[name] = tuple(mixed)
    items = list(made.probes.items())
    draw.shuffle(items)
    made.probes = dict(items)
    assert judged(made) == before


@given(watches(), st.floats(0, 1))
def test_who_answers_quicker_scores_no_less(made: Watch, factor: float) -> None:
    before = judged(made)
    made.probes["a"] = tuple(
        replace(row, answer=replace(row.answer, total_ms=row.answer.total_ms * factor))
        if isinstance(row.answer, Completion)
        else row
        for row in made.probes["a"]
    )
    after = judged(made)
    assert Decimal(values(after)["latency"]) >= Decimal(values(before)["latency"])
    assert after.scores["a"].score >= before.scores["a"].score


def _with(made: Watch, **changes: str) -> Ranking:
    """With other values of the first model."""
    first = made.spec.models[0].model_copy(update=changes)
    return judged(replace(made, spec=made.spec.model_copy(update={"models": [first, *made.spec.models[1:]]})))


@given(watches(), st.lists(st.sampled_from(["0", "0.0001", "0.1", "0.5", "3", "99"]), min_size=2, max_size=2))
def test_who_costs_less_scores_no_less(made: Watch, two: list[str]) -> None:
    low, high = sorted(two, key=Decimal)
    scores = [_with(made, cost_per_1k_tokens=cost).scores["a"].score for cost in (low, high)]
    assert scores[0] >= scores[1]


@given(watches(), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_who_is_better_scores_no_less(made: Watch, two: list[float]) -> None:
    scores = [_with(made, quality=f"{quality:.6f}").scores["a"].score for quality in sorted(two)]
    assert scores[0] <= scores[1]


@given(st.integers(0, 3), st.integers(1000, 1_000_000))
def test_a_few_requests_prove_nothing(few: int, many: int) -> None:
    made = Watch(spec(model("a"), model("b"), metrics={"preset": "LiteLLM"}))
    made.count(a=tally(few), b=tally(many))
    ranking = made.look()
    assert Decimal(values(ranking, "a")["reliability"]) < Decimal("0.93") < Decimal("0.99")
    assert Decimal(values(ranking, "b")["reliability"]) > Decimal("0.999")


@given(letters, st.sampled_from("FTXEBW"), policies)
def test_one_failed_probe_never_makes_unhealthy(probes: str, bad: str, policy: dict[str, Any]) -> None:
    made = Watch(spec(switch=policy))
    good = "".join(c for c in probes if c in "S.")
    states = made.play("S" + good[: len(good) // 2] + bad + good[len(good) // 2 :] + "SSS")
    assert set(states) <= {"H"}


@given(letters, policies)
def test_waiting_and_credentials_never_make_failing(probes: str, policy: dict[str, Any]) -> None:
    only = "".join(c for c in probes if c in "S4C.")
    assert set(Watch(spec(switch=policy)).play("S" + only)) <= set("HPR")


@given(letters, policies, st.sampled_from([3.0, 10.0]))
def test_unhealthy_takes_for_seconds_of_a_broken_limit(probes: str, policy: dict[str, Any], every: float) -> None:
    made, broken_since = Watch(spec(switch=policy)), None
    before = "?"
    for letter in probes:
        now = made.seconds
        state = made.play(letter, every=every)
        since = made.models[0].failing_since
        if state == "U" and before != "U":
            first = broken_since if broken_since is not None else now
            assert now - first >= policy["forSeconds"]
            assert since == at(first)
        broken_since = None if since is None else broken_since if broken_since is not None else now
        before = state


@given(st.text("FTX4C.", max_size=20), st.text("FTXEBW4C.", max_size=30), policies)
def test_a_restart_makes_nothing_healthy_without_an_answer(before: str, after: str, policy: dict[str, Any]) -> None:
    made = Watch(spec(switch={**policy, "forSeconds": 0}))
    assert made.play("SFFF" + before)[-1] in "UPR"
    made.restart()
    assert set(made.play(after)) <= set("UPR")


@given(letters, st.integers(1, 39), policies)
def test_unhealthy_turns_healthy_only_on_an_answer(probes: str, restart: int, policy: dict[str, Any]) -> None:
    made, before = Watch(spec(switch=policy)), "?"
    for index, letter in enumerate("SFFFF" + probes):
        if index == restart:
            made.restart()
        state = made.play(letter)
        assert not (before in "UPR?" and state == "H" and letter not in "SL")
        assert not (before == "U" and state == "F")
        before = state


@given(st.integers(1, 5), st.integers(0, 4), st.integers(1, 12))
def test_one_that_comes_and_goes_does_not_look_healthy(bad: int, good: int, rounds: int) -> None:
    """At most four good ones, then a bad one: at least a fifth of the requests fail."""
    made = Watch()
    made.play("SSFFFF")
    assert made.state() is ModelState.UNHEALTHY
    assert set(made.play(("S" * good + "F" * bad) * rounds)) == {"U"}


@given(st.integers(0, 60), st.sampled_from([60, 600, 3600]), st.sampled_from([5, 20, 50]))
def test_one_that_works_again_is_healthy_in_bounded_time(down: int, window: int, percent: int) -> None:
    made = Watch(spec(switch={"windowSeconds": window, "maxErrorPercent": percent}))
    made.play("SSS" + "F" * down)
    longest = {5: 59, 20: 14, 50: 5}[percent]
    made.play("S" * min(longest, window // 10))
    assert made.state() is ModelState.HEALTHY


@given(st.lists(st.floats(0.1, 9), min_size=60, max_size=60), st.sampled_from([30, 60, 300]))
def test_answers_that_take_long_do_not_keep_it_down(took: list[float], window: int) -> None:
    """The next probe begins an interval after the last one has ended."""
    made = Watch(spec(switch={"windowSeconds": window}))
    made.play("SSSFFF")
    for seconds in took:
        made.seconds += seconds
        if made.play("S") == "H":
            break
    assert made.state() is ModelState.HEALTHY
    assert made.seconds < 60 + 2 * window + 20


@given(st.lists(st.sampled_from("SFTX4C"), max_size=30), st.sampled_from([10, 100]))
def test_what_is_not_counted_changes_no_count(probes: list[str], interval: int) -> None:
    wish = spec(probe={"intervalSeconds": interval}, switch={"windowSeconds": 3600})
    rows = tuple(ModelFinding(at(i * interval), result(c)) for i, c in enumerate(probes))
    counted = tuple(r for r in rows if not (isinstance(r.answer, ModelFailure) and r.answer.fault in _NEUTRAL))
    now: datetime = at(len(probes) * interval)
    assert replace(gather("a", rows, None, wish, now), newest=None) == replace(
        gather("a", counted, None, wish, now), newest=None
    )


_NEUTRAL = (ModelFault.RATE_LIMITED, ModelFault.CREDENTIALS_REFUSED)
