"""Settings that nodes take while they run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommand, NodeCommandResult, NodeVerb
from sophia_operator.core.cache.live_config import configure
from sophia_operator.core.cache.names import EXTERNAL as ADOPTED
from sophia_operator.core.cache.settings import live_settings
from sophia_operator.core.cache.views import TierObserved, TierView
from tests.support.cache_scene import (
    EXTERNAL,
    MANAGED,
    NOW,
    PRIMARY,
    REPLICA,
    answers,
    condition,
    decide,
    later,
    node,
    observed,
    settled,
    tier,
)

_WANTED: dict[str, Any] = {"redis": {"managed": {"parameters": {"hz": "50"}, "maxMemoryMegabytes": 512}}}


def _edited() -> tuple[TierView, TierObserved]:
    """A settled tier whose spec was changed: its nodes have what they had."""
    of = settled()
    return replace(of, spec=tier(MANAGED, **_WANTED).spec), observed(of)


def test_each_node_gets_what_it_has_otherwise_in_one_command() -> None:
    of, seen = _edited()
    commands = [c for c in decide(of, seen).commands if c.verb is NodeVerb.CONFIGURE]
    assert [c.node for c in commands] == [PRIMARY, REPLICA]
    for command in commands:
        assert dict(command.settings)["hz"] == "50"
        assert dict(command.settings)["maxmemory"] == str(512 * 1024 * 1024)
        assert "maxmemory-policy" not in dict(command.settings)
    told = condition(decide(of, seen), ConditionType.LIVE_CONFIG_APPLIED)
    assert (told.status, told.reason) == (ConditionStatus.FALSE, Reason.CONFIG_PENDING)
    assert "hz" in told.message
    assert condition(decide(of, seen), ConditionType.READY).status is ConditionStatus.TRUE


def test_it_is_confirmed_by_a_look() -> None:
    of, seen = _edited()
    for number, name in enumerate((PRIMARY, REPLICA)):
        seen = answers(seen, name, node(of, number))
    decision = decide(of, seen)
    assert not any(c.verb is NodeVerb.CONFIGURE for c in decision.commands)
    assert condition(decision, ConditionType.LIVE_CONFIG_APPLIED).reason == Reason.CONFIG_CONFIRMED
    assert decision.status.config_hash != settled().status.config_hash


@pytest.mark.parametrize(
    ("failure", "seconds", "again"),
    [
        (None, 0.9, False),
        (None, 1.0, True),
        (CacheFailure(CacheFault.OTHER, "no"), 9.9, False),
        (CacheFailure(CacheFault.OTHER, "no"), 10.0, True),
    ],
)
def test_a_node_is_told_again_after_a_look_and_no_more_often_than_helps(
    failure: CacheFailure | None, seconds: float, again: bool
) -> None:
    of, seen = _edited()
    told = {(n, NodeVerb.CONFIGURE.value): NodeCommandResult(NOW, failure) for n in (PRIMARY, REPLICA)}
    seen = replace(seen, kept=replace(seen.kept, commands=told))
    now = NOW + timedelta(seconds=seconds)
    assert configure(of, seen, now) == ()  # not looked at since
    assert bool(configure(of, later(seen, seconds), now)) == again


def test_a_node_that_is_told_other_settings_is_left_alone() -> None:
    of, seen = _edited()
    assert [c.node for c in configure(of, seen, NOW, busy=(PRIMARY,))] == [REPLICA]


def test_a_setting_that_a_version_lacks_is_told_and_not_sent() -> None:
    of, seen = _edited()
    of = replace(of, spec=tier(MANAGED, redis={"managed": {"parameters": {"latency-tracking": "no"}}}).spec)
    old = {k: v for k, v in node(of).settings.items() if k != "latency-tracking"}
    seen = answers(seen, PRIMARY, node(of, settings=old))
    assert [c.node for c in configure(of, seen, NOW)] == [REPLICA]
    told = condition(decide(of, seen), ConditionType.LIVE_CONFIG_APPLIED)
    assert "redis 7.0.15 at hot-cache-0 has no latency-tracking: choose a newer image" in told.message


def test_a_setting_that_a_version_lacks_and_nobody_asked_for_is_not_missed() -> None:
    of = settled()
    old = {k: v for k, v in node(of).settings.items() if k != "latency-tracking"}
    seen = answers(observed(of), PRIMARY, node(of, settings=old))
    assert condition(decide(of, seen), ConditionType.LIVE_CONFIG_APPLIED).reason == Reason.CONFIG_CONFIRMED


def test_an_adopted_redis_keeps_its_settings_unless_asked_for() -> None:
    of = settled(EXTERNAL)
    seen = answers(observed(of), ADOPTED, node(of, settings={"maxmemory": "1", "hz": "1"}))
    assert configure(of, seen, NOW) == ()
    external = {**EXTERNAL["redis"]["external"], "manageConfig": True, "maxMemoryMegabytes": 64}
    asked = replace(of, spec=tier(EXTERNAL, redis={"external": external}).spec)
    assert configure(asked, seen, NOW) == (
        NodeCommand(ADOPTED, NodeVerb.CONFIGURE, settings=(("maxmemory", str(64 * 1024 * 1024)),)),
    )
    assert set(live_settings(asked)) == {"maxmemory"}
