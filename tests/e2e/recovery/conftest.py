"""Policies for each test, and what they recover: the fixtures of pools, caches and models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from hack.rig.api import Api
from hack.rig.pools import Pool
from hack.rig.recoveries import Policy
from tests.e2e.caches.conftest import cached, writing
from tests.e2e.models.conftest import asking, proved, served, simulated, two_envoys
from tests.e2e.pools.conftest import clients, database, pooled

__all__ = [
    "asking",
    "cached",
    "clients",
    "database",
    "pooled",
    "proved",
    "served",
    "simulated",
    "two_envoys",
    "writing",
]


@pytest.fixture
def policy(cluster: Api, namespace: str) -> Policy:
    """A policy that is not there yet."""
    return Policy(cluster, namespace)


#: How a statement ended: nothing, or the words of the server.
Ended = Future[str | None]


@pytest.fixture
def runs() -> Iterator[Callable[..., Ended]]:
    """Run statements in one transaction through a pool, beside the test; the answer says how that ended."""
    threads = ThreadPoolExecutor(max_workers=8)

    def run(pool: Pool, *statements: str) -> Ended:
        def work() -> str | None:
            with pool.connect() as connection:
                try:
                    with connection.transaction():
                        for statement in statements:
                            connection.execute(statement.encode())
                except psycopg.Error as error:
                    return str(error)
            return None

        return threads.submit(work)

    yield run
    threads.shutdown(wait=False, cancel_futures=True)
