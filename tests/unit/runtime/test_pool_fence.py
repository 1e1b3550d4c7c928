"""Who may tell PgBouncers something."""

from __future__ import annotations

from datetime import UTC, datetime

from sophia_operator.api.connection_pool import SslMode
from sophia_operator.core.pool.findings import Failure, Fault, InstanceRequest, ServerRequest, Verb
from sophia_operator.core.pool.tasks import Analyzed, AnalyzeTask, Cancelled, CancelTask
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


async def test_acts_are_carried_out_only_while_the_lease_is_certain() -> None:
    fake = FakePools(FakeCluster(), lambda: datetime.now(UTC))
    certain = True
    fenced = FencedPools(fake, lambda: certain)
    request = ServerRequest("db", 5432, "orders", SslMode.PREFER, "app", "pw-one")
    moment = datetime.now(UTC)
    cancel, analyze = CancelTask("uid-1", 7, moment, moment), AnalyzeTask("uid-1")
    assert await fenced.cancel(request, cancel) is Cancelled.GONE
    assert await fenced.analyze(request, analyze) == Analyzed(("public.item",))
    certain = False
    for answer in (await fenced.cancel(request, cancel), await fenced.analyze(request, analyze)):
        assert isinstance(answer, Failure)
        assert "lease" in answer.message
    assert len(fake.told) == 1
    assert fake.hosts["db"].analyzed == ["public.item"]
