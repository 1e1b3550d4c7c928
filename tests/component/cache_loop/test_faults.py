"""The process dies, loses its Lease, or is not answered, in the middle of what it does."""

from __future__ import annotations

from functools import partial

import pytest

from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.findings import DeleteTask, NodeCommand, NodeRequest, NodeVerb
from sophia_operator.core.cache.table import TableRequest
from sophia_operator.ports import Caches
from sophia_operator.runtime.caches.fence import FencedCaches, FencedTables
from tests.support.fake_caches_harness import CacheHarness
from tests.support.fake_cluster import Call, CrashError, Fault


class Deposed(CacheHarness):
    """A process whose Lease can be lost."""

    certain = True

    def caches(self) -> Caches:
        """As in CacheHarness."""
        return FencedCaches(self.fake, lambda: self.certain)


async def lost_primary(harness: CacheHarness) -> None:
    await harness.run_until(lambda: harness.settled() and harness.status().guarded)
    harness.nodes.net.kill(harness.nodes.process("hot-cache-0").redis)


def over(harness: CacheHarness) -> bool:
    return harness.settled() and [f.from_node for f in harness.status().failovers if f.from_node] == ["hot-cache-0"]


async def test_a_process_without_its_lease_tells_no_node_anything() -> None:
    harness = Deposed()
    await lost_primary(harness)
    harness.certain = False
    given, looks = len(harness.fake.given), len(harness.fake.asked)
    await harness.run(30)
    assert harness.fake.given[given:] == []
    assert len(harness.fake.asked) > looks
    harness.certain = True
    await harness.run_until(lambda: over(harness))
    assert NodeVerb.PROMOTE in [verb for _, verb in harness.fake.given[given:]]


async def test_a_process_without_its_lease_neither_deletes_keys_nor_makes_tables() -> None:
    harness = CacheHarness()
    harness.fake.write("emb:g1:", 5)
    request = NodeRequest("hot-cache-0", "10.3.0.1", 6379, "sophia-admin", "secret")
    result = await FencedCaches(harness.fake, lambda: False).delete(
        request, DeleteTask("0", ("*",), ("emb:",), 10, 1.0)
    )
    assert result.failure is not None
    assert (result.cursor, len(harness.fake.entries)) == ("0", 5)
    command = NodeCommand("hot-cache-0", NodeVerb.PROMOTE)
    assert await FencedCaches(harness.fake, lambda: False).command(request, command, None) is not None
    table = TableRequest("pool", 6432, "orders", "app", "cache", True, "secret")
    assert isinstance(await FencedTables(harness.tables, lambda: False).table(table), CacheFailure)
    assert harness.tables.looked_at == []


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.CONFLICT, Fault.LOST_ANSWER])
async def test_a_fault_at_every_other_write_of_a_failover_does_not_change_its_end(fault: Fault) -> None:
    harness = CacheHarness()
    await lost_primary(harness)
    tries: list[Call] = []

    def hook(call: Call) -> Fault | None:
        # Every other write works.
        if call.write is None:
            return None
        tries.append(call)
        return fault if len(tries) % 2 else None

    harness.cluster.hook = hook
    await harness.run_until(lambda: over(harness), limit=300)
    assert len(tries) >= 5
    assert list(harness.roles().values()).count("primary") == 1


async def test_a_process_that_dies_at_each_command_in_turn_gets_there_all_the_same() -> None:
    for number in range(4):
        harness, left = CacheHarness(), [number]
        await lost_primary(harness)

        def die(_node: str, _verb: NodeVerb, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise CrashError

        harness.fake.hook = die
        await harness.run_until(partial(over, harness), limit=300)
        assert harness.crashes == 1
