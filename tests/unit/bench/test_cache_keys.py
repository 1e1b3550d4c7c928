"""Keys of the benchmarks of caches are what they are said to be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import cache_keys
from hack.rig.redis import RedisServer, server

KEYS = 12_345


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with server() as running:
        cache_keys.fill(running, ("docs", "users"), KEYS)
        yield running


def test_sizes_are_spread_over_their_range() -> None:
    sizes = [cache_keys.size(number) for number in range(451)]
    assert sorted(sizes) == list(range(50, 501))
    assert all(len(cache_keys.value(number)) == cache_keys.size(number) for number in range(451))


def test_what_was_filled_is_there(redis: RedisServer) -> None:
    assert redis.call("DBSIZE") == 2 * KEYS
    assert redis.call("GET", "docs:g1:entry-7") == cache_keys.value(7)
    assert redis.call("TTL", "docs:g1:entry-10") == -1
    assert 0 < redis.call("TTL", "docs:g1:entry-11") <= cache_keys.TTL_SECONDS
    assert cache_keys.without_ttl(redis, "users", KEYS) == 1_235
    assert cache_keys.count(redis, "docs", KEYS) == KEYS
    assert cache_keys.count(redis, "texts", KEYS) == 0


def test_memory_is_that_of_every_key(redis: RedisServer) -> None:
    with redis.client() as client:
        true = sum(client.memory_usage(cache_keys.key("docs", number), samples=0) for number in range(100))
    assert cache_keys.used_bytes(redis, "docs", 100) == true > 100 * 50


def test_a_server_that_takes_no_more_is_told(redis: RedisServer) -> None:
    redis.call("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(RuntimeError, match="0 of 100 keys of images are there"):
            cache_keys.fill(redis, ("images",), 100)
    finally:
        redis.call("CONFIG", "SET", "maxmemory", "0")


def test_an_answer_that_is_no_number_is_told(redis: RedisServer) -> None:
    with pytest.raises(RuntimeError, match="a whole number was asked for, and the answer is"):
        cache_keys.used_bytes(redis, "texts", 1)
