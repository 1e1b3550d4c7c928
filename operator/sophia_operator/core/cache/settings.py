"""Settings of Redis that are set live, on nodes that run, and what they are by their hash.

Names and values are those of Redis 7.0, which Valkey takes as well, written as CONFIG GET answers them. Every setting
that users may give is always in them, so that one which is taken out of the spec goes back to what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.redis_level import EvictionPolicy, ManagedRedis, Persistence
from sophia_operator.core.cache import names
from sophia_operator.core.cache.views import TierView
from sophia_operator.core.hashing import versioned_hash

_MEBIBYTE: Final = 1024 * 1024
_SNAPSHOTS: Final = "3600 1 300 100 60 10000"
_POLICIES: Final[Mapping[EvictionPolicy, str]] = {
    EvictionPolicy.NO_EVICTION: "noeviction",
    EvictionPolicy.ALL_KEYS_LRU: "allkeys-lru",
    EvictionPolicy.ALL_KEYS_LFU: "allkeys-lfu",
    EvictionPolicy.ALL_KEYS_RANDOM: "allkeys-random",
    EvictionPolicy.VOLATILE_LRU: "volatile-lru",
    EvictionPolicy.VOLATILE_LFU: "volatile-lfu",
    EvictionPolicy.VOLATILE_RANDOM: "volatile-random",
    EvictionPolicy.VOLATILE_TTL: "volatile-ttl",
}

#: What Redis 7.0 starts with, but for `lazyfree-*`: a cache frees memory without holding its clients up. A node that
#: may not open files for so many clients refuses `maxclients` live, and says how many it can have: then the spec does.
DEFAULTS: Final[Mapping[str, str]] = {
    "active-expire-effort": "1",
    "hash-max-listpack-entries": "512",
    "hash-max-listpack-value": "64",
    "hll-sparse-max-bytes": "3000",
    "hz": "10",
    "latency-monitor-threshold": "0",
    "latency-tracking": "yes",
    "lazyfree-lazy-eviction": "yes",
    "lazyfree-lazy-expire": "yes",
    "lazyfree-lazy-server-del": "yes",
    "lazyfree-lazy-user-del": "yes",
    "lazyfree-lazy-user-flush": "yes",
    "lfu-decay-time": "1",
    "lfu-log-factor": "10",
    "maxclients": "10000",
    "maxmemory-eviction-tenacity": "10",
    "maxmemory-samples": "5",
    "notify-keyspace-events": "",
    "set-max-intset-entries": "512",
    "slowlog-log-slower-than": "10000",
    "slowlog-max-len": "128",
    "stream-node-max-bytes": "4096",
    "stream-node-max-entries": "100",
    "tcp-keepalive": "300",
    "timeout": "0",
    "tracking-table-max-keys": "1000000",
    "zset-max-listpack-entries": "128",
    "zset-max-listpack-value": "64",
}

#: In the order in which Redis answers them; `A` stands for all of the first group.
_EVENTS: Final = "g$lshzxetd"
_FURTHER_EVENTS: Final = "KEmn"


def live_settings(tier: TierView) -> dict[str, str]:
    """What every node should have, by the names of CONFIG SET, sorted; nothing where nothing is the operator's."""
    return spec_settings(tier.spec)


def spec_settings(spec: CacheTierSpec) -> dict[str, str]:
    """The same of a spec."""
    if spec.redis is None:
        return {}
    if spec.redis.managed is not None:
        return _managed(spec.redis.managed)
    external = spec.redis.external
    if external is None or not external.manage_config:
        return {}
    chosen: dict[str, str] = {}
    if external.max_memory_megabytes is not None:
        chosen["maxmemory"] = str(external.max_memory_megabytes * _MEBIBYTE)
    if external.eviction_policy is not None:
        chosen["maxmemory-policy"] = _POLICIES[external.eviction_policy]
    return chosen


def settings_hash(tier: TierView) -> str:
    """Changes with any live setting."""
    return versioned_hash(live_settings(tier))


def _managed(redis: ManagedRedis) -> dict[str, str]:
    given = dict(redis.parameters)
    if "notify-keyspace-events" in given:
        given["notify-keyspace-events"] = _events(given["notify-keyspace-events"])
    # How many replicas a primary needs is not among it: that changes as they come and go, and the topology decides it.
    forced = {
        "appendonly": "yes" if redis.persistence is Persistence.APPEND_ONLY else "no",
        "maxmemory": str(redis.max_memory_megabytes * _MEBIBYTE),
        "maxmemory-policy": _POLICIES[redis.eviction_policy],
        names.MIN_REPLICAS_LAG: str(names.MIN_REPLICAS_LAG_SECONDS),
        "repl-backlog-size": str(_backlog(redis.max_memory_megabytes)),
        "save": _SNAPSHOTS if redis.persistence is Persistence.SNAPSHOT else "",
    }
    return dict(sorted({**DEFAULTS, **given, **forced}.items()))


def _backlog(max_memory_megabytes: int) -> int:
    """What a replica that was away may have missed without being sent everything, in bytes. It counts as memory for
    entries, so it is a small part of that."""
    return min(64, max(1, max_memory_megabytes // 16)) * _MEBIBYTE


def _events(letters: str) -> str:
    """As CONFIG GET writes it."""
    if "A" in letters:
        known = "A"
    else:
        known = "".join(letter for letter in _EVENTS if letter in letters)
        known = "A" if known == _EVENTS else known
    return known + "".join(letter for letter in _FURTHER_EVENTS if letter in letters)
