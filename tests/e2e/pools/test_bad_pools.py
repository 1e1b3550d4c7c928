"""What is wrong with a pool: a condition with a reason and a remedy, an Event once, and what serves keeps serving."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from hack.rig import database_objects
from hack.rig.api import Api, ApiError
from hack.rig.databases import Database
from hack.rig.pools import Pool, behind
from hack.rig.transactions import Transactions
from tests.e2e.pools.books import nothing_lost, wait_commits

Make = Callable[..., Pool]
Clients = Callable[..., Transactions]
CLIENTS = 2
#: Several looks, at one a second: who tells the same at each of them would have told it by then.
_LOOKS_SECONDS = 4.0


@dataclass(frozen=True)
class Bad:
    """A change of `spec.database` that cannot work, the reason that is given, and words that help."""

    reason: str
    words: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    tls: bool = False


_SECRET = {"name": "nothing"}
BAD = {
    "host": Bad("HostUnknown", ("nowhere.invalid", "database.host"), {"host": "nowhere.invalid"}),
    "port": Bad("ServerUnreachable", ("5433",), {"port": 5433}),
    "secret": Bad("SecretNotFound", ("nothing",), {"credentialsSecretRef": _SECRET}),
    "database": Bad("DatabaseNotFound", ("nothing", "database.name"), {"name": "nothing"}),
    "no-tls": Bad(
        "TlsRequired",
        ("sslMode",),
        {"sslMode": "Disable"},
        before={"sslMode": "Require"},
        server={"tls_required": 1},
        tls=True,
    ),
    "tls": Bad("TlsUnavailable", ("sslMode",), {"sslMode": "Require"}),
    "ca": Bad(
        "TlsUntrusted",
        ("caSecretRef",),
        {"sslMode": "VerifyFull", "caSecretRef": {"name": "other-ca"}},
        before={"sslMode": "Require"},
        tls=True,
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad(pooled: Make, clients: Clients, case: str) -> None:
    bad = BAD[case]
    pool = pooled(tls=bad.tls, server=bad.server, changes=bad.before, instances=1)
    other = database_objects.certificate("other", ["elsewhere"])
    pool.api.apply(database_objects.secret("other-ca", pool.namespace, {"ca.crt": other["ca.crt"]}))
    running = clients(pool, clients=CLIENTS)
    wait_commits(running, CLIENTS)
    uids = pool.uids()
    pool.apply(instances=1, database=behind(pool.database, **{**bad.before, **bad.changes}))
    says(pool, bad.reason, *bad.words)
    wait_commits(running, CLIENTS)
    pool.apply(instances=1, database=behind(pool.database, **bad.before))
    pool.wait_ready(seconds=60)
    nothing_lost(pool, running)
    assert pool.uids() == uids


def says(pool: Pool, reason: str, *words: str) -> None:
    """The pool is not Ready for that reason, says so in words that help, and told it once."""
    found = pool.wait_reason(reason, *words, seconds=60)
    ready = pool.wait_condition("Ready", "False", seconds=45)
    assert ready["message"], found
    time.sleep(_LOOKS_SECONDS)
    # On a busy machine the server may have been too slow once before, when the pool was made.
    told = pool.wait_events(reason, *words)
    assert len(told) == 1, [event["message"] for event in told]
    assert told[0]["type"] == "Warning"
    assert not told[0].get("series"), "told again and again"


@pytest.mark.parametrize("key", ["username", "password"])
def test_missing_key(pooled: Make, clients: Clients, key: str) -> None:
    pool = pooled(instances=1)
    running = clients(pool, clients=CLIENTS)
    wait_commits(running, CLIENTS)
    pool.database.set_credentials(**{key: None})
    says(pool, "SecretKeyMissing", pool.database.credentials, key)
    wait_commits(running, CLIENTS)
    pool.database.set_credentials()
    pool.wait_ready(seconds=60)
    nothing_lost(pool, running)


def test_crash_loop(pooled: Make, clients: Clients) -> None:
    """An image that is no PgBouncer never gets a client: the pods of before stay until a new one is ready."""
    pool = pooled()
    running = clients(pool, clients=CLIENTS)
    wait_commits(running, CLIENTS)
    uids = pool.uids()
    pool.patch(image=database_objects.IMAGE)
    pool.wait_reason("CrashLoop", "instances do not start", "keeps what it has", seconds=120)
    assert uids <= pool.uids()
    assert len(pool.wait_events("CrashLoop")) == 1
    wait_commits(running, CLIENTS)
    pool.patch(image=None)
    pool.wait_ready(seconds=90)
    nothing_lost(pool, running)
    assert pool.uids() == uids


def test_image_that_cannot_be_pulled(pooled: Make) -> None:
    pool = pooled(instances=1)
    uids = pool.uids()
    pool.patch(image="localhost/no-such-pooler:1", imagePullPolicy="Never")
    pool.wait_reason("ImagePullFailed", "no-such-pooler", seconds=90)
    with pool.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert uids <= pool.uids()


def test_bad_from_the_start_becomes_good_by_itself(database: Database) -> None:
    """The pool comes before its Secret and its server, as it may when all are applied together."""
    pool = Pool(database)
    pool.apply(instances=1)
    pool.wait_reason("SecretNotFound", database.credentials, seconds=30)
    assert "binding" not in pool.status()
    database.up()
    pool.wait_ready(seconds=120)
    pool.wait_served()
    with pool.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": {"min": 9, "max": 8}}, "size.min must be at most size.max"),
        ({"size": {"min": 1, "max": 1}}, "size.max must be at least instances"),
        ({"budget": {"maxServerConnections": 5, "sharePercent": 5}}, "not both"),
        ({"parameters": {"server_lifetime": "soon"}}, "server_lifetime"),
        ({"parameters": {"listen_port": "1"}}, "listen_port"),
        ({"healthCheck": {"intervalSeconds": 0}}, "intervalSeconds"),
    ],
)
def test_refused_at_admission(cluster: Api, namespace: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError) as refused:
        Pool(Database(cluster, namespace)).apply(**changes)
    assert refused.value.code == 422
    assert words in refused.value.message
