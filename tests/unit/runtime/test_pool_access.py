"""What a pool works with: read when it changes, made once, and never taken from somebody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from sophia_operator.core.pool.views import Certificate, PoolView
from sophia_operator.ports import ClusterError, Refusal
from sophia_operator.runtime.pools.access import AccessReader, Found
from sophia_operator.runtime.pools.observe import pool_view
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Feed, Wakeups
from tests.support.fake_cluster import Call, FakeCluster, Fault
from tests.support.fake_pools_harness import CREDENTIALS, connection_pool, secret


@dataclass
class Case:
    """A cluster with a pool, and who reads for it."""

    spec: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster, self.store = FakeCluster(), ObjectStore()
        self.cluster.add(secret())
        self.cluster.add(connection_pool(**self.spec))
        self.cluster.watch(Feed(self.store, Wakeups()))
        self.reader = AccessReader(self.cluster, self.store, self.store.put)

    @property
    def pool(self) -> PoolView:
        found = self.cluster.find("ConnectionPool", "orders")
        assert found is not None
        return pool_view(found)

    async def read(self) -> Found:
        return await self.reader.read(self.pool)

    def words(self, found: Found) -> list[str]:
        return [blocker.message for blocker in found.blockers]


async def test_passwords_are_made_once_and_secrets_read_only_when_they_change() -> None:
    case = Case()
    first = await case.read()
    assert first.access is not None
    assert (first.writes, [c.verb for c in case.cluster.calls]) == (1, ["get", "create"])
    assert (await case.read()).access == first.access
    assert len(case.cluster.calls) == 2
    case.cluster.edit("Secret", CREDENTIALS, lambda o: o.update(data=secret(username="app", password="pw-two")["data"]))
    second = await case.read()
    assert second.access is not None
    assert second.access.password == "pw-two"
    assert second.access.client_password == first.access.client_password
    assert [c.verb for c in case.cluster.calls[2:]] == ["get"]


async def test_whoever_starts_anew_finds_the_passwords_that_were_made() -> None:
    case = Case()
    first = await case.read()
    case.reader = AccessReader(case.cluster, case.store, case.store.put)
    again = await case.read()
    assert again.access == first.access
    assert again.writes == 0


async def test_passwords_that_are_there_though_no_watch_brought_them_are_taken() -> None:
    case = Case()
    case.cluster.lagging = True
    first = await case.read()
    trailing = ObjectStore()
    for kind in ("Secret", "ConnectionPool"):
        for obj in case.cluster.all(kind):
            if obj["metadata"]["name"] != "orders-pool-access":
                trailing.put(obj)
    case.store, case.reader = trailing, AccessReader(case.cluster, trailing, trailing.put)
    again = await case.read()
    assert again.access == first.access
    assert trailing.get("Secret", "shop", "orders-pool-access") is not None


async def test_everything_that_is_missing_is_told_at_once() -> None:
    case = Case({"database": {"sslMode": "VerifyFull", "caSecretRef": {"name": "db-ca"}}})
    case.cluster.remove("Secret", CREDENTIALS)
    assert case.words(await case.read()) == [
        "Secret shop/db-user, named in spec.database.credentialsSecretRef, is missing: create it",
        "Secret shop/db-ca, named in spec.database.caSecretRef, is missing: create it",
    ]
    case.cluster.add(secret())
    case.cluster.add(secret("db-ca", **{"other.crt": "x"}))
    assert case.words(await case.read()) == [
        "Secret shop/db-ca has no key ca.crt (spec.database.caSecretRef.key): add it, or name another key"
    ]
    case.cluster.edit("Secret", "db-ca", lambda o: o.update(data=secret("db-ca", **{"ca.crt": "PEM"})["data"]))
    found = await case.read()
    assert found.access is not None
    assert found.access.ca == "PEM"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ", named in spec.tls.secretName, is missing: create it"),
        ({"tls.crt": "CERTIFICATE-----"}, " has no key tls.key (spec.tls.secretName): add it, or name another Secret"),
        ({"tls.crt": "none", "tls.key": "PRIVATE KEY-----"}, ", key tls.crt (spec.tls.secretName), is not in PEM form"),
        ({"tls.crt": "CERTIFICATE-----", "tls.key": "none"}, ", key tls.key (spec.tls.secretName), is not in PEM form"),
        (
            {"tls.crt": "CERTIFICATE-----", "tls.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----"},
            ", key tls.key (spec.tls.secretName), asks for a passphrase: give the key without one",
        ),
    ],
)
async def test_a_pool_without_its_certificate_says_so_and_can_be_looked_at(
    content: dict[str, str] | None, said: str
) -> None:
    case = Case({"tls": {"secretName": "orders-tls"}})
    if content is not None:
        case.cluster.add(secret("orders-tls", **content))
    found = await case.read()
    [words] = case.words(found)
    assert words.startswith(f"Secret shop/orders-tls{said}")
    assert found.access is not None
    assert found.access.certificate is None
    whole = {"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "-----BEGIN PRIVATE KEY-----"}
    case.cluster.remove("Secret", "orders-tls")
    case.cluster.add(secret("orders-tls", **whole))
    found = await case.read()
    assert not found.blockers
    assert found.access is not None
    assert found.access.certificate == Certificate(*whole.values())
    assert whole["tls.key"] not in repr(found)


async def test_made_passwords_that_somebody_broke_are_not_made_anew_by_themselves() -> None:
    """Applications have them."""
    case = Case()
    await case.read()
    for broken in ({}, {"client-password": ""}, {"client-password": "/w=="}):
        kept = {"admin-password": secret("x", key="random")["data"]["key"]}
        found_before = case.cluster.find("Secret", "orders-pool-access")
        assert found_before is not None
        case.cluster.remove("Secret", "orders-pool-access")
        case.cluster.add({**found_before, "data": kept | broken})
        found = await case.read()
        assert found.access is None
        assert case.words(found) == [
            "Secret shop/orders-pool-access has no password in its key client-password: delete the Secret, and the "
            "operator makes a new one; applications get another password then, and instances are replaced"
        ]
    case.cluster.remove("Secret", "orders-pool-access")
    assert (await case.read()).access is not None


@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.INVALID])
async def test_what_the_api_server_refuses_is_told(fault: Fault) -> None:
    case = Case()

    def refuse(call: Call) -> Fault | None:
        return fault if call.verb == "create" else None

    case.cluster.hook = refuse
    found = await case.read()
    assert found.access is None
    assert [b.reason.value for b in found.blockers] == ["ApiError"]


async def test_an_api_server_that_does_not_answer_is_asked_again() -> None:
    case = Case()
    case.cluster.hook = lambda _: Fault.UNAVAILABLE
    with pytest.raises(ClusterError) as raised:
        await case.read()
    assert raised.value.refusal is Refusal.UNAVAILABLE


async def test_nothing_secret_is_in_what_is_printed() -> None:
    case = Case()
    found = await case.read()
    assert found.access is not None
    for hidden in (found.access.password, found.access.client_password, found.access.admin_password):
        assert hidden not in repr(found)
