"""The benchmark of flushes flushes what it says, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bench import cache_flush, cache_keys, cache_world, figures
from bench.cache_flush import BY_NAMESPACE, BY_TAG, NAIVE, OPERATOR, QUICK, Turn
from bench.cache_neighbour import Seen
from hack.rig.redis import server

EACH = QUICK.keys // 4
TURN = Turn(NAIVE, None, BY_NAMESPACE, 2.0, 4_000, 1_000, 0.5, 0.25, (10.0, 12.0), ((0.0, 10.0), (14.0, 20.0)))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of tests are no figures."""
    monkeypatch.setattr(figures, "OUT", tmp_path)


def test_it_flushes_as_the_operator_does_and_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    found = cache_flush.run(QUICK, print)
    turns = [(each["how"], each["what"], each["keysPerSecond"], each["deleted"]) for each in found["flushes"]]
    expected: list[tuple[str, str, int | None]]
    expected = [(OPERATOR, what, rate) for rate in QUICK.rates for what in (BY_NAMESPACE, BY_TAG)]
    expected += [(NAIVE, BY_NAMESPACE, None), (NAIVE, BY_TAG, None)]
    assert turns == [(*turn, EACH if turn[1] == BY_NAMESPACE else 2 * EACH) for turn in expected]
    for each in found["flushes"]:
        assert each["neighbour"]["idle"]["p99"] > 0
        assert each["neighbour"]["busy"]["count"] > 0
    # All keys are looked at; those of the namespace go at the rate and no faster.
    first = found["flushes"][0]
    assert QUICK.keys <= first["scanned"] < QUICK.keys * 1.5
    assert first["deletedPerSecond"] <= QUICK.rates[0] * 1.05
    assert first["cpuSeconds"] > 0
    assert "Flush by tag" in capsys.readouterr().out
    written = json.loads((figures.OUT / "cache_flush.json").read_text())
    assert written["flushes"] == found["flushes"]
    assert "password" not in str(written)


def test_figures_of_a_flush() -> None:
    seen = Seen([1.0, 11.0, 13.0, 15.0], [1.0, 3.0, 99.0, 2.0])
    found = cache_flush.result(TURN, seen)
    assert found["scannedPerSecond"] == 2_000
    assert found["deletedPerSecond"] == 500
    assert found["cpuMicrosecondsAKey"] == 125.0
    # What was due while Redis still freed memory is of neither.
    assert found["neighbour"]["idle"]["count"] == 2
    assert found["neighbour"]["busy"]["p99"] == 3.0
    assert found["neighbour"]["ratio"]["p99"] == 1.5


def test_a_flush_that_takes_too_much_or_too_little_is_no_figure() -> None:
    with server() as redis:
        cache_keys.fill(redis, ("texts", "images", "users"), EACH)
        right = replace(TURN, deleted=EACH)
        cache_flush._check(redis, right, EACH)
        with pytest.raises(RuntimeError, match=f"there were {EACH}"):
            cache_flush._check(redis, replace(right, deleted=EACH - 1), EACH)
        with pytest.raises(RuntimeError, match=f"0 keys of docs are there.*it should be {EACH}"):
            cache_flush._check(redis, replace(right, what=BY_TAG), EACH)
        cache_keys.fill(redis, ("docs",), EACH)
        with pytest.raises(RuntimeError, match=f"{EACH} keys of docs are there.*it should be 0"):
            cache_flush._check(redis, right, EACH)


def test_work_that_fails_is_told_and_not_waited_for() -> None:
    with server() as redis:
        cache_keys.fill(redis, cache_keys.NAMESPACES, 10)
        wish = cache_world.spec(redis, flush={"name": "bench", "namespaceName": "docs"})
        redis.call("ACL", "SETUSER", "sophia-admin", "-unlink")
        with pytest.raises(RuntimeError, match=r"a part of the work failed: .*unlink"):
            cache_world.work(redis, wish, cache_world.scanned(), lambda status: bool(status.flushes))


def test_work_that_is_not_there_is_not_waited_for() -> None:
    with server() as redis, pytest.raises(RuntimeError, match="nothing to be done"):
        cache_world.work(redis, cache_world.spec(redis), cache_world.scanned(), lambda status: bool(status.flushes))
