"""What is remembered of probes, and which figures they give."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from sophia_operator.core.model.evidence import gather, p95, pause_until, proving_run, remember, works_again
from sophia_operator.core.model.findings import ModelFinding
from tests.support.model_watch import answer, at, failure, found, spec


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([7.0], 7),
        ([9.0, 1.0], 1),  # one of two says nothing of 95 %
        ([1.0, 900.0, 2.0], 2),
        ([float(n) for n in range(1, 20)], 18),
        ([float(n) for n in range(1, 21)], 19),
        ([float(n) for n in range(1, 40)], 38),
        ([float(n) for n in range(1, 41)], 38),
        ([float(n) for n in range(1, 101)], 95),
        ([float(n) for n in range(1, 1001)], 950),
    ],
)
def test_p95(values: list[float], expected: float | None) -> None:
    random.Random(1).shuffle(values)
    assert p95(values) == expected


def test_p95_is_near_the_true_one() -> None:
    draw = random.Random(2)
    for number in (20, 60, 300):
        figures = [p95([draw.random() for _ in range(number)]) or 0.0 for _ in range(400)]
        assert sum(figures) / 400 == pytest.approx(0.95, abs=0.06)


@pytest.mark.parametrize(("percent", "run"), [(0, 128), (1, 128), (3, 99), (20, 14), (50, 5), (99, 2)])
def test_a_run_that_proves_something(percent: int, run: int) -> None:
    share = percent / 100
    assert proving_run(percent) == run
    assert run in (2, 128) or (1 - share) ** run <= 0.05 < (1 - share) ** (run - 1)


@pytest.mark.parametrize(
    ("window", "percent", "gap", "number"),
    [(60, 20, 10, 6), (65, 20, 10, 7), (60, 20, 10.7, 6), (60, 20, 13, 5), (60, 20, 20, 3), (60, 20, 500, 3),
     (3600, 20, 10, 14), (1300, 0, 13, 100), (3600, 0, 10, 128), (5, 20, 10, 2), (60, 99, 10, 2)],
)  # fmt: skip
def test_works_again_after_a_whole_window_or_a_run(window: int, percent: int, gap: float, number: int) -> None:
    wish = spec(switch={"windowSeconds": window, "maxErrorPercent": percent})
    times = [at(gap * i) for i in range(number)]
    assert works_again(times, wish)
    assert not works_again(times[1:], wish)
    assert not works_again(times[:1], wish)


def test_what_is_remembered() -> None:
    rows = found("SSSSSSSSSS")
    assert remember(rows, at(95), 60) == rows[4:]
    assert remember(rows, at(130), 60) == rows[7:]
    assert remember(rows, at(9999), 60) == rows[8:], "the newest two in any case"
    assert remember((), at(0), 60) == ()
    assert remember(tuple(reversed(rows)), at(95), 60) == rows[4:], "the newest last"


def test_waiting_does_not_make_one_forget_what_was_answered() -> None:
    rows = found("SF" + "4" * 20)
    assert remember(rows, at(9999), 60) == (*rows[:2], rows[-1])


def test_memory_is_bounded() -> None:
    rows = found("S" * 1500, every=0.1)
    assert remember(rows, at(150), 3600) == rows[-256:]


def test_what_is_remembered_is_judged_as_if_nothing_were_forgotten() -> None:
    draw = random.Random(3)
    for interval in (10, 45, 100):
        wish = spec(probe={"intervalSeconds": interval})
        rows: tuple[ModelFinding, ...] = ()
        kept: tuple[ModelFinding, ...] = ()
        for index in range(200):
            now = at(index * interval)
            rows = (*rows, ModelFinding(now, answer(draw.uniform(1, 9)) if draw.random() < 0.6 else failure("F")))
            kept = remember((*kept, rows[-1]), now, wish.switch.window_seconds)
            assert gather("a", kept, None, wish, now) == gather("a", rows, None, wish, now)


def test_of_probes_that_do_not_come_any_more_nothing_is_said() -> None:
    rows = found("FF")
    assert gather("a", rows, None, spec(), at(50)).failed_in_a_row == 2
    late = gather("a", rows, None, spec(), at(200))
    assert (late.failed_in_a_row, late.probes, late.newest) == (0, 0, rows[-1])
    slow = spec(probe={"intervalSeconds": 100})
    assert gather("a", rows, None, slow, at(200)).failed_in_a_row == 2, "the next one is not due for long"


def test_old_failures_do_not_count_once_it_works() -> None:
    wish = spec(switch={"windowSeconds": 3600})
    rows = found("F" * 30 + "S" * 14)
    evidence = gather("a", rows, None, wish, rows[-1].at)
    assert (evidence.judged, evidence.judged_failures, evidence.failure, evidence.faults) == (14, 0, None, ())
    assert (evidence.requests, evidence.failures) == (44, 30)
    rows = found("F" * 30 + "S" * 13)
    assert gather("a", rows, None, wish, rows[-1].at).judged == 43
    rows = found("F" * 3 + "S" * 14 + "F" + "S" * 20 + "FSF")
    assert gather("a", rows, None, wish, rows[-1].at).judged == 23, "since the newest such run"


def test_what_failed_in_which_ways() -> None:
    rows = found("TFSF4XC")
    evidence = gather("a", rows, None, spec(), rows[-1].at)
    assert [str(f) for f in evidence.faults] == ["ServerError", "Unreachable", "Timeout"]
    assert (evidence.failure, evidence.newest) == (failure("X"), rows[-1])
    assert (evidence.probes, evidence.probe_failures, evidence.failed_in_a_row) == (5, 4, 2)


def test_only_429_pauses() -> None:
    for letter in "FTXEBWC":
        assert pause_until(ModelFinding(at(0), failure(letter, retry_after=9))) is None
    assert pause_until(ModelFinding(at(0), answer())) is None
    assert pause_until(ModelFinding(at(0), failure("4", retry_after=9))) == at(9)


def test_findings_stand_in_an_order_of_their_own() -> None:
    rows = list(found("SFLT", every=0))
    first = gather("a", rows, None, spec(), at(1))
    for seed in range(20):
        random.Random(seed).shuffle(rows)
        assert gather("a", rows, None, spec(), at(1)) == first
    kept = remember(rows, at(1), 60)
    assert all(a.at <= b.at for a, b in pairwise(kept))
