"""What users change while a tier serves."""

from __future__ import annotations

import asyncio
import base64

from sophia_operator.core.cache import names
from tests.component.cache_real.rig import running
from tests.component.cache_real.writer import Writer


async def test_a_roll_loses_no_key_while_a_writer_writes() -> None:
    async with running() as tier:
        pods = {p["metadata"]["uid"] for p in tier.pods()}
        async with Writer(tier, replicated=False) as writer:
            await tier.until("writes", lambda: len(writer.acknowledged) > 20)
            tier.change(redis={"managed": {"replicas": 2, "image": "redis:newer"}})
            await tier.until("every pod to be new", lambda: not pods & {p["metadata"]["uid"] for p in tier.pods()}, 180)
            await tier.rest()
        assert await writer.missing() == set()
        assert [f.planned for f in tier.status().failovers if f.from_node] == [True]


async def test_settings_are_given_live_and_confirmed() -> None:
    async with running() as tier:
        runs = {n.name: n.run_id for n in tier.status().nodes}
        managed = {"replicas": 2, "maxMemoryMegabytes": 64, "evictionPolicy": "AllKeysLFU"}
        tier.change(redis={"managed": managed})
        await tier.rest()
        assert tier.is_true("LiveConfigApplied")
        for pod in tier.roles():
            assert await tier.call(pod, "CONFIG", "GET", "maxmemory") == {"maxmemory": str(64 * 1024 * 1024)} or (
                await tier.call(pod, "CONFIG", "GET", "maxmemory")
            ) == ["maxmemory", str(64 * 1024 * 1024)]
        assert {n.name: n.run_id for n in tier.status().nodes} == runs


async def test_a_setting_that_somebody_changes_is_set_back() -> None:
    async with running() as tier:
        await tier.call(tier.primary, "CONFIG", "SET", "maxmemory", "12345678")
        await tier.until("the change to be seen", lambda: not tier.is_true("LiveConfigApplied"), 20)
        await tier.rest()
        found = await tier.call(tier.primary, "CONFIG", "GET", "maxmemory")
        assert "12345678" not in str(found)


async def test_fewer_replicas_and_more_keep_every_key() -> None:
    async with running() as tier:
        async with Writer(tier, replicated=False) as writer:
            await tier.until("writes", lambda: len(writer.acknowledged) > 20)
            tier.change(redis={"managed": {"replicas": 0}})
            await tier.rest()
            tier.change(redis={"managed": {"replicas": 1}})
            await tier.rest()
        assert await writer.missing() == set()
        assert await asyncio.to_thread(tier.accepting) == [tier.primary]


async def test_passwords_that_somebody_replaces_reach_every_node_and_no_key_is_lost() -> None:
    async with running() as tier:
        pods = {p["metadata"]["uid"] for p in tier.pods()}
        async with Writer(tier) as writer:
            await tier.until("writes", lambda: len(writer.acknowledged) > 20)
            secret = tier.content(names.access_secret("hot"))
            changed = {key: base64.b64encode(f"{key}-anew".encode()).decode() for key in secret}
            tier.cluster.edit("Secret", names.access_secret("hot"), lambda obj: obj.update(data=changed))
            await tier.until("every pod to be new", lambda: not pods & {p["metadata"]["uid"] for p in tier.pods()}, 100)
            await tier.rest()
        assert await writer.missing() == set()
        assert [f.planned for f in tier.status().failovers if f.from_node] == [True]
