"""The neighbour of work on keys hides nothing, and is judged by its goal."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from bench import cache_keys, cache_neighbour
from bench.cache_neighbour import Neighbour, Seen, now
from hack.rig.redis import RedisServer, server
from hack.rig.waiting import until

KEYS = 400
HELD_SECONDS = 0.5


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with server() as running:
        cache_keys.fill(running, cache_keys.NAMESPACES, KEYS)
        yield running


def test_windows_are_of_when_a_request_was_due() -> None:
    seen = Seen([1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 20.0, 30.0, 40.0, 50.0])
    assert seen.between((2.0, 4.0)) == [20.0, 30.0]
    assert seen.between((0.0, 2.0), (4.5, 9.0)) == [10.0, 50.0]


def test_the_ratio_is_of_the_same_quantiles_and_the_goal_is_below_two() -> None:
    idle = [float(value) for value in range(1, 101)]
    found = cache_neighbour.summary(idle, [value * 1.9 for value in idle])
    assert found["idle"] == {"count": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert found["ratio"] == {"p50": 1.9, "p95": 1.9, "p99": 1.9}
    assert found["met"]
    assert not cache_neighbour.summary(idle, [value * 2 for value in idle])["met"]


def test_without_requests_there_are_no_figures() -> None:
    with pytest.raises(ValueError, match="no values"):
        cache_neighbour.summary([1.0], [])


def calls(redis: RedisServer, command: str) -> int:
    return int(redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_what_is_due_while_redis_is_held_waits_for_all_of_that(redis: RedisServer) -> None:
    with Neighbour(redis, "users", KEYS, per_second=50) as neighbour:
        redis.call("DEBUG", "SLEEP", str(HELD_SECONDS))
        before = calls(redis, "get")
        until("the neighbour to go on", lambda: calls(redis, "get") >= before + 30, seconds=30)
        seen = neighbour.end()
    # Whatever was due in the first half waits for the second one at least: at fifty a second, 12 of them.
    assert sum(took > HELD_SECONDS * 1000 / 2 for took in seen.milliseconds) >= 11
    assert [round(later - due, 3) for due, later in itertools.pairwise(seen.due)] == [0.02] * (len(seen.due) - 1)


def test_what_was_due_before_the_end_is_not_left_out(redis: RedisServer) -> None:
    with Neighbour(redis, "users", KEYS, per_second=50) as neighbour:
        before = now()
        redis.suspend()
        resuming = threading.Timer(HELD_SECONDS, redis.resume)
        resuming.start()
        # It is asked while Redis holds it.
        until("the time to pass", lambda: now() > before + HELD_SECONDS * 0.8, seconds=30, every=0.01)
        ended = now()
        seen = neighbour.end()
        resuming.join()
    assert max(seen.due) > ended - 0.05
    assert len(seen.between((before, ended))) >= 18


def test_it_leaves_keys_as_they_were(redis: RedisServer) -> None:
    lacking = cache_keys.without_ttl(redis, "users", KEYS)
    with Neighbour(redis, "users", KEYS, per_second=2_000) as neighbour:
        before = calls(redis, "set")
        until("all keys to be written", lambda: calls(redis, "set") >= before + KEYS, seconds=30)
        assert not neighbour.end().error
    assert cache_keys.without_ttl(redis, "users", KEYS) == lacking > 0


def test_a_key_that_is_gone_leaves_no_figures(redis: RedisServer) -> None:
    before = calls(redis, "get")
    with Neighbour(redis, "nobody", KEYS, per_second=500) as neighbour:
        until("the neighbour to read", lambda: calls(redis, "get") > before, seconds=30)
        with pytest.raises(ValueError, match="failed after 2: a key does not hold what was written"):
            neighbour.end()


def test_a_write_that_is_refused_leaves_no_figures(redis: RedisServer) -> None:
    with Neighbour(redis, "users", KEYS, per_second=500) as neighbour:
        redis.call("CONFIG", "SET", "maxmemory", "1")
        try:
            until("a write to be refused", lambda: "errorstat_OOM" in redis.info("errorstats"), seconds=30)
        finally:
            redis.call("CONFIG", "SET", "maxmemory", "0")
        with pytest.raises(ValueError, match=r"failed after .*: .*maxmemory"):
            neighbour.end()
