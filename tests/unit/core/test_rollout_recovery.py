"""Rollouts beside recovery: acts hold a release, storms hold all, and what began with a release rolls it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from sophia_operator.api.binding_version import BindingKind
from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.api.recovery_values import Action, Symptom, TargetKind
from sophia_operator.api.release import Intent
from sophia_operator.core.recovery.interlock import bound_to
from sophia_operator.core.recovery.seen import ActSeen, RecoverySeen, SymptomLeft
from sophia_operator.core.views import BindingView, LevelView
from tests.support.sim import START, Sim, settled, until

_HASH: Final = "v1:" + "a" * 64
POOL: Final = BindingView(BindingKind.CONNECTION_POOL, "orders", (), "orders-pool-binding", _HASH)
TIER: Final = BindingView(
    BindingKind.CACHE_TIER,
    "near",
    (),
    "near-cache-binding",
    _HASH,
    chain="{}",
    levels=(LevelView("far", "far-cache-binding", _HASH),),
)
SPEC: Final[dict[str, Any]] = {"bindings": {"pools": [{"name": "orders"}], "caches": [{"name": "near"}]}}
STORM: Final = RecoverySeen(storm=("all", "3 of 4 objects show symptoms"))


def act(kind: TargetKind = TargetKind.CONNECTION_POOL, name: str = "orders") -> RecoverySeen:
    return RecoverySeen(acts=(ActSeen("reconnect-1", Action.RECONNECT, (kind, name)),))


def left(since: datetime, name: str = "orders") -> RecoverySeen:
    target = (TargetKind.CONNECTION_POOL, name)
    return RecoverySeen(left=(SymptomLeft("all", Symptom.SLOW_QUERIES, target, since, "pid 7 runs for 40 s"),))


def rolling(stage: int | None = 0) -> Sim:
    """A service that is bound to a pool and a chain, and whose second release is on its way."""
    world = settled()
    world.bindings = (POOL, TIER)
    world.change(image="app:2", **SPEC)
    return until(world, "app-2", "Shifting", stage) if stage is not None else world


def started_at(world: Sim) -> datetime:
    at = world.releases["app-2"].status.started_at
    assert at is not None
    return at


def reason(world: Sim) -> str:
    found = find(world.releases["app-2"].status.conditions, ConditionType.READY)
    assert found is not None
    return found.reason


def test_everything_that_a_release_stands_on_is_bound() -> None:
    world = rolling()
    snapshot = world.releases["app-2"].spec.snapshot
    assert bound_to("app", snapshot.bindings) == {
        (TargetKind.MANAGED_SERVICE, "app"),
        (TargetKind.CONNECTION_POOL, "orders"),
        (TargetKind.CACHE_TIER, "near"),
        (TargetKind.CACHE_TIER, "far"),
    }


@pytest.mark.parametrize(
    "seen",
    [STORM, act(), act(TargetKind.CACHE_TIER, "far"), act(TargetKind.MANAGED_SERVICE, "app")],
    ids=["storm", "pool", "tier below", "service"],
)
def test_release_goes_no_further_while_recovery_acts_and_goes_on_then(seen: RecoverySeen) -> None:
    world = rolling()
    world.recovery = seen
    world.run(300)
    assert world.state("app-2") == "Shifting"
    assert world.weight_of("app-2") == 25
    assert reason(world) == ("StormActive" if seen is STORM else "RecoveryUnderWay")
    world.recovery = RecoverySeen()
    world.run(120)
    assert world.stable == "app-2"


def test_act_on_what_the_release_is_not_bound_to_does_not_hold_it() -> None:
    world = rolling()
    world.recovery = act(name="others")
    world.run(200)
    assert world.stable == "app-2"


def test_release_does_not_begin_in_a_storm_and_is_not_stalled_by_it() -> None:
    world = rolling(stage=None)
    world.recovery = STORM
    world.run(60)
    assert world.state("app-2") == "Pending"
    assert find(world.releases["app-2"].status.conditions, ConditionType.STALLED) is None
    held = find(world.releases["app-2"].status.conditions, ConditionType.RECONCILING)
    assert held is not None
    assert "RecoveryPolicy all sees a storm" in held.message


def test_nobody_promotes_through_a_storm_but_anybody_aborts() -> None:
    world = rolling()
    world.recovery = STORM
    world.intend("app-2", Intent.PROMOTE)
    world.run(60)
    assert world.weight_of("app-2") == 25
    world.intend("app-2", Intent.ABORT)
    world.run(30)
    assert world.state("app-2") == "RolledBack"


def test_symptom_that_began_with_a_release_rolls_it_back() -> None:
    world = rolling()
    world.recovery = left(started_at(world) + timedelta(seconds=3))
    world.run(30)
    status = world.releases["app-2"].status
    assert status.state.value == "RolledBack"
    assert status.outcome is not None
    assert status.outcome.reason == "SymptomBegan"
    assert "SlowQueries of ConnectionPool orders began at" in status.outcome.message
    assert "pid 7 runs for 40 s" in status.outcome.message
    assert world.stable == "app-1"


@pytest.mark.parametrize("case", ["before", "of others", "promoted by a person"])
def test_symptom_of_before_or_of_others_rolls_nothing_back(case: str) -> None:
    world = rolling()
    if case == "before":
        world.recovery = left(started_at(world) - timedelta(seconds=1))
    elif case == "of others":
        world.recovery = left(world.now, "others")
    else:
        world.recovery = left(world.now)
        world.intend("app-2", Intent.PROMOTE)
    world.run(200)
    assert world.stable == "app-2"


def test_symptom_waits_for_users_requests() -> None:
    world = rolling(stage=None)
    world.run(1)
    world.broken.add("app-2")
    world.recovery = left(START + timedelta(days=1))
    world.run(20)
    assert world.state("app-2") == "Provisioning"
    world.broken.clear()
    world.run(60)
    assert world.state("app-2") == "RolledBack"


def test_storm_keeps_no_rollback_from_going_on() -> None:
    world = rolling()
    world.recovery = RecoverySeen(storm=STORM.storm, left=left(world.now).left)
    world.run(30)
    assert world.state("app-2") == "RolledBack"
