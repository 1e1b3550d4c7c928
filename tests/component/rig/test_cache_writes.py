"""Who writes all the time keeps honest books: what was acknowledged, what was refused, and what is not there now."""

from __future__ import annotations

import redis

from hack.rig.cache_writes import CacheWrites
from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import CLIENT, CLIENT_PASSWORD
from hack.rig.waiting import until


def connect(to: RedisServer) -> redis.Redis:
    return to.client(CLIENT, CLIENT_PASSWORD, timeout=2, decode_responses=True)


def test_what_was_acknowledged_is_there_and_what_is_taken_away_is_missed() -> None:
    with server() as running, CacheWrites(lambda: connect(running)) as writes:
        writes.wait_more(50)
        writes.stop()
        books = writes.books()
        assert books.acknowledged == tuple(range(len(books.acknowledged)))
        assert books.refused == ()
        assert writes.missing() == []
        running.call("DEL", "emb:g1:write-7")
        running.call("SET", "emb:g1:write-9", "other")
        assert writes.missing() == [7, 9]


def test_writes_go_on_after_refusals_and_these_are_told() -> None:
    with server() as running, CacheWrites(lambda: connect(running)) as writes:
        writes.wait_more(10)
        running.call("CONFIG", "SET", "min-replicas-to-write", "1")
        running.wait_ready()
        before = len(writes.books().acknowledged)
        until("a refusal", lambda: bool(writes.books().refused), seconds=10, every=0.01)
        assert "NOREPLICAS" in writes.books().refused[0]
        assert len(writes.books().acknowledged) <= before + 1
        running.call("CONFIG", "SET", "min-replicas-to-write", "0")
        writes.wait_more(10)
        writes.stop()
        assert writes.missing() == []
        assert writes.books().longest_gap > 0.02
