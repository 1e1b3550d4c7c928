"""Everything fails at once: that has one cause, which no act on one of them mends, so nobody acts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hack.demo.figures import seconds_of
from hack.rig.caches import NAMESPACE, Cache
from hack.rig.databases import Database
from hack.rig.pools import Pool
from hack.rig.recoveries import Policy, rule
from tests.e2e.models.conftest import Served
from tests.e2e.recovery.conftest import Ended

_KINDS = ("ConnectionPool", "CacheTier", "ModelRoute")
_RULES = [
    rule("ConnectionLost", "Reconnect", forSeconds=10),
    rule("SlowQueries", "CancelStatement", forSeconds=10, thresholdSeconds=5),
    rule("HighMemory", "FlushNamespace", forSeconds=10, thresholdPercent=80),
    rule("ModelTimeout", "SwitchModel", forSeconds=10),
]
#: Longer than any symptom would have to last to be answered.
_WATCHED_SECONDS = 20.0


@dataclass(frozen=True)
class Everything:
    """What can fail."""

    lost: Pool
    slow: Pool
    cache: Cache
    world: Served


@pytest.fixture
def everything(pooled: Callable[..., Pool], cached: Callable[..., Cache], served: Callable[..., Served]) -> Everything:
    """Two pools, each with a database of its own, a cache and a route."""
    lost = pooled(standbys=1)
    other = Database(lost.api, lost.namespace, "other")
    other.up()
    slow = Pool(other, "reports")
    slow.apply()
    slow.wait_ready()
    slow.wait_served()
    cache = cached(namespaces=[NAMESPACE], managed={"maxMemoryMegabytes": 24, "evictionPolicy": "NoEviction"})
    return Everything(lost, slow, cache, served(switch={"forSeconds": 120}))


def test_storm_keeps_everybody_from_acting_until_it_is_over(
    everything: Everything, policy: Policy, runs: Callable[..., Ended]
) -> None:
    lost, slow, cache, world = everything.lost, everything.slow, everything.cache, everything.world
    # Two of four are a storm: it is over once one alone is left.
    storm = {"maxTargetsPercent": 25, "minTargets": 2, "cooldownSeconds": 3}
    # Faults come one after the other, on a slow machine slowly: the first is not to be answered before the rest.
    policy.apply(_KINDS, _RULES, storm=storm, mode="Off")
    policy.wait_watching(4)

    killed, standby = lost.database.primary(), lost.database.standby()
    lost.database.wait_replayed(standby)
    with slow.connect() as connection:
        connection.execute("CREATE TABLE report (id int PRIMARY KEY)")
        connection.execute("INSERT INTO report VALUES (1)")
    blocking = runs(slow, "UPDATE report SET id = 1", "SELECT pg_sleep(600)")
    cache.fill_up(22)
    world.models[0].control(fault="hang")
    lost.database.kill(killed)

    said = policy.wait_storm(True)
    assert "of 4" in said["message"]
    policy.patch(mode="Auto")
    before = cache.count("emb:*")
    time.sleep(_WATCHED_SECONDS)
    assert policy.actions() == []
    assert cache.count("emb:*") == before
    assert world.route.status()["active"] == "primary"
    assert not blocking.done()
    assert {s["reason"] for s in policy.symptoms()} == {"StormActive"}
    # All but one are mended: the storm is over, and the one that is left is answered.
    lost.database.promote(standby)
    cache.patch(flush={"name": "by-hand", "namespaceName": "emb"})
    world.models[0].control(fault=None)
    over = seconds_of(policy.wait_storm(False, seconds=90)["lastTransitionTime"])
    policy.wait_helped("CancelStatement", seconds=90)
    assert blocking.result(timeout=30) is not None
    # Whatever else was still wrong then may have been answered too, but nothing was before.
    assert all(seconds_of(a["status"]["claimedAt"]) >= over for a in policy.actions())
