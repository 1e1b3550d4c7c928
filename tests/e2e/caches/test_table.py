"""A PostgreSQL level: the operator makes its table through the pool, sweeps it, and leaves other tables alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hack.rig.api import Api
from hack.rig.caches import NAMESPACE, Cache
from hack.rig.databases import Database
from hack.rig.pools import Pool


@pytest.fixture
def pool(cluster: Api, namespace: str) -> Pool:
    """A pool that is Ready, in front of a database."""
    database = Database(cluster, namespace)
    database.up()
    made = Pool(database)
    made.apply(instances=1)
    made.wait_ready()
    made.wait_served()
    return made


@pytest.fixture
def table(pool: Pool) -> Callable[..., Cache]:
    """Apply a tier of the level PostgreSQL in that database."""

    def make(**spec: object) -> Cache:
        cache = Cache(pool.api, pool.namespace, "deep")
        cache.apply(level="PostgreSQL", postgresql={"poolRef": {"name": pool.name}}, namespaces=[NAMESPACE], **spec)
        return cache

    return make


_INSERT = "INSERT INTO sophia_cache (key, namespace, value, expires_at) VALUES (%s, %s, %s, now() + %s::interval)"


def test_table_is_made_and_what_expired_is_swept(pool: Pool, table: Callable[..., Cache]) -> None:
    cache = table()
    cache.wait_ready(seconds=60)
    binding = cache.binding()
    assert (binding["type"], binding["table"]) == ("postgresql", "sophia_cache")
    with pool.connect() as connection:
        for number in range(20):
            life = "-1 second" if number % 2 else "1 hour"
            connection.execute(_INSERT, (f"emb:g1:{number}", "emb", b"x", life))

        def swept() -> bool:
            row = connection.execute("SELECT count(*) FROM sophia_cache WHERE namespace = 'emb'").fetchone()
            return row == (10,)

        cache.api.until("what expired to be swept", swept, seconds=60)


def test_flush_of_a_namespace_of_a_table(pool: Pool, table: Callable[..., Cache]) -> None:
    cache = table()
    cache.wait_ready(seconds=60)
    with pool.connect() as connection:
        for number in range(20):
            connection.execute(_INSERT, (f"emb:g1:{number}", "emb", b"x", "1 hour"))
        cache.patch(flush={"name": "one", "namespaceName": "emb"})
        told = cache.wait_flushed("one")
        assert (told["phase"], told["deleted"]) == ("Done", 20), told
        assert connection.execute("SELECT count(*) FROM sophia_cache WHERE namespace = 'emb'").fetchone() == (0,)


def test_table_of_somebody_else_is_left_alone(pool: Pool, table: Callable[..., Cache]) -> None:
    with pool.connect() as connection:
        connection.execute("CREATE TABLE sophia_cache (mine text)")
        connection.execute("INSERT INTO sophia_cache VALUES ('kept')")
        cache = table()
        cache.wait_reason("TableNotOurs", "sophia_cache", seconds=60)
        assert (cache.condition("Ready") or {}).get("status") == "False"
        assert connection.execute("SELECT mine FROM sophia_cache").fetchone() == ("kept",)
