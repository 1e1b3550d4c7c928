"""Nodes that are lost, in every way a machine can lose them: one accepts writes, and what it said to have stays."""

from __future__ import annotations

import asyncio
import signal

import pytest

from hack.rig.redis_base import Flavor
from tests.component.cache_real.rig import RealTier, running
from tests.component.cache_real.writer import Writer

FLAVORS = pytest.mark.parametrize("flavor", list(Flavor))


@FLAVORS
async def test_a_primary_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(flavor: Flavor) -> None:
    async with running(flavor) as tier:
        old = tier.primary
        async with Writer(tier) as writer:
            await tier.until("writes", lambda: len(writer.acknowledged) > 50)
            tier.real.process(old).kill()
            await tier.until("another primary", lambda: tier.primary not in ("", old), 30)
            before = len(writer.acknowledged)
            await tier.until("writes again", lambda: len(writer.acknowledged) > before + 50)
            await tier.rest()
        assert await writer.missing() == set()
        past = tier.status().failovers[-1]
        assert (past.planned, past.from_node, past.to_node) == (False, old, tier.primary)
        assert tier.roles()[old] == "replica"
        assert await asyncio.to_thread(tier.accepting) == [tier.primary]


async def test_a_primary_that_is_frozen_is_fenced_and_never_writes_again_beside_another() -> None:
    async with running() as tier:
        old = tier.primary
        async with Writer(tier) as writer:
            await tier.until("writes", lambda: len(writer.acknowledged) > 50)
            tier.real.process(old).signal(signal.SIGSTOP)
            await tier.until("another primary", lambda: tier.primary not in ("", old))
            before = len(writer.acknowledged)
            await tier.until("writes again", lambda: len(writer.acknowledged) > before)
            tier.real.process(old).signal(signal.SIGCONT)
            for _ in range(20):
                assert len(await asyncio.to_thread(tier.accepting)) <= 1
                await asyncio.sleep(0.05)
            await tier.rest()
        assert await writer.missing() == set()
        assert tier.roles()[old] == "replica"
        assert await asyncio.to_thread(tier.accepting) == [tier.primary]


async def test_an_operator_that_starts_anew_in_the_midst_of_a_failover_ends_it() -> None:
    async with running() as tier:
        old = tier.primary
        tier.real.process(old).signal(signal.SIGSTOP)
        await tier.until("the failover", lambda: tier.status().failover)
        await tier.restart()
        await tier.until("another primary", lambda: tier.primary not in ("", old))
        tier.real.process(old).signal(signal.SIGCONT)
        await tier.rest()
        assert await asyncio.to_thread(tier.accepting) == [tier.primary]
        assert len([f for f in tier.status().failovers if f.from_node == old]) == 1


async def test_a_replica_that_is_killed_changes_nothing_for_writers() -> None:
    async with running() as tier:
        lost = next(name for name, role in tier.roles().items() if role == "replica")
        async with Writer(tier, replicated=False) as writer:
            await tier.until("writes", lambda: len(writer.acknowledged) > 20)
            tier.real.process(lost).kill()
            await tier.until("the loss to be seen", lambda: tier.roles()[lost] is None)
            await tier.rest()
        assert writer.failed == 0
        assert await writer.missing() == set()


async def test_two_primaries_are_healed_for_the_one_in_the_status() -> None:
    async with running() as tier:
        primary = tier.primary
        other = next(name for name, role in tier.roles().items() if role == "replica")
        await tier.call(other, "REPLICAOF", "NO", "ONE")
        await tier.until("its label to go", lambda: tier.roles()[other] is None, 20)
        await tier.rest()
        assert tier.primary == primary
        assert (await role_of(tier, other))[0] == "slave"


async def role_of(tier: RealTier, pod: str) -> list[object]:
    """What a node says that it is."""
    said: list[object] = await tier.call(pod, "ROLE")
    return said


async def test_one_node_alone_comes_back_empty_and_serves() -> None:
    async with running(redis={"managed": {"replicas": 0}}) as tier:
        pod = tier.primary
        first = tier.real.process(pod)
        first.kill()
        await tier.until("its process to come back", lambda: tier.real.process(pod) is not first)
        await tier.rest()
        assert tier.primary == pod
        assert await asyncio.to_thread(tier.accepting) == [pod]
