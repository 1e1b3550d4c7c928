"""A pool from its beginning to its end, with everything around it in memory."""

from __future__ import annotations

import asyncio
import base64

import pytest

from sophia_operator.core.pool import names
from sophia_operator.core.pool.findings import Verb
from tests.support.fake_cluster import Fault
from tests.support.fake_pools_harness import CREDENTIALS, NAME, NAMESPACE, PoolHarness, connection_pool, secret


@pytest.fixture
async def settled() -> PoolHarness:
    """A pool that is ready."""
    harness = PoolHarness()
    await harness.run_until(harness.settled)
    return harness


async def test_a_pool_comes_up(settled: PoolHarness) -> None:
    binding = settled.content("orders-pool-binding")
    assert (binding["username"], binding["host"]) == ("orders-client", "orders-pool.shop.svc")
    assert binding["password"] == settled.content("orders-pool-access")["client-password"]
    status = settled.status()
    assert (status.ready, status.score) == ("2/2", 100)
    assert status.binding is not None
    assert status.budget is not None
    assert (status.budget.available, status.budget.holders) == (97, [])
    assert [m.config_current for m in status.members] == [True, True]
    assert len(settled.fake.watches) == 1
    kinds = {"Deployment", "Service", "PodDisruptionBudget"}
    owners = {kind: settled.cluster.find(kind, "orders-pool") for kind in kinds}
    uid = settled.pool()["metadata"]["uid"]
    assert all(o is not None and o["metadata"]["ownerReferences"][0]["uid"] == uid for o in owners.values())


async def test_a_settled_pool_looks_often_and_writes_nothing(settled: PoolHarness) -> None:
    # Latencies are told after some looks only.
    await settled.run_until(lambda: settled.status().query_ms is not None, limit=300)
    before, looks = len(settled.cluster.calls), len(settled.fake.asked)
    await settled.run(600, every=5.0)
    assert [(c.verb, c.kind, c.name) for c in settled.cluster.calls[before:]] == []
    assert settled.fake.asked[looks:].count("server") >= 9
    assert sum("console" in asked for asked in settled.fake.asked[looks:]) >= 150


async def test_the_made_passwords_stay_for_ever(settled: PoolHarness) -> None:
    before = settled.content("orders-pool-access")
    assert all(len(password) >= 40 for password in before.values())
    settled.start()
    settled.change(maxClients=7)
    await settled.run_until(settled.settled)
    assert settled.content("orders-pool-access") == before


async def test_no_hash_of_a_secret_is_in_its_annotations(settled: PoolHarness) -> None:
    for obj in settled.cluster.all("Secret"):
        assert not obj["metadata"].get("annotations")


async def test_a_secret_that_somebody_changes_is_put_right(settled: PoolHarness) -> None:
    before = settled.content("orders-pool-binding")
    settled.set_secret("orders-pool-binding", password="wrong")
    await settled.run(1)
    assert settled.content("orders-pool-binding") == before
    settled.cluster.remove("Secret", "orders-pool-config")
    await settled.run_until(lambda: settled.cluster.find("Secret", "orders-pool-config") is not None)
    await settled.run_until(settled.settled)


@pytest.mark.parametrize("name", ["orders-pool-config", "orders-pool-binding"])
async def test_a_key_that_somebody_adds_to_a_secret_is_taken_away(settled: PoolHarness, name: str) -> None:
    before = settled.content(name)
    settled.cluster.edit("Secret", name, lambda o: o["data"].update(extra="eA=="))
    await settled.run(1)
    assert settled.content(name) == before
    calls = len(settled.cluster.calls)
    await settled.run(30)
    assert settled.cluster.calls[calls:] == []
    settled.change(maxClients=7)
    await settled.run_until(settled.settled)


async def test_a_missing_secret_is_told_and_its_coming_is_noticed() -> None:
    harness = PoolHarness(objects=())
    await harness.run(5)
    assert harness.condition("Stalled") == (
        "True",
        "SecretNotFound",
        "Secret shop/db-user, named in spec.database.credentialsSecretRef, is missing: create it",
    )
    assert harness.cluster.find("Deployment", "orders-pool") is None
    assert harness.fake.asked == []
    harness.cluster.add(secret(username="app"))
    await harness.run(1)
    assert harness.condition("Stalled") == (
        "True",
        "SecretKeyMissing",
        "Secret shop/db-user has no key password (spec.database.credentialsSecretRef.passwordKey): add it, or name "
        "another key",
    )
    harness.set_secret(username="app", password="pw-one")
    assert harness.wakeups.event((NAMESPACE, NAME)).is_set()
    await harness.run_until(harness.settled)


async def test_a_secret_that_goes_leaves_what_serves(settled: PoolHarness) -> None:
    pods = settled.pods()
    settled.cluster.remove("Secret", CREDENTIALS)
    await settled.run(30)
    assert settled.condition("Stalled") is not None
    assert [p["metadata"]["uid"] for p in settled.pods()] == [p["metadata"]["uid"] for p in pods]
    assert settled.cluster.find("Secret", "orders-pool-config") is not None
    assert not settled.fake.watches


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"username": "app", "password": "line\nbreak\x00"}, "null character"),
        ({"username": "a\nb", "password": "pw-under-test"}, "control character"),
        ({"username": names.ADMIN, "password": "pw-under-test"}, "the operator's own"),
    ],
)
async def test_credentials_that_cannot_be_used_are_told_without_what_they_are(
    content: dict[str, str], words: str
) -> None:
    harness = PoolHarness(objects=(secret(**content),))
    await harness.run(2)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[1] == "SecretKeyMissing"
    assert words in found[2]


async def test_credentials_that_are_no_text_are_told_without_what_they_are() -> None:
    broken = secret()
    broken["data"]["password"] = base64.b64encode(b"\xff\xfe").decode()
    harness = PoolHarness(objects=(broken,))
    await harness.run(2)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[2].startswith("Secret shop/db-user, key password (")
    assert "UTF-8" in found[2]


async def test_a_new_password_reaches_instances_that_run_on(settled: PoolHarness) -> None:
    deployment = settled.cluster.find("Deployment", "orders-pool")
    assert deployment is not None
    pods = {p["metadata"]["uid"] for p in settled.pods()}
    client = settled.content("orders-pool-binding")
    settled.fake.hosts["db"].password = "pw-two"
    settled.set_secret(username="app", password="pw-two")
    await settled.run(1)
    assert not settled.is_true("ConfigApplied") or settled.fake.given
    await settled.run_until(settled.settled)
    assert {p["metadata"]["uid"] for p in settled.pods()} == pods
    after = settled.cluster.find("Deployment", "orders-pool")
    assert after is not None
    assert after["spec"] == deployment["spec"]
    assert settled.content("orders-pool-binding") == client
    wanted = settled.status().config_hash
    assert all(p["metadata"]["annotations"][names.ANNOTATION_CONFIG] == wanted for p in settled.pods())
    assert {b.password_of("app") for b in settled.fake.bouncers.values()} == {"pw-two"}
    reloaded = [name for name, verb in settled.fake.given if verb is Verb.RELOAD]
    assert set(reloaded) == {p["metadata"]["name"] for p in settled.pods()}


async def test_an_object_of_somebody_else_is_left_alone_and_its_going_is_noticed() -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orders-pool", "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}},
    }
    harness = PoolHarness(objects=(secret(), theirs))
    await harness.run(10)
    assert harness.condition("Stalled") == (
        "True",
        "NotOwned",
        "Service orders-pool exists and is not this pool's (it was not made by the operator): remove it, or rename "
        "the ConnectionPool; the pool keeps what it has",
    )
    found = harness.cluster.find("Service", "orders-pool")
    assert found is not None
    assert found["spec"]["selector"] == {"app": "theirs"}
    harness.cluster.remove("Service", "orders-pool")
    await harness.run_until(harness.settled, limit=90)


async def test_passwords_of_somebody_else_are_not_taken() -> None:
    theirs = secret("orders-pool-access", **{"client-password": "theirs", "admin-password": "theirs"})
    harness = PoolHarness(objects=(secret(), theirs))
    await harness.run(5)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[1] == "NotOwned"
    assert harness.cluster.find("Secret", "orders-pool-config") is None


async def test_a_spec_that_cannot_be_read_leaves_what_serves(settled: PoolHarness) -> None:
    before = len(settled.cluster.writes)
    settled.change(size={"min": 9, "max": 3})
    await settled.run(30)
    found = settled.condition("Stalled")
    assert found is not None
    assert found[1] == "InvalidSpec"
    assert "size" in found[2]
    assert [(c.verb, c.kind) for c in settled.cluster.writes[before:]] == [("apply-status", "ConnectionPool")]
    assert not settled.fake.watches
    settled.change(size={"min": 5, "max": 20})
    await settled.run_until(settled.settled)
    assert len(settled.fake.watches) == 1


async def test_what_needs_a_restart_replaces_pods_one_by_one(settled: PoolHarness) -> None:
    pods = {p["metadata"]["uid"] for p in settled.pods()}
    settled.change(image="pgbouncer:newer")
    least = 2

    def over() -> bool:
        nonlocal least
        least = min(least, settled.status().ready_instances)
        new = {p["metadata"]["uid"] for p in settled.pods()}
        return settled.settled() and not new & pods

    await settled.run_until(over)
    assert least == 2
    assert settled.status().ready == "2/2"


async def test_a_deleted_pool_leaves_nothing_behind(settled: PoolHarness) -> None:
    assert f'pool="{NAME}"' in settled.telemetry.exposition().decode()
    ended = settled.loop
    running = await _start(settled)
    assert "sophia_pools 1.0" in settled.telemetry.exposition().decode()
    settled.cluster.remove("ConnectionPool", NAME)
    await running
    assert not settled.fake.watches
    out = settled.telemetry.exposition().decode()
    assert f'pool="{NAME}"' not in out
    assert "sophia_pools 0.0" in out
    settled.cluster.collect_garbage()
    assert [o["metadata"]["name"] for o in settled.cluster.all("Secret")] == [CREDENTIALS]
    assert ended._world.servers.usernames == {}


async def _start(harness: PoolHarness) -> asyncio.Future[None]:
    """The loop as the daemon runs it, once it waits."""
    task = asyncio.ensure_future(harness.loop.run())
    for _ in range(50):
        await asyncio.sleep(0)
    return task


async def test_an_api_server_that_does_not_answer_keeps_nobody_from_looking_later(settled: PoolHarness) -> None:
    settled.cluster.hook = lambda _: Fault.UNAVAILABLE
    settled.change(maxClients=7)
    wait = await settled.once()
    assert wait is not None
    assert 0 < wait < 1
    settled.cluster.hook = lambda _: None
    await settled.run_until(settled.settled)


async def test_two_pools_of_the_same_name_in_a_service_do_not_wake_each_other() -> None:
    harness = PoolHarness(pools=(connection_pool(),))
    service = harness.services.event((NAMESPACE, NAME))
    await harness.run_until(harness.settled)
    assert not service.is_set()


async def test_what_stands_in_the_way_is_looked_for_again_though_nothing_else_is_due() -> None:
    """Objects of others are not watched."""
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orders-pool", "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 80}]},
    }
    idle = connection_pool(instances=0, healthCheck={"intervalSeconds": 3600})
    harness = PoolHarness(pools=(idle,), objects=(secret(), theirs))
    await harness.run(5)
    wait = await harness.once()
    assert wait is not None
    assert 1 < wait <= 30


async def test_a_service_that_waits_for_the_binding_is_woken_when_it_is_made() -> None:
    harness = PoolHarness()
    web = (NAMESPACE, "web")
    waiting = harness.services.event(web)
    harness.services.depend(web, frozenset({("Secret", NAMESPACE, "orders-pool-binding")}))
    # The answer to the write comes first, and the watch says nothing new then.
    harness.cluster.lagging = True
    while not harness.settled():
        await harness.run(0.3)
        harness.cluster.deliver()
    assert waiting.is_set()
    waiting.clear()
    await harness.run(120)
    assert not waiting.is_set()
