"""How a model is, from probe to probe."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelState, ModelStatus
from sophia_operator.core.model.evidence import LONGEST_PAUSE_SECONDS
from sophia_operator.core.views import Blocker
from tests.support.model_watch import FAULTS, Watch, answer, at, failure, model, spec, tally

#: What is different in the spec, how probes end, and how the model is after each of them. Ten seconds lie between.
CASES: list[tuple[dict[str, Any], str, str]] = [
    # one failure is chance, however few probes there are
    ({}, "SSSSSS", "HHHHHH"),
    ({}, "SFSSSS", "HHHHHH"),
    ({}, "SFS", "HHH"),
    ({"switch": {"minRequests": 1, "maxErrorPercent": 0}}, "SFSS", "HHHH"),
    # two in a row are not, for as long as forSeconds says
    ({}, "SSSFF", "HHHHF"),
    ({}, "SSSFFF", "HHHHFU"),
    ({"switch": {"forSeconds": 0}}, "SSSFF", "HHHHU"),
    ({"switch": {"forSeconds": 25}}, "SSSFFFFF", "HHHHFFFU"),
    # and neither is a share of all
    ({}, "SFSFSF", "HHHFUU"),
    ({"switch": {"maxErrorPercent": 50}}, "SFSFSF", "HHHHHH"),
    ({"switch": {"minRequests": 100}}, "SFSFSF", "HHHHHH"),
    ({"switch": {"minRequests": 100}}, "SFFSS", "HHFHH"),
    # every way to fail is one
    *[({}, f"SS{c * 3}", "HHHFU") for c in "FTXEBW"],
    ({}, "SSTEX", "HHHFU"),
    # slow: one slow answer is chance too
    ({}, "SLLLLL", "HHHHHH"),
    ({"switch": {"maxP95Ms": 2000}}, "SSLSSS", "HHHHHH"),
    ({"switch": {"maxP95Ms": 2000}}, "SSLLL", "HHHFU"),
    ({"switch": {"maxP95Ms": 2000}}, "LLLLS", "HHFUU"),  # it answers, so it is Healthy until there are enough
    ({"switch": {"maxP95Ms": 5000}}, "LLLLL", "HHHHH"),
    # nothing is known of what never answered; it is not failing, for it never worked
    ({}, "FFFF", "??UU"),
    ({}, "FSSS", "?HHH"),
    # it comes back once it answered for a whole window
    ({}, "SSSFFFSSSSSSS", "HHHHFUUUUUUHH"),
    ({}, "FFFFFFFFSSSSSSS", "??UUUUUUUUUUUHH"),
    ({"switch": {"maxErrorPercent": 0}}, "SSSFFFSSSSSSS", "HHHHFUUUUUUHH"),
    ({"switch": {"maxP95Ms": 2000}}, "SSLLLSSLSSSSSSS", "HHHFUUUUUUUUUHH"),
    # or so often in a row that it is hardly chance
    ({"switch": {"windowSeconds": 3600}}, "F" * 20 + "S" * 14, "??" + "U" * 31 + "H"),
    ({"switch": {"windowSeconds": 3600, "maxErrorPercent": 50}}, "F" * 20 + "S" * 6, "??" + "U" * 22 + "HH"),
    # no limit is so low that more would be asked for than what is remembered
    ({"switch": {"windowSeconds": 3600, "maxErrorPercent": 0}}, "F" * 300 + "S" * 128, "??" + "U" * 425 + "H"),
    # one that comes and goes does not: errors stay above the limit
    ({}, "FFFSSFSSFSSFSS", "??UUUUUUUUUUUU"),
    ({}, "FFFSSSFSSSFSSSF", "??UUUUUUUUUUUUU"),
    ({}, "FFFSSSSSFSSSSSF", "??UUUUUUUUUUUUU"),
    ({"switch": {"windowSeconds": 3600}}, "FFF" + "SSSSF" * 20, "??" + "U" * 101),
    # asked less than once in a window, two in a row count all the same
    ({"switch": {"windowSeconds": 5}}, "SSFFFSS", "HHHFUUH"),
    # 429: no failure, and over with the next good answer
    ({}, "SS4", "HHP"),
    ({}, "SS444", "HHPPP"),
    ({}, "SS4S", "HHPH"),
    ({}, "4S", "PH"),
    ({}, "SS4FS", "HHPPH"),
    ({}, "SS4FFF", "HHPPPU"),
    ({}, "SSF4FF", "HHHPPU"),
    ({}, "SSFFF4SSSS", "HHHFUPUUUU"),  # it broke a limit before, so that one answer is not enough
    ({}, "S4S4S4S4", "HPHPHPHP"),
    # 401 and 403: of credentials
    ({}, "SSC", "HHR"),
    ({}, "SSCCC", "HHRRR"),
    ({}, "SSCS", "HHRH"),
    ({}, "SSCFS", "HHRRH"),
    ({}, "SSCFFF", "HHRRRU"),
    ({}, "C4S", "RPH"),
]


@pytest.mark.parametrize(("changes", "probes", "states"), CASES)
def test_states(changes: dict[str, Any], probes: str, states: str) -> None:
    assert Watch(spec(**changes)).play(probes) == states


@pytest.mark.parametrize(("letter", "fault"), FAULTS.items())
def test_reasons_say_what_to_do(letter: str, fault: str) -> None:
    watch = Watch()
    watch.play("SS")
    for _ in range(4):
        watch.put("a", failure(letter, "as it said"))
        watch.seconds += 10
        health = watch.look().health["a"]
    expected = {
        "F": Reason.SERVER_UNREACHABLE, "T": Reason.MODEL_FAILED, "X": Reason.MODEL_FAILED, "E": Reason.INVALID_ANSWER,
        "B": Reason.INVALID_ANSWER, "W": Reason.INVALID_ANSWER, "4": Reason.RATE_LIMITED,
        "C": Reason.CREDENTIALS_REFUSED,
    }  # fmt: skip
    assert health.reason is expected[letter]
    assert ": " in health.message, "it does not say what to do"
    assert letter == "4" or ("as it said" in health.message and "https://a.example/v1" in health.message)
    assert not health.eligible


def test_a_missing_secret_and_a_missing_capability() -> None:
    watch = Watch(spec(model("a", capabilities=["tools"]), model("b"), requires=["tools"]))
    assert watch.play("SS", b="SS") == "HH"
    found = watch.look().health
    assert (found["b"].state, found["b"].reason) == (ModelState.INELIGIBLE, Reason.CAPABILITY_MISSING)
    assert "tools" in found["b"].message
    watch.missing["a"] = Blocker(Reason.SECRET_NOT_FOUND, "Secret key is not there: create it")
    found = watch.look().health
    assert (found["a"].state, found["a"].reason) == (ModelState.INELIGIBLE, Reason.SECRET_NOT_FOUND)
    assert found["a"].healthy_since is None
    assert watch.look().order == ()
    watch.missing = {}
    assert watch.play("S", b="S") == "H"


def test_a_limit_that_it_broke_is_not_over_because_its_secret_was_away() -> None:
    watch = Watch()
    assert watch.play("SSSFFF") == "HHHHFU"
    watch.missing["a"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    watch.look()
    watch.missing = {}
    watch.restart()
    assert watch.play("..S") == "???"
    assert watch.models[0].failing_since == at(40)
    assert watch.play("SSSSS") == "????H"


def test_a_pause_lasts_as_long_as_the_provider_says() -> None:
    for asked, lasts in [(None, 30), (5.0, 5), (120.0, 120), (86_400.0, 600), (0.0, 0), (-3.0, 0), (float("nan"), 30)]:
        watch = Watch()
        watch.play("S")
        watch.put("a", failure("4", retry_after=asked))
        health = watch.look().health["a"]
        assert (health.state, health.paused_until) == (ModelState.PAUSED, at(10 + lasts)), asked
        assert "429" in health.evidence


def test_a_pause_outlives_a_restart() -> None:
    watch = Watch()
    watch.play("S")
    watch.put("a", failure("4", retry_after=100))
    watch.look()
    watch.restart()
    assert watch.play("...") == "PPP"
    assert watch.models[0].paused_until == at(110)
    watch.missing["a"] = Blocker(Reason.SECRET_NOT_FOUND, "gone")
    assert watch.play(".") == "I"
    watch.missing = {}
    assert watch.play(".", every=100) == "P"
    assert watch.play("..") == "PP", "nothing says that it answers"
    assert watch.models[0].paused_until == at(110)
    assert watch.play("S") == "H"


@pytest.mark.parametrize(("probes", "state"), [("S", "H"), ("SFF", "F"), ("SFFF", "U"), ("S4", "P"), ("C", "R")])
def test_a_restart_knows_no_better_and_no_worse(probes: str, state: str) -> None:
    watch = Watch()
    assert watch.play(probes)[-1] == state
    before = watch.models[0]
    watch.restart()
    assert watch.play("." * 30) == state * 30
    after = watch.models[0]
    assert (after.healthy_since, after.failing_since) == (before.healthy_since, before.failing_since)
    assert after.reason == before.reason


def test_what_a_restart_left_goes_on() -> None:
    watch = Watch()
    assert watch.play("SFF") == "HHF"
    watch.restart()
    assert watch.play("F") == "U", "one more failure, ten seconds after it began to fail"
    watch.restart()
    assert watch.play("FF") == "UU"
    watch.restart()
    assert watch.play("SSSSSS") == "UUUUUH", "a whole window, of which nothing is known before the restart"
    assert watch.models[0].healthy_since == at(110)


def test_what_was_seen_long_ago_says_nothing_any_more() -> None:
    watch = Watch(spec(switch={"windowSeconds": 5}))
    watch.play("FSF")
    watch.seconds += 3600
    for before, after in [("FAILING", "F"), ("UNHEALTHY", "U"), ("HEALTHY", "H"), ("UNKNOWN", "?")]:
        watch.models = [ModelStatus(name="a", state=ModelState[before])]
        health = watch.look().health["a"]
        assert watch.play(".", every=0) == after
        assert bool(health.message) == (after != "H")
    watch.probes["a"] = watch.probes["a"][:-1]
    watch.models = [ModelStatus(name="a")]
    assert watch.play(".") == "?"


def test_since_when() -> None:
    watch = Watch()
    for probes, healthy_since, failing_since in [
        ("SSS", at(0), None), ("FF", None, at(40)), ("FF", None, at(40)), ("SSSSSSS", at(120), None),
    ]:  # fmt: skip
        watch.play(probes)
        row = watch.models[0]
        assert (row.healthy_since, row.failing_since) == (healthy_since, failing_since)


PASSIVE = {"metrics": {"preset": "LiteLLM"}}


def test_evidence_in_numbers() -> None:
    watch = Watch(spec(model("a"), model("b"), **PASSIVE))
    watch.play("SSFFF", b="444FC")
    watch.count(a=tally(1050, 412.4, 2300.0), b=tally(1, 1))
    found = watch.look().health
    assert found["a"].evidence == (
        "3 of 5 probes failed (Unreachable), 412 of 1,050 requests failed in 60 s, p95 2,300 ms"
    )
    refused = "credentials refused, 1 of 1 probe failed (Unreachable), 1 of 1 request failed in 60 s"
    assert found["b"].evidence == refused
    fresh = Watch()
    assert fresh.look().health["a"].evidence == ""
    assert fresh.look().health["a"].message == "not asked yet"


def test_figures() -> None:
    watch = Watch()
    for ms in (100, 400, 200, 300):
        watch.put("a", answer(ms))
        watch.seconds += 10
    watch.put("a", failure())
    health = watch.look().health["a"]
    assert (health.requests, health.failures) == (5, 1)
    assert (health.p95_ms, health.first_token_ms, health.tokens_per_second) == (300, 62.5, 40.0)


def test_figures_of_nothing() -> None:
    health = Watch().look().health["a"]
    assert health.state is ModelState.UNKNOWN
    assert (health.requests, health.failures, health.p95_ms, health.first_token_ms) == (0, 0, None, None)


def test_messages_fit_into_the_status() -> None:
    watch = Watch(spec(model("a", endpoint={"url": "https://a.example/" + "x" * 1900})))
    for _ in range(3):
        watch.put("a", failure("W", "y" * 5000))
        watch.seconds += 10
        watch.look()
    assert len(watch.models[0].message or "") <= 512
    watch.missing["a"] = Blocker(Reason.SECRET_NOT_FOUND, "z" * 5000)
    health = watch.look().health["a"]
    assert (len(health.message), len(health.evidence) <= 512) == (512, True)


def test_a_status_that_somebody_wrote() -> None:
    watch = Watch()
    watch.models = [ModelStatus(name="a", state=ModelState.UNHEALTHY, reason="Whatever")]
    assert watch.play(".SS") == "UUU"
    assert watch.play("SSSS") == "UUUH"
    watch.models = [ModelStatus(name="a", state=ModelState.FAILING)]
    watch.restart()
    assert watch.play("..F") == "FFU"


def set_back(watch: Watch, seconds: float) -> None:
    """The clock was set back: whoever remembers what was found forgets all of it."""
    watch.seconds -= seconds
    watch.restart()


def test_a_clock_that_is_set_back_holds_up_no_failover() -> None:
    watch = Watch(spec(switch={"forSeconds": 10}))
    assert watch.play("SSSFF") == "HHHHF"
    set_back(watch, 3600)
    assert watch.play("FFF") == "FUU"


def test_a_clock_that_is_set_back_keeps_no_model_down() -> None:
    watch = Watch(spec())
    assert watch.play("SSSFFF") == "HHHHFU"
    set_back(watch, 3600)
    assert watch.play("SSSSSSS") == "UUUUUUH"
    set_back(watch, 3600)
    ranking = watch.look()
    assert ranking.health["a"].healthy_since == watch.now


def test_a_clock_that_is_set_back_leaves_no_model_alone_for_longer_than_any_pause() -> None:
    watch = Watch(spec())
    assert watch.play("S4") == "HP"
    set_back(watch, 3600)
    until = watch.look().health["a"].paused_until
    assert until == watch.now + timedelta(seconds=LONGEST_PAUSE_SECONDS)
    watch.seconds += 5
    assert watch.look().health["a"].paused_until == until, "it does not move on"
