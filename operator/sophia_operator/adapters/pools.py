"""PostgreSQL servers and PgBouncers, as `ports.Pools` wants them."""

from __future__ import annotations

from sophia_operator.adapters.pgbouncer import PgBouncers
from sophia_operator.adapters.pgbouncer_kept import KEEP_SECONDS, KeptConsoles
from sophia_operator.adapters.postgres import PostgresServers
from sophia_operator.adapters.postgres_names import Resolver
from sophia_operator.core.pool.findings import (
    Console,
    Failure,
    InstanceRequest,
    Server,
    ServerRequest,
    Statement,
    Through,
    Verb,
)
from sophia_operator.core.pool.tasks import Analyzed, AnalyzeTask, Cancelled, CancelTask


class PostgresPools:
    """Implements `ports.Pools`. Close it to end its connections.

    A connection to an admin console that is not used is closed after `keep_seconds`.
    """

    def __init__(self, *, keep_seconds: float = KEEP_SECONDS) -> None:
        self._resolver = Resolver()
        self._servers = PostgresServers(self._resolver)
        self._consoles = KeptConsoles(self._resolver, keep_seconds=keep_seconds)
        self._pgbouncers = PgBouncers(self._resolver, self._consoles)

    async def server(self, request: ServerRequest) -> Server | Failure:
        """Look at the server on a new connection."""
        return await self._servers.server(request)

    async def watch(self, request: ServerRequest) -> None:
        """Keep an idle connection to the server, and return when it breaks, or cannot be made."""
        await self._servers.watch(request)

    async def insights(self, request: ServerRequest) -> tuple[Statement, ...] | str:
        """The statements of the database that took most time in all (at most 200); or why there are none."""
        return await self._servers.insights(request)

    async def instance(self, request: InstanceRequest) -> tuple[Console | Failure, Through | Failure | None]:
        """Look at one PgBouncer: its admin console and, when the request is a full one, a query through it."""
        return await self._pgbouncers.instance(request)

    async def command(self, request: InstanceRequest, verb: Verb) -> Failure | None:
        """Give a command at the admin console; None when it was carried out, or there was nothing to do."""
        return await self._pgbouncers.command(request, verb)

    async def cancel(self, request: ServerRequest, task: CancelTask) -> Cancelled | Failure:
        """End one statement, or one session between two statements, if it is still that one."""
        return await self._servers.cancel(request, task)

    async def analyze(self, request: ServerRequest, task: AnalyzeTask) -> Analyzed | Failure:
        """Collect statistics of tables anew, within the time of the task."""
        return await self._servers.analyze(request, task)

    async def close(self) -> None:
        """Close every connection. A watch returns then."""
        await self._servers.close()
        await self._consoles.close()
        self._resolver.close()
