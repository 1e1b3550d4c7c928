"""What a score is made of, and who ranks before whom."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelState
from sophia_operator.core.model.findings import QualityFinding
from sophia_operator.core.model.score import fraction
from sophia_operator.core.views import Blocker
from tests.support.model_watch import LETTERS, Watch, answer, at, failure, model, spec, tally, values


def watch(*models: dict[str, Any], **changes: Any) -> Watch:
    return Watch(spec(*models, **changes))


def probed(made: Watch, **ms: float | None) -> Watch:
    """Each model answered three probes in so many ms; None failed."""
    for _ in range(3):
        for name, one in ms.items():
            made.put(name, failure() if one is None else answer(one))
        made.look()
        made.seconds += 10
    return made


def part(made: Watch, name: str) -> dict[str, str]:
    ranking = made.look()
    return {m.name: values(ranking, m.name)[name] for m in made.spec.models}


def whys(made: Watch, name: str) -> dict[str, str]:
    ranking = made.look()
    return {m.name: p.why for m in made.spec.models for p in ranking.scores[m.name].parts if p.name == name}


def test_latency_is_the_lowest_p95_by_its_own() -> None:
    made = probed(watch(model("a"), model("b"), model("c")), a=200, b=400, c=300)
    assert part(made, "latency") == {"a": "1", "b": "0.5", "c": "0.666667"}
    assert whys(made, "latency")["b"] == "p95 of probes 400 ms, the lowest 200 ms"


def test_latency_that_is_not_known_is_the_middle() -> None:
    made = probed(watch(model("a"), model("b"), model("c"), model("d")), a=200, b=400, c=800)
    assert part(made, "latency") == {"a": "1", "b": "0.5", "c": "0.25", "d": "0.5"}
    assert whys(made, "latency")["d"] == "not known: the middle of the others"
    assert part(watch(model("a"), model("b")), "latency") == {"a": "0.5", "b": "0.5"}


def test_latency_is_compared_with_models_that_may_be_chosen() -> None:
    made = watch(model("a"), model("b"), model("fast", capabilities=["x"]), requires=[])
    probed(made, a=200, b=400, fast=100)
    assert part(made, "latency") == {"a": "0.5", "b": "0.25", "fast": "1"}
    made.missing["fast"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    assert part(made, "latency") == {"a": "1", "b": "0.5", "fast": "1"}
    made.missing.update(a=made.missing["fast"], b=made.missing["fast"])
    assert part(made, "latency") == {"a": "0.5", "b": "0.25", "fast": "1"}, "where none is eligible, of all"


def test_users_requests_make_no_model_look_slow() -> None:
    made = probed(watch(model("a"), model("b"), metrics={"preset": "LiteLLM"}), a=200, b=300)
    made.count(a=tally(1000, 0, 9000.0))
    ranking = made.look()
    assert ranking.health["a"].p95_ms == 9000
    assert (values(ranking)["latency"], ranking.best) == ("1", "a")


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        (("0.5", "1", "2"), ("1", "0.5", "0.25")),
        (("0", "1", "0.001"), ("1", "0", "0")),
        (("0", "0.00", "7"), ("1", "1", "0")),
        ((None, "1", "2"), ("0.75", "1", "0.5")),
        ((None, None, "2"), ("1", "1", "1")),
        ((None, None, None), ("0.5", "0.5", "0.5")),
        (("3", "3", "3"), ("1", "1", "1")),
        (("1", "3", "7"), ("1", "0.333333", "0.142857")),
    ],
)
def test_cost(costs: tuple[str | None, ...], expected: tuple[str, ...]) -> None:
    models = [model(n, **({} if c is None else {"costPer1kTokens": c})) for n, c in zip("abc", costs, strict=True)]
    assert tuple(part(watch(*models), "cost").values()) == expected


def test_cost_says_what_it_was_taken_from() -> None:
    made = watch(model("a", costPer1kTokens="0.50"), model("b", costPer1kTokens="1.5"), model("c"))
    assert whys(made, "cost") == {
        "a": "0.50 for 1,000 tokens, the lowest 0.5",
        "b": "1.5 for 1,000 tokens, the lowest 0.5",
        "c": "not known: the middle of the others",
    }
    assert whys(watch(model("a", costPer1kTokens="0")), "cost") == {"a": "free"}


def test_cost_of_a_model_that_may_not_be_chosen_is_no_measure() -> None:
    made = watch(model("a", costPer1kTokens="2"), model("b", costPer1kTokens="0"), model("c", costPer1kTokens="4"))
    made.missing["b"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    assert part(made, "cost") == {"a": "1", "b": "1", "c": "0.5"}


def test_reliability_is_what_was_answered_and_few_requests_prove_nothing() -> None:
    made = watch(model("a"), model("b"), model("c"), metrics={"preset": "LiteLLM"})
    made.count(a=tally(3), b=tally(1000), c=tally(1000, 100))
    found = part(made, "reliability")
    assert found == {"a": "0.923077", "b": "0.99901", "c": "0.9"}
    assert whys(made, "reliability")["c"] == "100 of 1,000 requests failed in 60 s"
    assert part(watch(), "reliability") == {"a": "0.9"}


def test_quality_as_declared_as_measured_or_in_the_middle() -> None:
    made = watch(model("a", quality="0.90"), model("b", qualityQuery="x"), model("c"), model("d", qualityQuery="x"))
    assert part(made, "quality") == {"a": "0.9", "b": "0.5", "c": "0.5", "d": "0.5"}
    assert whys(made, "quality") == {
        "a": "as declared", "b": "not known: not asked yet", "c": "nothing says how good it is",
        "d": "not known: not asked yet",
    }  # fmt: skip
    made = watch(model("b", qualityQuery="x"))
    for value, expected in [(0.75, "0.75"), (1.7, "1"), (-1.0, "0"), (1 / 3, "0.333333"), (1e-9, "0"), (0.8, "0.8")]:
        made.qualities["b"] = QualityFinding(at(0), value)
        assert part(made, "quality") == {"b": expected}
    for nothing in ("Prometheus does not answer", float("nan"), float("inf")):
        made.qualities["b"] = QualityFinding(at(0), nothing)
        assert part(made, "quality") == {"b": "0.8"}, "what was measured stays"
    assert whys(made, "quality")["b"] == "as before: qualityQuery gives no number"
    made.restart()
    assert part(made, "quality") == {"b": "0.8"}


def test_the_sum_of_all_parts_by_their_weights() -> None:
    weights = {"latency": "0.5", "quality": "0.2", "reliability": "0.2", "cost": "0.1"}
    made = watch(
        model("a", quality="0.8", costPer1kTokens="2"), model("b", quality="0.4", costPer1kTokens="1"), weights=weights
    )
    ranking = probed(made, a=100, b=400).look()
    reliability = Decimal("0.923077")
    assert ranking.scores["a"].score == Decimal("0.5") + Decimal("0.16") + reliability / 5 + Decimal("0.05") - Decimal(
        "0.0000004"
    )
    assert ranking.scores["b"].score == Decimal("0.489615")
    assert [p.name for p in ranking.scores["a"].parts] == ["latency", "quality", "reliability", "cost"]
    assert {p.name: p.weight for p in ranking.scores["a"].parts} == weights
    assert ranking.order == ("a", "b")


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("1", "1"), ("1.0", "1"), ("0.5", "0.5"), ("0.1234567", "0.123457"), ("0.9999999", "1"),
     ("0.0000001", "0"), ("-3", "0"), ("9", "1"), ("1E-6", "0.000001"), ("0.10", "0.1")],
)  # fmt: skip
def test_numbers_as_the_api_has_them(value: str, text: str) -> None:
    assert fraction(Decimal(value)) == text


def test_equal_scores_stand_in_the_order_of_the_spec() -> None:
    made = probed(watch(model("z"), model("m"), model("a")), z=200, m=200, a=200)
    assert made.look().order == ("z", "m", "a")


def test_who_may_be_chosen_while_nothing_is_known() -> None:
    made = watch(model("a"), model("b", quality="0.9"), model("c", capabilities=[]), requires=[])
    made.missing["c"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    assert made.look().order == ("b", "a")
    made.put("a", failure())
    ranking = made.look()
    assert (ranking.order, ranking.best) == ((), None), "b may answer in a moment"
    assert ranking.health["a"].state is ModelState.UNKNOWN
    made.put("b", answer())
    assert made.look().order == ("b",)
    made.restart()
    assert made.look().order == ("b",), "as written down"


def test_a_model_that_is_new_waits_for_its_first_answer() -> None:
    made = probed(watch(model("a"), model("b", quality="1")), a=200)
    assert made.look().order == ("a",)
    made.put("b", answer(200))
    assert made.look().order == ("b", "a")


def test_all_are_down() -> None:
    made = probed(watch(model("a"), model("b"), model("c")), a=200, b=200, c=200)
    probed(made, a=None, b=None, c=None)
    ranking = probed(made, a=None, b=None, c=None).look()
    assert (ranking.order, ranking.best) == ((), None)
    assert {LETTERS[h.state] for h in ranking.health.values()} == {"U"}
    assert ranking.scores.keys() == {"a", "b", "c"}
    assert all(h.failures > h.requests / 2 for h in ranking.health.values())
    for _ in range(7):
        probed(made, a=None, b=200, c=None)
    assert made.look().order == ("b",)


def test_one_that_fails_for_a_moment_may_be_chosen_and_one_that_waits_may_not() -> None:
    made = probed(watch(model("a", quality="1"), model("b")), a=200, b=200)
    for _ in range(2):
        made.put("a", failure())
        made.look()
        made.seconds += 1
    ranking = made.look()
    assert ranking.health["a"].state is ModelState.FAILING
    assert ranking.order == ("a", "b")
    made.put("a", failure("4"))
    assert made.look().order == ("b",)
