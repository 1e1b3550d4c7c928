"""Each symptom that the operator answers by itself: one act, verified, with all of it in an object."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hack.demo.figures import seconds_of
from hack.rig.api import Json
from hack.rig.caches import NAMESPACE, Cache
from hack.rig.failovers import prepare
from hack.rig.pools import Pool
from hack.rig.recoveries import Policy, rule
from tests.e2e.models.conftest import Asking, Served
from tests.e2e.recovery.conftest import Ended

#: Nothing more must be done for so long once a symptom was answered.
CALM_SECONDS = 6.0
_PAGES = {"name": "page", "prefix": "page", "ttlSeconds": 3600}
_RATE = 1000


def only(policy: Policy) -> Json:
    """The one action that there is, after a while in which others might have come."""
    time.sleep(CALM_SECONDS)
    (action,) = policy.actions()
    return action


def test_killed_primary_is_reconnected(pooled: Callable[..., Pool], policy: Policy) -> None:
    pool = pooled(standbys=1)
    prepare(pool)
    policy.apply(["ConnectionPool"], [rule("ConnectionLost", "Reconnect")])
    policy.wait_watching(1)
    old, new = pool.database.primary(), pool.database.standby()
    pool.database.wait_replayed(new)
    died = pool.database.kill(old)
    running = policy.wait_action("Reconnect", "Running")
    assert running["spec"]["trigger"]["symptom"] == "ConnectionLost"
    assert seconds_of(running["status"]["claimedAt"]) >= died
    promotion = pool.database.promote(new)
    policy.wait_helped("Reconnect")
    status = pool.wait_ready()
    assert status["server"]["address"] == promotion.address
    with pool.connect() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    # The pool's own reconnect was what the act followed: there was no second one.
    assert len(status["reconnects"]) == 1
    done = only(policy)
    (act,) = pool.status()["acts"]
    assert (act["uid"], act["phase"]) == (done["metadata"]["uid"], "Done")
    policy.wait("to close the incident", lambda o: not (o.get("status") or {}).get("symptoms"), seconds=30)


def test_redis_at_its_limit_is_flushed_at_a_pace_and_neighbours_stay(
    cached: Callable[..., Cache], policy: Policy
) -> None:
    cache = cached(namespaces=[NAMESPACE, _PAGES], managed={"maxMemoryMegabytes": 24, "evictionPolicy": "NoEviction"})
    cache.fill(300, prefix="page:g1:")
    cache.fill(50, prefix="foreign:")
    step = {"action": "FlushNamespace", "timeoutSeconds": 200}
    step["parameters"] = {"keysPerSecond": _RATE}
    policy.apply(["CacheTier"], [rule("HighMemory", thresholdPercent=80, escalation=[step])])
    policy.wait_watching(1)
    # Until it is nearly full: that is over before the act begins, and no scan is as new as that.
    count = cache.fill_up(22)
    done = policy.wait_helped("FlushNamespace", seconds=220)
    assert (cache.count("emb:*"), cache.count("page:*"), cache.count("foreign:*")) == (0, 300, 50)
    (act,) = cache.status()["acts"]
    assert "emb" in act["subject"]
    took = seconds_of(act["endedAt"]) - seconds_of(act["startedAt"])
    assert took >= count / _RATE - 1, f"{count} keys in {took} s"
    assert any(str(count) in line for line in done["status"]["did"]), done["status"]["did"]
    only(policy)
    cache.wait_ready()


def test_statement_that_blocks_is_cancelled_and_its_neighbours_go_on(
    pooled: Callable[..., Pool], policy: Policy, runs: Callable[..., Ended]
) -> None:
    pool = pooled()
    with pool.connect() as connection:
        connection.execute("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)")
        connection.execute("INSERT INTO account VALUES (1, 0), (2, 0)")
    policy.apply(["ConnectionPool"], [rule("SlowQueries", "CancelStatement", thresholdSeconds=5)])
    policy.wait_watching(1)
    neighbour = runs(pool, "UPDATE account SET balance = 5 WHERE id = 2", "SELECT pg_sleep(3)")
    blocking = runs(pool, "UPDATE account SET balance = 1 WHERE id = 1", "SELECT pg_sleep(600) /* secret-4711 */")
    time.sleep(1)
    blocked = [runs(pool, "UPDATE account SET balance = balance + 10 WHERE id = 1") for _ in range(2)]
    done = policy.wait_helped("CancelStatement")
    ended = blocking.result(timeout=30)
    assert ended is not None
    assert "canceling statement due to user request" in ended
    assert [b.result(timeout=30) for b in blocked] == [None, None]
    assert neighbour.result(timeout=30) is None
    with pool.connect() as connection:
        assert connection.execute("SELECT balance FROM account ORDER BY id").fetchall() == [(20,), (5,)]
    # What users write into statements may be secret.
    assert "secret-4711" not in str(done)
    assert "secret-4711" not in str(pool.object())
    only(policy)


def test_model_that_hangs_is_switched_from(
    served: Callable[..., Served], asking: Callable[..., Asking], policy: Policy
) -> None:
    # The route itself would wait for long.
    world = served(switch={"forSeconds": 120})
    policy.apply(["ModelRoute"], [rule("ModelTimeout", "SwitchModel")])
    policy.wait_watching(1)
    users = asking(world)
    world.models[0].control(fault="hang")
    policy.wait_helped("SwitchModel")
    status = world.route.wait_serves("second")
    assert [(p["kind"], p["to"]) for p in status["switches"]] == [("First", "primary"), ("Recovery", "second")]
    over = time.time()
    time.sleep(3)
    users.stop()
    assert users.failed(since=over) == {}
    assert users.answered_by(over) == {"second"}
    only(policy)


@pytest.mark.parametrize("mode", ["DryRun", "Approve", "Off"])
def test_mode_keeps_the_operator_from_acting(served: Callable[..., Served], policy: Policy, mode: str) -> None:
    world = served(switch={"forSeconds": 120})
    policy.apply(["ModelRoute"], [rule("ModelTimeout", "SwitchModel")], mode=mode)
    policy.wait_watching(1)
    world.models[0].control(fault="hang")
    if mode == "DryRun":
        told = policy.wait_action("SwitchModel", "Skipped")
        assert "second" in told["status"]["would"]
    elif mode == "Approve":
        waiting = policy.wait_action("SwitchModel", "AwaitingApproval")
        time.sleep(CALM_SECONDS)
        assert world.route.status()["active"] == "primary"
        name = waiting["metadata"]["name"]
        who = {"approved": True, "approvedBy": policy.api.user()}
        policy.api.merge("RecoveryAction", policy.namespace, name, {"spec": who})
        policy.wait_helped("SwitchModel")
        return
    else:
        (symptom,) = policy.wait("to see it", lambda o: (o.get("status") or {}).get("symptoms") or None, seconds=60)
        policy.wait_reason_of(symptom["symptom"], "ModeOff")
    time.sleep(CALM_SECONDS)
    assert world.route.status()["active"] == "primary"
    assert world.route.status().get("acts", []) == []
    assert len(policy.actions()) == (1 if mode == "DryRun" else 0)
