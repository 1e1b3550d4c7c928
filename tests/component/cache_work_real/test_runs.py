"""The server is started anew, with the keys that it had, in the middle of work: nothing is left out, and no part is
taken for one of another run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import Flavor
from sophia_operator.api.cache_tier_status import FlushPhase, WarmUpPhase
from sophia_operator.core.cache.faults import CacheFault
from sophia_operator.core.cache.findings import CopyTask, DeleteTask, ScanTask, TaskFinding
from sophia_operator.core.cache.views import BoundRelease
from tests.component.cache_work_real.keeper import Operator
from tests.component.redis_adapter.keys import all_keys, fill

NUMBER = 6_000
BEFORE, MIDDLE = "between a look and a part", "in the middle of a part"


@pytest.fixture(params=list(Flavor))
def own(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that has its keys on disk."""
    with server(request.param) as running:
        fill(running, {b"emb:g1r6:%d" % i: b"x" for i in range(NUMBER)})
        fill(running, {b"b:%d" % i: b"x" for i in range(500)})
        running.call("SAVE")
        yield running


@pytest.fixture
async def tier(own: RedisServer) -> AsyncIterator[Operator]:
    made = Operator(own)
    made.wish(scan={"intervalSeconds": 30, "keysPerSecond": 2_000}, warmUp={"maxPerSecond": 2_000})
    yield made
    await made.close()


async def another_run(tier: Operator, when: str) -> TaskFinding:
    """A part for which the run changes; returns what came of it."""
    before = tier.run_id
    if when == MIDDLE:
        tier.meanwhile(tier.server.restart)
        await tier.one_pass()
    else:
        tier.server.restart()
        await tier.one_pass(look=False)
    _, finding = tier.done[-1]
    assert finding.node == before, "it is told of the run that it was for"
    assert finding.result.failure is not None
    assert finding.result.failure.fault is CacheFault.UNREACHABLE
    return finding


def first_of(tier: Operator, kind: type[ScanTask | DeleteTask | CopyTask], run: str) -> str:
    """Where the first part that was for that run began."""
    tasks = [finding.task for _, finding in tier.done if finding.node == run]
    return next(task.cursor for task in tasks if isinstance(task, kind))


async def scanned(tier: Operator) -> None:
    await tier.until(lambda: tier.status.keys is not None)


@pytest.mark.parametrize("when", [BEFORE, MIDDLE])
async def test_a_flush(tier: Operator, when: str) -> None:
    await scanned(tier)
    tier.wish(flush={"name": "f", "namespaceName": "texts", "keysPerSecond": 1_000})
    await tier.until(lambda: (tier.status.flush.deleted if tier.status.flush else 0) > 2_000)
    await another_run(tier, when)
    # Those that were deleted before are there again: they were on disk.
    left = len(all_keys(tier.server))
    assert left == NUMBER + 500, "the new run did nothing of a part of the old one"
    await tier.until(lambda: bool(tier.status.flushes))
    assert tier.status.flushes[0].phase is FlushPhase.DONE
    assert first_of(tier, DeleteTask, tier.run_id) == "0"
    assert len(all_keys(tier.server)) == 500


@pytest.mark.parametrize("when", [BEFORE, MIDDLE])
async def test_a_warm_up(tier: Operator, when: str) -> None:
    await scanned(tier)
    tier.releases = (BoundRelease("shop-7", "shop", 7, True, 6),)
    await tier.until(lambda: bool(tier.status.warm_ups) and tier.status.warm_ups[0].warmed > 2_000)
    await another_run(tier, when)
    assert len(all_keys(tier.server)) == NUMBER + 500
    await tier.until(lambda: tier.status.warm_ups[0].phase is WarmUpPhase.DONE)
    assert first_of(tier, CopyTask, tier.run_id) == "0"
    assert len(all_keys(tier.server)) == 2 * NUMBER + 500


@pytest.mark.parametrize("when", [BEFORE, MIDDLE])
async def test_a_scan(tier: Operator, when: str) -> None:
    await tier.one_pass()
    await another_run(tier, when)
    await scanned(tier)
    assert first_of(tier, ScanTask, tier.run_id) == "0"
    assert (tier.status.keys, tier.status.unclaimed_keys) == (NUMBER + 500, 500)
    with tier.server.client() as client:
        assert all(client.ttl(key) > 0 for key in all_keys(tier.server) if key.startswith(b"emb:"))


async def test_flush_all_waits_for_a_look_at_the_run_that_is_there(tier: Operator) -> None:
    await scanned(tier)
    tier.wish(flush={"name": "f", "flushAll": "tier"})
    tier.server.restart()
    await tier.one_pass(look=False)
    assert len(all_keys(tier.server)) == NUMBER + 500
    await tier.until(lambda: bool(tier.status.flushes))
    assert all_keys(tier.server) == set()
