"""What failovers of models are counted from, what spoils a round, and how the operator compares with gateways alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench import figures, model_failover, model_rounds, model_tables, model_world
from bench.model_failover import Parameters
from bench.model_rounds import Fault, Mode, Round, Seen, _calm, before, play, seen, why_spoiled
from hack.load import Record
from hack.rig.models import route
from sophia_operator.api.model_route import ModelRoute

STRUCK = 1_000.0
ACTED = Round(Fault.KILLED, Mode.OPERATOR, "model-a", STRUCK, STRUCK + 5, STRUCK + 6, STRUCK + 2.5, STRUCK + 3)
ALONE = replace(ACTED, mode=Mode.BUILT_IN, decided=None, proved=None)
SAW = Seen(250, 5, 10, 1.5, 3.0, 10.0, 400.0, 1.0, 0)


def record(due: float, took: float = 0.01, status: int = 200, by: str = "model-b") -> Record:
    """A request that was due so long after the fault."""
    at = STRUCK + due
    return Record(at, at, at + took, status, by if status else None, None, None, fresh=False, repeated=False)


@pytest.mark.parametrize("case", model_world.CASES)
def test_routes_are_such_that_the_api_takes_them(case: str) -> None:
    wish = model_world.wish(1)
    obj = route(case, model_world.NAMESPACE, gateway=model_world.gateway_of(case), **wish)
    found = ModelRoute.model_validate(obj).spec
    assert [m.name for m in found.models] == list(model_world.MODELS)
    assert found.models[-1].fallback_order == list(model_world.MODELS[:-1])
    assert (found.probe.interval_seconds, found.switch.for_seconds, found.failback.manual) == (1, 1, True)


def test_each_model_is_followed_by_all_others_in_turn() -> None:
    assert model_world.following("model-c") == ["model-d", "model-a", "model-b"]
    turn, name = [], "model-a"
    for _ in model_world.MODELS:
        turn.append(name)
        name = model_world.following(name)[0]
    assert (turn, name) == (list(model_world.MODELS), "model-a")


class _Stage:
    """A route, its models and the clock; what is done is written down, with the time."""

    def __init__(self) -> None:
        self.now, self.done = STRUCK - 2, list[tuple[float, str]]()

    # -- The clock ----

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    # -- The route ----

    def patch(self, **spec: Any) -> None:
        self.note(f"{spec}")

    def wait(self, *_: object, **__: object) -> str:
        self.now += 1.5
        return "model-d"

    def wait_past(self, kind: str, since: float, **_: object) -> dict[str, Any]:
        self.now += 3
        self.note(f"{kind} since {since:g}")
        at = [datetime.fromtimestamp(moment, UTC).isoformat() for moment in (self.now - 1, self.now)]
        return {"from": "model-d", "to": "model-a", "result": "Switched", "startedAt": at[0], "provedAt": at[1]}

    # -- A model ----

    def kill(self) -> float:
        self.note("killed")
        return self.now

    def start_again(self) -> None:
        self.note("started again")

    def control(self, **settings: Any) -> None:
        self.note(f"{settings}")

    def note(self, words: str) -> None:
        self.done.append((self.now - STRUCK, words))


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("mode", Mode)
def test_gateway_alone_has_the_whole_window_to_itself(
    fault: Fault, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage: Any = _Stage()
    monkeypatch.setattr(model_rounds, "time", stage)
    found = play(model_world.Site(stage, {"model-d": stage}, "http://x", b""), fault, mode, 5.0)
    begins, ends = ("killed", "started again") if fault is Fault.KILLED else ("{'fault': 'hang'}", "{'fault': None}")
    if mode is Mode.OPERATOR:
        wanted = [(-2.0, "{'dryRun': False}"), (0.0, begins), (3.0, "Failover since 1000"), (5.0, ends)]
        assert (found.decided, found.proved) == (STRUCK + 2, STRUCK + 3)
    else:
        wanted = [(-2.0, "{'dryRun': True}"), (0.0, begins), (5.0, "{'dryRun': False}")]
        wanted += [(8.0, "Failover since 1005"), (8.0, ends)]
        assert (found.decided, found.proved) == (None, None)
    assert stage.done == wanted
    assert (found.model, found.struck, found.until, found.over) == (
        "model-d",
        STRUCK,
        STRUCK + 5,
        STRUCK + wanted[-1][0],
    )
    assert found.spoiled is None


def test_requests_count_from_the_fault_until_the_window_ends() -> None:
    records = [
        record(-0.01, took=2.0),
        record(0.02, status=503, by="model-a"),
        record(0.04, status=0, took=4.0),
        record(1.0, took=0.7),
        record(1.5, took=0.1),
        *(record(2 + n / 100) for n in range(96)),
        record(5.5, status=503),
    ]
    found = seen(records, ACTED)
    assert (found.sent, found.failed, found.slow) == (100, 2, 1)
    assert (found.first, found.p50, found.p99) == (1.6, 10.0, 700.0)
    # The switch was late: what failed after the window, and before the end, is not forgotten.
    assert found.last_trouble == 5.5
    # For the gateway alone, the operator may help by then.
    assert seen(records, ALONE).last_trouble == 1.0


def test_operator_and_gateway_are_both_told_of_answers_that_never_came() -> None:
    found = seen([record(0.1, status=0, took=4.0), record(5.2)], ALONE)
    assert (found.first, found.failed, found.last_trouble) == (None, 1, 0.1)
    with pytest.raises(ValueError, match="no values"):
        seen([record(-1.0)], ACTED)


def test_answers_of_the_model_that_failed_are_found_but_for_those_on_their_way_and_those_that_waited() -> None:
    by_a = [record(due, took, by="model-a") for due, took in ((0.1, 0.01), (1.0, 0.01), (4.9, 2.0))]
    found = seen([*by_a, record(1.1)], ACTED)
    assert found.by_failed == 1
    assert _fault([(ACTED, SAW), (ACTED, replace(SAW, by_failed=1))])["met"] is False


def test_before_counts_what_was_over_when_the_fault_came() -> None:
    records = [record(-0.6), record(-0.4, took=0.02), record(-0.2, took=0.04), record(-0.01, took=1.0), record(0.1)]
    assert before(records, [ACTED]) == {"requests": 2, "p50": 20.0, "p99": 40.0}
    assert before([], [ACTED]) == {"requests": 0}


def test_only_the_switch_that_the_fault_called_for_counts() -> None:
    moments = {"startedAt": "1970-01-01T00:16:42.500000Z", "provedAt": "1970-01-01T00:16:43Z"}
    past = {"from": "model-a", "to": "model-b", "result": "Switched", **moments}
    assert why_spoiled(past, "model-a", STRUCK) is None
    assert "not model-b" in (why_spoiled(past, "model-b", STRUCK) or "")
    assert "Overtaken" in (why_spoiled(past | {"result": "Overtaken"}, "model-a", STRUCK) or "")
    unproved = {key: value for key, value in past.items() if key != "provedAt"}
    assert "not proved" in (why_spoiled(unproved, "model-a", STRUCK) or "")
    # A dry run that acts all the same.
    assert "before it should" in (why_spoiled(past, "model-a", STRUCK + 5) or "")


def test_route_is_calm_when_the_next_model_may_take_over() -> None:
    def told(**changes: Any) -> dict[str, Any]:
        rows = [{"name": name, "state": "Healthy"} for name in ("model-b", "model-c")]
        rows += [{"name": name, "state": "Unhealthy"} for name in ("model-a", "model-d")]
        usual = {"active": "model-b", "revision": 3, "provedRevision": 3, "observedGeneration": 2, "models": rows}
        return {"metadata": {"generation": 2}, "status": usual | changes}

    assert _calm(told()) == "model-b"
    assert _calm(told(active="model-c")) is None  # model-d is next
    assert _calm(told(provedRevision=2)) is None
    assert _calm(told(observedGeneration=1)) is None
    assert _calm(told(switch={"kind": "Failover"})) is None
    assert _calm({"metadata": {"generation": 1}}) is None


def test_each_round_must_be_proved_in_time() -> None:
    late = replace(ACTED, proved=STRUCK + 5.1)
    assert _fault([(ACTED, SAW), (ACTED, SAW)])["met"] is True
    found = _fault([(ACTED, SAW), (late, SAW)])
    assert (found["within"], found["met"]) == (1, False)
    hang = replace(late, fault=Fault.HANGS)
    assert model_failover.of_fault(Fault.HANGS, [(hang, SAW)])["met"] is True
    assert found["ratios"] is None


def test_spoiled_rounds_count_for_nothing_and_miss_the_goal() -> None:
    spoiled = replace(ACTED, proved=None, decided=None, spoiled="another one failed")
    found = _fault([(ACTED, SAW), (spoiled, replace(SAW, failed=100))])
    operator = found["modes"]["operator"]
    assert (operator["spoiled"], operator["failed"].max, found["met"]) == (1, 5, False)
    assert len(operator["rounds"]) == 2


def test_operator_is_compared_with_the_gateway_alone() -> None:
    alone = replace(SAW, failed=0, slow=40, first=3.0, last_trouble=4.9, p50=20.0, p99=1_000.0)
    found = _fault([(ALONE, alone), (ACTED, SAW), (ALONE, replace(alone, slow=50)), (ACTED, replace(SAW, slow=18))])
    assert found["ratios"]["slow"] == {"median": 0.31, "worst": 0.36}
    assert found["ratios"]["p99"] == {"median": 0.4, "worst": 0.4}
    assert found["ratios"]["failed"] == {"median": None, "worst": None}
    assert found["met"] is True
    (table,) = model_tables.tables(_whole("portkey", found))
    cells = [list(column.cells) for column in table.columns]
    assert cells[0][:3] == ["operator had decided", "every replica had followed", "first answer of another model"]
    assert cells[1][3] == "still at 5 s"
    assert (cells[1][5], cells[2][5], cells[3][5]) == ("45 (50)", "14 (18)", "0.31 (0.36)")
    assert cells[2][-1] == "2 of 2"


def test_table_of_a_gateway_that_does_nothing_itself_has_one_column() -> None:
    (table,) = model_tables.tables(_whole("contour", _fault([(ACTED, SAW), (replace(ACTED, proved=STRUCK + 9), SAW)])))
    assert len(table.columns) == 2
    assert list(table.columns[1].cells)[-1] == "1 of 2: MISSED"
    assert "250 requests in 5 s" in str(table.title)


def test_the_exit_code_says_whether_the_goal_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "OUT", tmp_path)
    asked: list[Parameters] = []

    def measured(parameters: Parameters, say: object) -> dict[str, Any]:
        asked.append(parameters)
        return _whole("contour", _fault([(replace(ACTED, proved=STRUCK + parameters.for_seconds), SAW)]))

    monkeypatch.setattr(model_failover, "measure", measured)
    assert model_failover.main(["--cases", "contour", "--faults", "killed", "--repetitions", "1"]) == 0
    assert asked[0] == Parameters(1, cases=("contour",), faults=(Fault.KILLED,))
    assert model_failover.main(["--for-seconds", "6"]) == 1
    written = json.loads((tmp_path / "model_failover.json").read_text())
    assert (written["met"], written["parameters"]["faults"]) == (False, ["killed", "hangs"])
    assert written["cases"]["contour"]["faults"]["killed"]["modes"]["operator"]["proved"]["max"] == 6.0
    assert "0 of 1: MISSED" in capsys.readouterr().out


def _fault(pairs: Sequence[tuple[Round, Seen]]) -> dict[str, Any]:
    return model_failover.of_fault(Fault.KILLED, pairs)


def _whole(case: str, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "cases": {case: {"before": {"requests": 0}, "faults": {"killed": found}}},
        "goalSeconds": {"killed": 5.0},
        "windowSeconds": {"killed": 5.0},
        "met": found["met"],
    }
