"""Patterns of keys, against what Redis says of them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import Flavor
from sophia_operator.core.cache import glob

KEYS = ("emb:g1:doc-1", "emb:g1:doc-17", "emb:g2:doc-1", "emb:g1:dïc", "a", "ab", "b]", "a*b", "a\\b", "a-", "[x]", "^")
PATTERNS = (
    "emb:*",
    "emb:*:doc-1*",
    "emb:g?:doc-1",
    "emb:g1:d?c",
    "emb:g1:d??c",
    "emb:g1:d[\xc0-\xff]?c",
    "*",
    "**",
    "*1",
    "*:*:*",
    "emb:g[1-2]:doc-1",
    "emb:g[2-1]:doc-1",
    "emb:g[^1]:doc-1",
    "a\\*b",
    "a*b",
    "a\\\\b",
    "a\\",
    "a[\\-]",
    "a[a-]",
    "[b",
    "[^b",
    "[",
    "[^",
    "[]",
    "[^]",
    "b[]]",
    "b[\\]]",
    "\\[x\\]",
    "?",
    "\\^",
    "[\\^]",
    "[^^]",
)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with server(Flavor.REDIS) as running:
        yield running


def _agree(redis: RedisServer, patterns: list[str], keys: list[str]) -> int:
    """Compare all; returns how many matched."""
    redis.call("FLUSHALL")
    redis.call("MSET", *(word for key in keys for word in (key, "1")))
    found = 0
    for pattern in patterns:
        theirs = {key.decode() for key in redis.call("KEYS", pattern)}
        ours = {key for key in keys if glob.matches(pattern, key)}
        assert ours == theirs, pattern
        assert all(key.startswith(glob.head(pattern)) for key in theirs), pattern
        found += len(theirs)
    return found


def test_the_same_keys_as_redis(redis: RedisServer) -> None:
    assert _agree(redis, list(PATTERNS), list(KEYS)) > 40


def test_the_same_keys_as_redis_for_any_pattern(redis: RedisServer) -> None:
    chance = random.Random(7)
    keys = ["".join(chance.choices("ab:-]^é", k=chance.randint(1, 5))) for _ in range(150)]
    # Not é: what lies between a byte of it and a letter differs with the machine that Redis was built for.
    patterns = ["".join(chance.choices("ab:-]^[[*?\\", k=chance.randint(1, 6))) for _ in range(1500)]
    assert _agree(redis, patterns, sorted(set(keys))) > 4000


@pytest.mark.parametrize(
    ("pattern", "begins"),
    [
        ("emb:g1:*", "emb:g1:"),
        ("emb:g[1]:*", "emb:g1:"),
        ("emb:g[12]:*", "emb:g"),
        ("emb:\\*?", "emb:*"),
        ("emb:é*", "emb:é"),
        ("*", ""),
        ("emb:[]x", "emb:"),
        ("emb:[é]", "emb:"),
    ],
)
def test_what_every_match_begins_with(pattern: str, begins: str) -> None:
    assert glob.head(pattern) == begins


def test_a_pattern_of_many_stars_is_quick() -> None:
    began = time.process_time()
    assert not glob.matches("a:" + "*a" * 100 + "b", "a:" + "a" * 2000)
    assert time.process_time() - began < 1
