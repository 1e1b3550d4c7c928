"""Changes nothing at nodes and tables unless the Lease is certain: a process that was frozen must not act when it
thaws, and promote a node that another process has long given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sophia_operator.core.cache.faults import CacheFailure, CacheFault
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
from sophia_operator.core.cache.table import Table, TableRequest, TableResult, TableTask
from sophia_operator.ports import Caches, CacheTables

_DEPOSED: Final = CacheFailure(CacheFault.OTHER, "this process does not hold the lease any more")


class FencedCaches:
    """Caches that looks at everything, and changes things only while the Lease is certain."""

    def __init__(self, caches: Caches, certain: Callable[[], bool]) -> None:
        self._caches = caches
        self._certain = certain

    async def node(self, request: NodeRequest) -> Node | CacheFailure:
        """As in Caches."""
        return await self._caches.node(request)

    async def watch(self, request: NodeRequest) -> None:
        """As in Caches."""
        await self._caches.watch(request)

    async def command(
        self, request: NodeRequest, command: NodeCommand, target: tuple[str, int] | None
    ) -> CacheFailure | None:
        """As in Caches."""
        return await self._caches.command(request, command, target) if self._certain() else _DEPOSED

    async def scan(self, request: NodeRequest, task: ScanTask) -> ScanResult:
        """As in Caches."""
        if not self._certain():
            return ScanResult(cursor=task.cursor, scanned=0, seconds=0.0, failure=_DEPOSED)
        return await self._caches.scan(request, task)

    async def delete(self, request: NodeRequest, task: DeleteTask) -> DeleteResult:
        """As in Caches."""
        if not self._certain():
            return DeleteResult(cursor=task.cursor, scanned=0, deleted=0, seconds=0.0, failure=_DEPOSED)
        return await self._caches.delete(request, task)

    async def copy(self, request: NodeRequest, task: CopyTask) -> CopyResult:
        """As in Caches."""
        if not self._certain():
            return CopyResult(task.cursor, scanned=0, copied=0, seconds=0.0, position=0.0, failure=_DEPOSED)
        return await self._caches.copy(request, task)

    async def close(self) -> None:
        """As in Caches."""
        await self._caches.close()


class FencedTables:
    """CacheTables that does nothing at all without the Lease: to look at a table may make it."""

    def __init__(self, tables: CacheTables, certain: Callable[[], bool]) -> None:
        self._tables = tables
        self._certain = certain

    async def table(self, request: TableRequest) -> Table | CacheFailure:
        """As in CacheTables."""
        return await self._tables.table(request) if self._certain() else _DEPOSED

    async def work(self, request: TableRequest, task: TableTask) -> TableResult:
        """As in CacheTables."""
        if not self._certain():
            return TableResult(task.cursor, 0, 0, 0, 0, 0.0, failure=_DEPOSED)
        return await self._tables.work(request, task)

    async def close(self) -> None:
        """As in CacheTables."""
        await self._tables.close()
