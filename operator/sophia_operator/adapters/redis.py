"""Redis and Valkey nodes, as `ports.Caches` wants them."""

from __future__ import annotations

import random

from sophia_operator.adapters import redis_keys, redis_scan
from sophia_operator.adapters.pace import Time
from sophia_operator.adapters.postgres_names import Resolver
from sophia_operator.adapters.redis_kept import KEEP_SECONDS, KeptNodes
from sophia_operator.adapters.redis_keys import Worker
from sophia_operator.adapters.redis_nodes import RedisNodes
from sophia_operator.adapters.redis_reads import OwnReads
from sophia_operator.adapters.redis_session import Resolve
from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    Node,
    NodeCommand,
    NodeRequest,
    ScanResult,
    ScanTask,
)


class RedisCaches:
    """Implements `ports.Caches`. Close it to end its connections.

    A connection that is not used is closed after `keep_seconds`. `time` is what the pace of work is measured by.
    """

    def __init__(
        self, *, keep_seconds: float = KEEP_SECONDS, time: Time | None = None, resolve: Resolve | None = None
    ) -> None:
        self._resolver = Resolver()
        self._kept = KeptNodes(resolve or self._resolver, keep_seconds=keep_seconds)
        reads = OwnReads()
        self._nodes = RedisNodes(resolve or self._resolver, self._kept, reads)
        self._worker = Worker(self._kept, reads, time or Time())
        self._chance = random.Random()  # noqa: S311 - chooses samples

    async def node(self, request: NodeRequest) -> Node | CacheFailure:
        """Look at a node."""
        return await self._nodes.node(request)

    async def watch(self, request: NodeRequest) -> None:
        """Keep an idle connection to the node, and return when it breaks, or cannot be made."""
        await self._nodes.watch(request)

    async def command(
        self, request: NodeRequest, command: NodeCommand, target: tuple[str, int] | None
    ) -> CacheFailure | None:
        """Give a command; None when it was carried out. Refused when the node was started anew since the last look."""
        return await self._nodes.command(request, command, target)

    async def scan(self, request: NodeRequest, task: ScanTask) -> ScanResult:
        """Do a part of a scan."""
        return await redis_scan.scan(self._worker, request, task, self._chance)

    async def delete(self, request: NodeRequest, task: DeleteTask) -> DeleteResult:
        """Do a part of a flush."""
        return await redis_keys.delete(self._worker, request, task)

    async def copy(self, request: NodeRequest, task: CopyTask) -> CopyResult:
        """Do a part of a warm-up by copies."""
        return await redis_keys.copy(self._worker, request, task)

    async def close(self) -> None:
        """Close every connection. A watch returns then."""
        await self._nodes.close()
        await self._kept.close()
        self._resolver.close()
