from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.redis_level import EvictionPolicy
from sophia_operator.api.redis_parameters import ALLOWED
from sophia_operator.core.cache import names
from sophia_operator.core.cache.settings import DEFAULTS, live_settings, settings_hash
from sophia_operator.core.cache.views import TierView
from tests.golden import cache_cases


def tier(redis: dict[str, Any] | None = None, level: str = "Redis", **spec: Any) -> TierView:
    given = {"level": level, **({"redis": redis} if redis is not None else {}), **spec}
    return cache_cases.parse({"tier": {"name": "hot", "spec": given}}).tier


def managed(**fields: Any) -> dict[str, str]:
    return live_settings(tier({"managed": fields}))


def test_they_are_sorted_and_what_users_set_wins_over_defaults() -> None:
    found = managed(parameters={"hz": "25", "maxclients": "200"})
    assert list(found) == sorted(found)
    assert (found["hz"], found["maxclients"]) == ("25", "200")
    assert managed()["hz"] == "10"


def test_what_is_taken_out_of_the_spec_goes_back() -> None:
    """So every setting that users may give is always there."""
    assert DEFAULTS.keys() == ALLOWED.keys()
    assert managed().keys() >= DEFAULTS.keys()
    assert all(ALLOWED[name].takes(value) for name, value in DEFAULTS.items())


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"maxMemoryMegabytes": 3}, "maxmemory", "3145728"),
        ({"evictionPolicy": "VolatileTTL"}, "maxmemory-policy", "volatile-ttl"),
        ({"persistence": "AppendOnly"}, "appendonly", "yes"),
        ({"persistence": "Snapshot"}, "save", "3600 1 300 100 60 10000"),
        ({"maxMemoryMegabytes": 1}, "repl-backlog-size", "1048576"),
        ({"maxMemoryMegabytes": 1_048_576}, "repl-backlog-size", "67108864"),
        ({"parameters": {"notify-keyspace-events": "KEA"}}, "notify-keyspace-events", "AKE"),
        ({"parameters": {"notify-keyspace-events": "dtexzhsl$gE"}}, "notify-keyspace-events", "AE"),
        ({"parameters": {"notify-keyspace-events": "xxKeg"}}, "notify-keyspace-events", "gxeK"),
    ],
)
def test_a_field_becomes_a_setting(fields: dict[str, Any], name: str, value: str) -> None:
    assert managed()[name] != value
    assert managed(**fields)[name] == value
    assert settings_hash(tier({"managed": fields})) != settings_hash(tier({"managed": {}}))


def test_every_policy_has_a_word_of_its_own() -> None:
    words = {managed(evictionPolicy=policy.value)["maxmemory-policy"] for policy in EvictionPolicy}
    assert len(words) == len(EvictionPolicy)


def test_how_many_replicas_a_primary_needs_is_not_among_them() -> None:
    assert names.MIN_REPLICAS not in managed()
    assert managed()[names.MIN_REPLICAS_LAG] == "5"


def test_what_is_forced_wins_over_users() -> None:
    found = tier({"managed": {}})
    redis = found.spec.redis
    assert redis is not None
    assert redis.managed is not None
    redis.managed.parameters["maxmemory"] = "1"
    assert live_settings(found)["maxmemory"] == str(256 * 1024 * 1024)


@pytest.mark.parametrize(
    ("external", "wanted"),
    [
        ({}, {}),
        ({"manageConfig": True}, {}),
        ({"manageConfig": True, "maxMemoryMegabytes": 2}, {"maxmemory": "2097152"}),
        ({"manageConfig": True, "evictionPolicy": "AllKeysLFU"}, {"maxmemory-policy": "allkeys-lfu"}),
    ],
)
def test_of_an_adopted_redis_only_what_may_be_managed_is(external: dict[str, Any], wanted: dict[str, str]) -> None:
    assert live_settings(tier({"external": {"host": "redis.legacy.svc"} | external})) == wanted


def test_other_levels_have_none() -> None:
    assert live_settings(tier(level="Memory")) == {}
    assert live_settings(tier(level="PostgreSQL", postgresql={"poolRef": {"name": "orders"}})) == {}
