"""A tier from its beginning to its end, with everything around it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sophia_operator.core.cache import names
from sophia_operator.core.cache.findings import DeleteResult, DeleteTask, NodeRequest, NodeVerb
from sophia_operator.ports import Object
from tests.support.cache_nodes import Redis
from tests.support.fake_caches import FakeCaches, Process
from tests.support.fake_caches_harness import NAME, NAMESPACE, CacheHarness, cache_tier, secret
from tests.support.fake_cluster import FakeCluster, Fault

LIVE = {"hot-cache-0": "primary", "hot-cache-1": "replica", "hot-cache-2": "replica"}


def _content(data: dict[str, str]) -> Callable[[dict[str, Any]], None]:
    return lambda obj: obj.update(data=data)


def _is_guarded(harness: CacheHarness) -> bool:
    return harness.settled() and harness.status().guarded


def _has_heir(harness: CacheHarness) -> bool:
    return "primary" in (harness.roles()["hot-cache-1"], harness.roles()["hot-cache-2"])


@pytest.fixture
async def settled() -> CacheHarness:
    """A tier that is ready."""
    harness = CacheHarness()
    await harness.run_until(harness.settled)
    return harness


async def test_a_tier_comes_up(settled: CacheHarness) -> None:
    assert settled.roles() == LIVE
    status = settled.status()
    assert (status.ready, status.primary, status.chain) == ("3/3", "hot-cache-0", [NAME])
    binding = settled.content("hot-cache-binding")
    assert (binding["host"], binding["port"], binding["username"]) == ("hot-cache.shop.svc", "6379", "hot-client")
    assert binding["password"] == settled.content("hot-cache-access")[names.CLIENT_KEY]
    assert len(settled.fake.watches) == 3
    await settled.run_until(lambda: settled.status().guarded)
    owned = [("StatefulSet", "hot-cache"), ("Service", "hot-cache"), ("PodDisruptionBudget", "hot-cache")]
    uid = settled.tier()["metadata"]["uid"]
    for kind, name in owned:
        found = settled.cluster.find(kind, name)
        assert found is not None
        assert found["metadata"]["ownerReferences"][0]["uid"] == uid


async def test_a_settled_tier_looks_often_and_writes_nothing(settled: CacheHarness) -> None:
    await settled.run(120)
    before, looks = len(settled.cluster.calls), len(settled.fake.asked)
    await settled.run(600, every=5.0)
    assert [(c.verb, c.kind, c.name) for c in settled.cluster.calls[before:]] == []
    asked = settled.fake.asked[looks:]
    assert asked.count("hot-cache-0 full") >= 18
    assert len(asked) <= 3 * 200
    assert NodeVerb.PROMOTE not in [verb for _, verb in settled.fake.given[1:]]


async def test_a_new_loop_leaves_what_serves_as_it_is(settled: CacheHarness) -> None:
    await settled.run(60)
    commands, writes = len(settled.fake.given), len(settled.cluster.writes)
    access = settled.content("hot-cache-access")
    settled.start()
    await settled.run(10)
    assert settled.fake.given[commands:] == []
    assert [(c.verb, c.kind) for c in settled.cluster.writes[writes:] if c.kind != "CacheTier"] == []
    assert settled.settled()
    assert settled.content("hot-cache-access") == access


async def test_passwords_that_are_replaced_twice_reach_nodes_that_run(settled: CacheHarness) -> None:
    await settled.run_until(lambda: settled.status().guarded)
    settled.cluster.edit("CacheTier", "hot", lambda obj: obj["spec"].update(paused=True))
    before = settled.status().failovers
    for word in ("anew", "again"):
        changed = {key: f"{key}-{word}" for key in settled.content("hot-cache-access")}
        data = secret("hot-cache-access", **changed)["data"]
        settled.cluster.edit("Secret", "hot-cache-access", _content(data))
        given = len(settled.fake.given)
        await settled.run(10)
        told = [node for node, verb in settled.fake.given[given:] if verb is NodeVerb.ADD_PASSWORDS]
        assert sorted(told) == ["hot-cache-0", "hot-cache-1", "hot-cache-2"]
        assert settled.is_true("Healthy")
    assert settled.status().failovers == before, "nobody was promoted"


async def test_a_primary_whose_process_ends_is_replaced_at_once(settled: CacheHarness) -> None:
    await settled.run_until(lambda: settled.status().guarded)
    began = settled.now
    settled.nodes.net.kill(settled.nodes.process("hot-cache-0").redis)
    await settled.run_until(lambda: settled.roles()["hot-cache-1"] == "primary")
    assert (settled.now - began).total_seconds() < 3
    await settled.run_until(settled.settled)
    past = settled.status().failovers[-1]
    assert (past.planned, past.from_node, past.to_node) == (False, "hot-cache-0", "hot-cache-1")
    assert settled.roles() == {"hot-cache-0": "replica", "hot-cache-1": "primary", "hot-cache-2": "replica"}


async def test_a_primary_that_is_cut_off_is_fenced_before_another_is_promoted(settled: CacheHarness) -> None:
    await settled.run_until(lambda: settled.status().guarded)
    net, old = settled.nodes.net, settled.nodes.process("hot-cache-0").redis
    net.cuts |= {frozenset((old.machine, other)) for other in ("operator", "hot-cache-1", "hot-cache-2")}
    settled.nodes.lost.add("hot-cache-0")
    began = settled.now
    await settled.run_until(lambda: settled.roles()["hot-cache-1"] == "primary")
    assert (settled.now - began).total_seconds() > 8
    assert not net.cuts.intersection({frozenset(("hot-cache-1", "hot-cache-2"))})
    # Net tells when two accept writes by turns.
    net.cuts.clear()
    settled.nodes.lost.clear()
    await settled.run_until(settled.settled)
    await settled.run(20)
    assert settled.roles() == {"hot-cache-0": "replica", "hot-cache-1": "primary", "hot-cache-2": "replica"}


async def test_the_operator_may_start_anew_at_any_moment_of_a_failover() -> None:
    for passes in range(1, 16):
        harness = CacheHarness()
        await harness.run_until(partial(_is_guarded, harness))
        net, old = harness.nodes.net, harness.nodes.process("hot-cache-0").redis
        old.frozen = True
        for _ in range(passes):
            await harness.run(1.0)
        harness.start()
        await harness.run_until(partial(_has_heir, harness))
        old.frozen = False
        await harness.run_until(harness.settled)
        assert len([p for p in net.processes if p.role.value == "Primary"]) == 1


async def test_a_spec_that_cannot_be_read_leaves_what_serves(settled: CacheHarness) -> None:
    before = len(settled.cluster.writes)
    settled.change(namespaces=[{"name": "a", "prefix": "emb"}, {"name": "b", "prefix": "emb:x"}])
    await settled.run(30)
    found = settled.condition("Stalled")
    assert found is not None
    assert found[1] == "InvalidSpec"
    assert "prefix" in found[2]
    assert [(c.verb, c.kind) for c in settled.cluster.writes[before:]] == [("apply-status", "CacheTier")]
    assert settled.roles() == LIVE
    settled.change(namespaces=[])
    await settled.run_until(settled.settled)
    assert len(settled.fake.watches) == 3


async def test_another_image_replaces_nodes_one_by_one_and_the_primary_last(settled: CacheHarness) -> None:
    await settled.run_until(lambda: settled.status().guarded)
    pods, went = {p["metadata"]["uid"]: p["metadata"]["name"] for p in settled.pods()}, list[str]()
    settled.change(redis={"managed": {"replicas": 2, "image": "redis:newer"}})

    def over() -> bool:
        there = {p["metadata"]["uid"] for p in settled.pods()}
        went.extend(name for uid, name in pods.items() if uid not in there and name not in went)
        return settled.settled() and not there & pods.keys()

    await settled.run_until(over, limit=300)
    assert went[-1] == "hot-cache-0"
    assert [f.planned for f in settled.status().failovers if f.from_node] == [True]
    images = {p["spec"]["containers"][0]["image"] for p in settled.pods()}
    assert images == {"redis:newer"}


async def test_fewer_replicas_and_more_keep_the_primary(settled: CacheHarness) -> None:
    await settled.run_until(lambda: settled.status().guarded)
    settled.change(redis={"managed": {"replicas": 0}})
    await settled.run_until(lambda: settled.settled() and len(settled.pods()) == 1)
    assert settled.roles() == {"hot-cache-0": "primary"}
    assert settled.nodes.process("hot-cache-0").redis.min_replicas == 0
    settled.change(redis={"managed": {"replicas": 1}})
    await settled.run_until(lambda: settled.settled() and settled.status().guarded)
    assert settled.roles() == {"hot-cache-0": "primary", "hot-cache-1": "replica"}


async def test_a_setting_is_given_to_every_node_and_seen(settled: CacheHarness) -> None:
    settled.change(redis={"managed": {"replicas": 2, "maxMemoryMegabytes": 64}})
    await settled.run_until(lambda: settled.settled() and settled.is_true("LiveConfigApplied"))
    for name in LIVE:
        assert settled.nodes.process(name).settings["maxmemory"] == str(64 * 1024 * 1024)
    assert settled.status().failovers == [f for f in settled.status().failovers if f.from_node is None]
    told = {name for name, verb in settled.fake.given if verb is NodeVerb.CONFIGURE}
    assert told == set(LIVE)


async def test_a_flush_is_done_once(settled: CacheHarness) -> None:
    settled.fake.write("emb:g1:", 40)
    settled.fake.write("other:", 5)
    settled.change(flush={"name": "one", "namespaceName": "texts"})
    await settled.run_until(lambda: [f.phase.value for f in settled.status().flushes] == ["Done"])
    assert [k for k in settled.fake.entries if k.startswith("emb:")] == []
    assert len(settled.fake.entries) == 5
    settled.fake.write("emb:g1:", 3)
    settled.start()
    await settled.run(30)
    assert len(settled.fake.entries) == 8


async def test_a_part_that_ends_while_a_decision_is_written_down_is_not_done_again(
    settled: CacheHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.fake.write("emb:g1:", 40)
    parts: list[str] = []
    goes_on, delete, write = asyncio.Event(), settled.fake.delete, settled.cluster.apply_status

    async def slow_delete(_: FakeCaches, request: NodeRequest, task: DeleteTask) -> DeleteResult:
        parts.append(task.cursor)
        result = await delete(request, task)
        await goes_on.wait()
        return result

    async def slow_write(_: FakeCluster, obj: Object) -> Object:
        goes_on.set()
        for _turn in range(5):
            await asyncio.sleep(0)
        return await write(obj)

    monkeypatch.setattr(FakeCaches, "delete", slow_delete)
    settled.change(flush={"name": "one", "namespaceName": "texts"})
    await settled.once()
    # Another rate: the status is written while the part is under way.
    settled.change(flush={"name": "one", "namespaceName": "texts", "keysPerSecond": 100})
    monkeypatch.setattr(FakeCluster, "apply_status", slow_write)
    await settled.once()
    assert goes_on.is_set()
    await settled.run_until(lambda: [f.phase.value for f in settled.status().flushes] == ["Done"])
    # Done twice, the part would have nothing to delete, and the flush would say so.
    assert parts == ["0"]
    assert settled.status().flushes[0].deleted == 40


async def test_an_object_of_somebody_else_is_left_alone() -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hot-cache", "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}},
    }
    harness = CacheHarness(objects=(theirs,))
    await harness.run(10)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[1] == "NotOwned"
    harness.cluster.remove("Service", "hot-cache")
    await harness.run_until(harness.settled, limit=90)


async def test_a_missing_secret_is_told_and_its_coming_is_noticed() -> None:
    external = {"host": "redis.shop", "credentialsSecretRef": {"name": "redis-user"}}
    harness = CacheHarness(tiers=(cache_tier(redis={"external": external}),))
    await harness.run(5)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[1] == "SecretNotFound"
    assert "shop/redis-user" in found[2]
    assert harness.fake.asked == []
    harness.cluster.add(secret("redis-user", password="pw-external"))
    assert harness.wakeups.event((NAMESPACE, NAME)).is_set()


async def test_an_adopted_redis_is_looked_at_and_left_as_it_is() -> None:
    external = {"host": "redis", "credentialsSecretRef": {"name": "redis-user"}}
    harness = CacheHarness(
        tiers=(cache_tier(redis={"external": external}),), objects=(secret("redis-user", password="pw-external"),)
    )
    redis = await other_redis(harness)
    await harness.run_until(harness.settled)
    assert harness.status().primary == names.EXTERNAL
    binding = harness.content("hot-cache-binding")
    assert binding["password"] == "pw-external"
    assert list(harness.cluster.all("StatefulSet")) == []
    assert harness.fake.given == []
    redis.password = "another"
    harness.cluster.edit("Secret", "redis-user", lambda o: o.update(data=secret("x", password="another")["data"]))
    await harness.run(40)
    assert harness.settled(), harness.describe()
    assert harness.content("hot-cache-binding")["password"] == "another"


async def other_redis(harness: CacheHarness) -> Process:
    """A Redis of somebody else."""
    redis = Redis("run-external", "192.0.2.9", "elsewhere")
    harness.nodes.net.processes.append(redis)
    harness.nodes.net.make_primary(redis)
    redis.min_replicas = 0
    made = Process(redis, harness.now, "", {"maxmemory": "0"}, password="pw-external")
    harness.fake.others["redis"] = made
    return made


async def test_a_level_in_postgresql_is_looked_at_through_its_pool() -> None:
    tier = cache_tier(level="PostgreSQL", postgresql={"poolRef": {"name": "orders"}})
    del tier["spec"]["redis"]
    harness = CacheHarness(tiers=(tier,))
    await harness.run(5)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[1] == "PoolNotFound"
    harness.tables.hosts["orders-pool.shop.svc"] = "pw-pool"
    binding = {"host": "orders-pool.shop.svc", "port": "6432", "database": "orders", "username": "orders-client"}
    harness.cluster.add(secret("orders-pool-binding", password="pw-pool", **binding))
    await harness.run_until(harness.settled)
    assert harness.content("hot-cache-binding")["password"] == "pw-pool"
    assert harness.tables.looked_at[-1].username == "orders-client"


async def test_a_memory_level_has_a_chain_and_nothing_to_look_at() -> None:
    tier = cache_tier(level="Memory", next="cold")
    del tier["spec"]["redis"]
    below = cache_tier("cold", redis={"managed": {"replicas": 0}})
    harness = CacheHarness(tiers=(tier, below))
    await harness.run_until(lambda: harness.settled() and harness.settled("cold"))
    assert harness.status().chain == [NAME, "cold"]
    chain = harness.cluster.find("ConfigMap", "hot-cache-chain")
    assert chain is not None
    before = chain["data"]["chain.json"]
    harness.change("cold", flush={"name": "one", "kind": "Generation", "namespaceName": "texts"})
    await harness.run_until(lambda: [f.phase.value for f in harness.status("cold").flushes] == ["Done"])
    await harness.run(2)
    after = harness.cluster.find("ConfigMap", "hot-cache-chain")
    assert after is not None
    assert after["data"]["chain.json"] != before


async def test_an_api_server_that_does_not_answer_keeps_nobody_from_looking_later(settled: CacheHarness) -> None:
    settled.cluster.hook = lambda _: Fault.UNAVAILABLE
    settled.change(redis={"managed": {"replicas": 1}})
    wait = await settled.once()
    assert wait is not None
    assert 0 < wait < 1
    settled.cluster.hook = lambda _: None
    await settled.run_until(lambda: settled.settled() and len(settled.pods()) == 2)


async def test_a_deleted_tier_leaves_nothing_behind(settled: CacheHarness) -> None:
    assert f'tier="{NAME}"' in settled.telemetry.exposition().decode()
    task = asyncio.ensure_future(settled.loop.run())
    for _ in range(50):
        await asyncio.sleep(0)
    assert "sophia_cache_tiers 1.0" in settled.telemetry.exposition().decode()
    settled.cluster.remove("CacheTier", NAME)
    await task
    assert not settled.fake.watches
    out = settled.telemetry.exposition().decode()
    assert f'tier="{NAME}"' not in out
    assert "sophia_cache_tiers 0.0" in out
    settled.cluster.collect_garbage()
    assert list(settled.cluster.all("Secret")) == []
