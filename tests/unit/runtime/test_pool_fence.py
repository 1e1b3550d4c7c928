"""Who may tell PgBouncers something."""

from __future__ import annotations

from datetime import UTC, datetime

from sophia_operator.core.pool.findings import Fault, InstanceRequest, Verb
from sophia_operator.runtime.pools.fence import FencedPools
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_pools import FakePools

REQUEST = InstanceRequest("orders-pool-1", "10.2.0.1", 5432, "orders", "sophia-check", "sophia-admin", "pw")


async def test_commands_are_given_only_while_the_lease_is_certain() -> None:
    told: list[Verb] = []
    fake = FakePools(FakeCluster(), lambda: datetime.now(UTC), hook=lambda _, verb: told.append(verb))
    certain = True
    fenced = FencedPools(fake, lambda: certain)
    await fenced.command(REQUEST, Verb.RECONNECT)
    certain = False
    failure = await fenced.command(REQUEST, Verb.PAUSE)
    assert failure is not None
    assert failure.fault is Fault.OTHER
    assert "lease" in failure.message
    assert told == [Verb.RECONNECT]
    await fenced.instance(REQUEST)
    assert fake.asked == ["orders-pool-1 full"]
