"""A pool that is real below Kubernetes: PostgreSQL and PgBouncer run, the loop and its adapters are the operator's own,
and only the cluster is in memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from hack.rig.pgbouncer import PgBouncer
from hack.rig.postgres import Postgres
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.api.connection_pool_status import PastReconnect
from sophia_operator.core.pool import names
from sophia_operator.runtime.pools.access import ADMIN_KEY
from sophia_operator.runtime.pools.loop import PoolLoop
from sophia_operator.runtime.world import wait_for
from tests.component.pool_real.forwarder import Forwarder, forwarder
from tests.component.pool_real.nodes import Nodes, conninfo
from tests.support.addresses import own_address
from tests.support.fake_pools_harness import CREDENTIALS, NAME, NAMESPACE, PoolHarness, connection_pool, secret

_TICK_SECONDS: Final = 0.1


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class RealPool(PoolHarness):
    """A pool of two instances in front of a server whose name can be moved."""

    def __init__(self, server: Postgres, name: Forwarder, **spec: Any) -> None:
        self.name, self.real = name, PostgresPools(keep_seconds=2.0)
        self.server = server
        database = {"host": name.address, "port": name.port, "name": server.database}
        chosen: dict[str, Any] = {"database": database, "healthCheck": {"intervalSeconds": 1}}
        super().__init__(
            pools=(connection_pool(NAME, **(chosen | spec)),),
            objects=(secret(username=server.user, password=server.password),),
        )
        self.nodes = Nodes(self.cluster, self.controllers)
        self.tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        super().start()
        self.cluster.clock = _Clock().now
        self.world = replace(self.world, pools=self.real, clock=_Clock(), wait=wait_for)
        self.loops = {NAME: PoolLoop((NAMESPACE, NAME), self.world)}

    @property
    def instances(self) -> list[PgBouncer]:
        """The PgBouncers that run."""
        return [self.nodes.running[name] for name in sorted(self.nodes.running)]

    def ways(self) -> dict[str, str]:
        """How applications connect to each instance."""
        given = self.content(names.binding_secret(NAME))
        login = (given["username"], given["password"], given["database"])
        return {i.host: conninfo(i, *login) for i in self.instances}

    def connect(self, way: str, **more: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A client of one instance."""
        return psycopg.connect(way, autocommit=True, prepare_threshold=None, connect_timeout=10, **more)

    def console(self, instance: PgBouncer, command: str) -> None:
        """Give a command behind the operator's back."""
        password = self.content(names.access_secret(NAME))[ADMIN_KEY]
        with instance.connect("pgbouncer", names.ADMIN, password) as connection:
            connection.execute(command.encode())

    async def until(self, what: str, look: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait until there is an answer that is not None or False."""
        end = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < end, f"waited {seconds} s for {what}: {self.describe()}; {self.status()}"
            await asyncio.sleep(0.02)
        return found

    async def reconnected(self, since: datetime, seconds: float = 60.0) -> PastReconnect:
        """The reconnect that ended after that moment."""

        def ended() -> PastReconnect | None:
            return next((r for r in self.status().reconnects if r.ended_at > since), None)

        found: PastReconnect = await self.until("a reconnect to end", ended, seconds)
        return found

    def reasons(self) -> list[str]:
        """Reasons of all events, in their order."""
        return [notice.reason for _, notice in self.cluster.events]

    def rotate(self, password: str) -> None:
        """Somebody writes another password into the Secret."""
        self.set_secret(CREDENTIALS, username=self.server.user, password=password)

    async def _tick(self) -> None:
        while True:
            self.nodes.tick()
            await asyncio.sleep(_TICK_SECONDS)


def now() -> datetime:
    """As the operator's clock says."""
    return _Clock().now()


@contextlib.asynccontextmanager
async def running(server: Postgres, **spec: Any) -> AsyncIterator[RealPool]:
    """The pool with its loop; gone at the end."""
    with forwarder(own_address(1), server) as name:
        pool = RealPool(server, name, **spec)
        pool.tasks = [asyncio.create_task(pool._tick()), asyncio.create_task(pool.loop.run())]
        try:
            await pool.until("the pool to settle", pool.settled)
            yield pool
        finally:
            for task in pool.tasks:
                task.cancel()
            await asyncio.gather(*pool.tasks, return_exceptions=True)
            await pool.real.close()
            await asyncio.to_thread(pool.nodes.stop)
