"""The benchmark of connections through a pool works, and judges by its goal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bench import figures, pool_clients, pool_connect
from bench.pool_clients import Clients, Outcome, Round
from bench.pool_connect import DIRECT, FULL, POOLED, QUICK, STEADY, Parameters, Turn

TWO_ROUNDS = Parameters(rounds=2, seconds=2.0, warm=1.0)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of tests are no figures."""
    monkeypatch.setattr(figures, "OUT", tmp_path)


def turn(way: str, *milliseconds: float, errors: tuple[str, ...] = ()) -> Turn:
    cpu = {"clients": 0.1, "postgres": 0.2 if way == DIRECT else 0.0, "pgbouncer": 0.1 if way == POOLED else 0.0}
    return Turn(way, FULL, Outcome(list(milliseconds), list(errors), 0.1, len(milliseconds) * 2), cpu)


def test_it_takes_both_ways_with_tls_and_tells_whose_time_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    found = pool_connect.run(QUICK, print)
    for load in (FULL, STEADY):
        for way in (DIRECT, POOLED):
            assert found[load][way]["count"] > 0
            assert found[load][way]["milliseconds"]["p50"] > 0
            assert found[load][way]["cpuMillisecondsEach"]["clients"] > 0
        # Who goes directly does not trouble the pooler, and a pooled connection starts no process at the server.
        assert found[load][DIRECT]["cpuMillisecondsEach"]["pgbouncer"] < 0.5
        assert found[load][DIRECT]["cpuMillisecondsEach"]["postgres"] > 0.5
        assert found[load][POOLED]["cpuMillisecondsEach"]["pgbouncer"] > 0.1
        assert found[load][POOLED]["cpuMillisecondsEach"]["postgres"] < 1.0
    assert "through the pool" in capsys.readouterr().out
    written = json.loads((figures.OUT / "pool_connect.json").read_text())
    assert written["full"]["ratio"] == found["full"]["ratio"]
    assert "password" not in str(written)


def test_ratios_are_of_all_rounds_and_of_each() -> None:
    turns = [turn(DIRECT, 10, 20), turn(POOLED, 10, 22), turn(POOLED, 30, 30), turn(DIRECT, 20, 20)]
    found = pool_connect.summary(turns, TWO_ROUNDS)
    assert found[DIRECT]["milliseconds"] == {"mean": 17.5, "p50": 20.0, "p95": 20.0, "p99": 20.0}
    assert found["ratio"] == {"mean": 1.3143, "p50": 1.1, "p95": 1.5, "p99": 1.5}
    assert (found["p50RatioOfRounds"].min, found["p50RatioOfRounds"].max) == (1.0, 1.5)
    assert found["met"] == {"p50": False, "p95": False, "p99": False}
    assert found[POOLED]["perSecond"] == 2.0
    assert found[POOLED]["cpuMillisecondsEach"] == {"clients": 25.0, "postgres": 0.0, "pgbouncer": 25.0}
    assert found[DIRECT]["cpuShare"] == {"clients": 0.333, "postgres": 0.667, "pgbouncer": 0.0}


def test_the_goal_leaves_five_percent() -> None:
    kept = pool_connect.summary([turn(DIRECT, 100), turn(POOLED, 105)], TWO_ROUNDS)
    assert kept["met"] == {"p50": True, "p95": True, "p99": True}
    missed = pool_connect.summary([turn(DIRECT, 100), turn(POOLED, 106)], TWO_ROUNDS)
    assert not any(missed["met"].values())


def test_what_failed_is_no_figure() -> None:
    with pytest.raises(ValueError, match="1 of 2 failed, as in: refused"):
        pool_connect.summary([turn(DIRECT, 1.0), turn(POOLED, 1.0, errors=("refused",))], TWO_ROUNDS)


def test_clients_tell_what_went_wrong() -> None:
    with Clients(3, 2) as clients:
        found = clients.run(Round("host=127.0.0.1 port=1 connect_timeout=2", 0.3, 0.0, every=0.2))
    assert not found.milliseconds
    assert found.errors
    assert "127.0.0.1" in found.errors[0]


async def test_a_client_that_is_held_up_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three are due while the first one takes its time: the time that they wait for it is theirs."""
    calls = 0

    async def slow_once(_: str) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.4 if calls == 1 else 0.0)

    monkeypatch.setattr(pool_clients, "_once", slow_once)
    found = await pool_clients._run(Round("", 0.35, 0.0, every=0.1), 1)
    assert found.done == 4
    assert found.milliseconds[0] >= 400
    assert found.milliseconds[1] >= 290
    assert found.milliseconds[2] >= 190
