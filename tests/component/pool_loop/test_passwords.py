"""Passwords that change, in whichever order, and those that are lost."""

from __future__ import annotations

from sophia_operator.core.pool import names
from tests.support.fake_pools_harness import CREDENTIALS, PoolHarness


async def test_a_pool_whose_made_passwords_are_lost_gets_others() -> None:
    """No instance that runs knows the operator's new password, so none can be told to read it: they are replaced."""
    harness = PoolHarness()
    await harness.run_until(harness.settled)
    before, pods = harness.content("orders-pool-access"), {p["metadata"]["uid"] for p in harness.pods()}
    harness.cluster.remove("Secret", "orders-pool-access")
    await harness.run(2)
    await harness.run_until(harness.settled)
    after = harness.content("orders-pool-access")
    assert not set(before.values()) & set(after.values())
    assert harness.content("orders-pool-binding")["password"] == after["client-password"]
    assert not pods & {p["metadata"]["uid"] for p in harness.pods()}
    assert len(harness.pods()) == 2
    assert names.ADMIN in harness.content("orders-pool-config")["userlist.txt"]


async def test_a_password_may_change_in_the_secret_before_it_does_at_the_server() -> None:
    """Until it is right nothing changes for clients; then it is noticed, with nothing to wake the operator."""
    harness = PoolHarness()
    await harness.run_until(harness.settled)
    config = harness.content("orders-pool-config")
    harness.set_secret(CREDENTIALS, username="app", password="pw-two")
    await harness.run(60)
    said = harness.condition("Stalled")
    assert said is not None
    assert said[1] == "AuthenticationFailed"
    assert "until then, the pool keeps what it connects to" in said[2]
    assert harness.content("orders-pool-config") == config
    assert harness.status().reconnect is None
    assert all(k.alive for b in harness.fake.bouncers.values() for k in b.links)

    harness.fake.hosts["db"].password = "pw-two"
    began = harness.now
    await harness.run_until(lambda: harness.settled() and harness.content("orders-pool-config") != config)
    assert (harness.now - began).total_seconds() < 15
    assert {b.password_of("app") for b in harness.fake.bouncers.values()} == {"pw-two"}
    assert harness.status().reconnects == []
