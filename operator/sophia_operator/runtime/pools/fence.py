"""Tells PgBouncers nothing unless the Lease is certain: a process that was frozen must not act when it thaws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sophia_operator.core.pool.findings import (
    Console,
    Failure,
    Fault,
    InstanceRequest,
    Server,
    ServerRequest,
    Statement,
    Through,
    Verb,
)
from sophia_operator.core.pool.tasks import Analyzed, AnalyzeTask, Cancelled, CancelTask
from sophia_operator.ports import Pools

_DEPOSED: Final = Failure(Fault.OTHER, "this process does not hold the lease any more")


class FencedPools:
    """Pools that looks at everything, and gives commands only while the Lease is certain."""

    def __init__(self, pools: Pools, certain: Callable[[], bool]) -> None:
        self._pools = pools
        self._certain = certain

    async def server(self, request: ServerRequest) -> Server | Failure:
        """As in Pools."""
        return await self._pools.server(request)

    async def watch(self, request: ServerRequest) -> None:
        """As in Pools."""
        await self._pools.watch(request)

    async def insights(self, request: ServerRequest) -> tuple[Statement, ...] | str:
        """As in Pools."""
        return await self._pools.insights(request)

    async def instance(self, request: InstanceRequest) -> tuple[Console | Failure, Through | Failure | None]:
        """As in Pools."""
        return await self._pools.instance(request)

    async def command(self, request: InstanceRequest, verb: Verb) -> Failure | None:
        """As in Pools."""
        if not self._certain():
            return _DEPOSED
        return await self._pools.command(request, verb)

    async def cancel(self, request: ServerRequest, task: CancelTask) -> Cancelled | Failure:
        """As in Pools."""
        if not self._certain():
            return _DEPOSED
        return await self._pools.cancel(request, task)

    async def analyze(self, request: ServerRequest, task: AnalyzeTask) -> Analyzed | Failure:
        """As in Pools."""
        if not self._certain():
            return _DEPOSED
        return await self._pools.analyze(request, task)

    async def close(self) -> None:
        """As in Pools."""
        await self._pools.close()
