"""What users' requests say of a model, beside probes."""

from __future__ import annotations

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelState, ModelStatus
from tests.support.model_watch import Watch, at, spec, tally

PASSIVE = {"metrics": {"preset": "LiteLLM"}}


def test_users_requests_count() -> None:
    watch = Watch(spec(**PASSIVE))
    watch.play("SSSSSS")
    watch.count(a=tally(50, 12))
    health = watch.look().health["a"]
    assert (health.state, health.reason) == (ModelState.FAILING, Reason.MODEL_ERRORS)
    assert (health.requests, health.failures) == (56, 12)
    watch.seconds += 10
    assert watch.look().health["a"].state is ModelState.UNHEALTHY
    watch.count(a=tally(50, 8))
    assert watch.play("SSSSSS") == "UUUUUH"


@pytest.mark.parametrize(
    ("requests", "failures", "state"),
    [(50, 11, "H"), (50, 12, "F"), (3, 1.33, "H"), (3, 3, "F"), (1000, 100, "H"), (1000, 300, "F"), (0, 0, "H"),
     (float("nan"), 5, "H"), (5, float("nan"), "H"), (-1, 0, "H"), (4, 9, "F"), (4, -9, "H")],
)  # fmt: skip
def test_users_requests_and_probes_together(requests: float, failures: float, state: str) -> None:
    watch = Watch(spec(**PASSIVE))
    watch.play("SSSSSS")
    watch.count(a=tally(requests, failures))
    assert watch.play(".") == state


@pytest.mark.parametrize(
    ("requests", "p95", "probes", "state"),
    [(50, 3000, "SSSSSS", "F"), (50, 1000, "SSSSSS", "H"), (50, 1000, "SSSLLS", "H"), (4, 1000, "SSSLLS", "F"),
     (2, 3000, "SSSSSS", "H"), (4, 3000, "SSSSSS", "F"), (50, float("nan"), "SSSSSS", "H"), (50, None, "SSSLLS", "F")],
)  # fmt: skip
def test_users_requests_and_probes_that_are_slow(requests: float, p95: float | None, probes: str, state: str) -> None:
    watch = Watch(spec(switch={"maxP95Ms": 2000}, **PASSIVE))
    watch.count(a=tally(requests, 0, p95))
    for letter in probes:
        watch.play(letter)
        watch.models = [ModelStatus(name="a", state=ModelState.HEALTHY, healthy_since=at(0))]
    watch.count(a=tally(requests, 0, p95))
    assert watch.play(".") == state


def test_one_that_users_get_no_answers_from_does_not_recover_because_prometheus_is_away() -> None:
    watch = Watch(spec(**PASSIVE))
    watch.play("SSSSSS")
    for _ in range(3):
        watch.count(a=tally(50, 40))
        states = watch.play("S")
    assert states == "U"
    assert watch.play("SSSSSS") == "UUUUUU", "they fail as long as they are in the window"
    watch.models = [ModelStatus(name="a", state=ModelState.FAILING, failing_since=at(0))]
    watch.restart()
    assert watch.play("SSSSSS") == "FFFFFH", "a whole window of good probes"
    watch.models = [ModelStatus(name="a", state=ModelState.FAILING, failing_since=at(0))]
    watch.restart()
    watch.count(a=tally(0))
    assert watch.play("S") == "H", "Prometheus says that nothing fails any more"


def test_counts_are_not_taken_for_ever() -> None:
    watch = Watch(spec(**PASSIVE))
    watch.play("SSSSSS")
    watch.count(a=tally(50, 40))
    assert watch.play("S") == "F"
    watch.models = [ModelStatus(name="a", state=ModelState.HEALTHY)]
    watch.seconds += 51
    assert watch.look().health["a"].requests < 10
