"""Does parts of work on keys beside passes: at most one of each kind at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    Node,
    NodeRequest,
    RequestsResult,
    RequestsTask,
    ScanResult,
    ScanTask,
    Task,
    TaskFinding,
    TaskResult,
)
from sophia_operator.core.cache.table import TableRequest, TableResult, TableTask
from sophia_operator.core.cache.views import TierAccess, TierObserved, TierView
from sophia_operator.ports import Caches, CacheTables, Clock, Requests
from sophia_operator.runtime.caches.requests import node_request, table_request

logger = logging.getLogger(__name__)

#: To connect and to give one command. A part as a whole takes about as long as its task says.
_PATIENCE_SECONDS: Final = 2.0
_FAILED: Final = CacheFailure(CacheFault.OTHER, "the part failed in the operator itself; its log says how")


class Working:
    """The parts under way. `done` takes what came of each; it is to wake the loop."""

    def __init__(
        self,
        caches: Caches,
        tables: CacheTables,
        requests: Requests,
        clock: Clock,
        done: Callable[[str, TaskFinding], None],
    ) -> None:
        self._caches = caches
        self._tables = tables
        self._requests = requests
        self._clock = clock
        self._done = done
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def kinds(self) -> frozenset[str]:
        """What is under way."""
        return frozenset(self._running)

    def begin(self, tier: TierView, observed: TierObserved, tasks: Mapping[str, Task]) -> None:
        """Begin the parts, but for those of a kind that is under way."""
        access = observed.access
        if access is None:
            return
        request = _to_primary(tier, observed, access)
        table = table_request(tier, access)
        for kind, task in tasks.items():
            if kind not in self._running:
                self._running[kind] = asyncio.create_task(
                    self._run(kind, task, request, table), name=f"work on {tier.name}: {kind}"
                )

    async def close(self) -> None:
        """Cut off what is under way: every part may end anywhere."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._running.clear()

    async def _run(self, kind: str, task: Task, node: NodeRequest | None, table: TableRequest | None) -> None:
        try:
            result = await self._do(task, node, table)
        except Exception:
            logger.exception("a part of %s failed", kind.partition(":")[0])
            result = failed(task, _FAILED)
        finally:
            self._running.pop(kind, None)
        # No other run does it: the request says for which one it is.
        run = node.run_id if node is not None else None
        self._done(kind, TaskFinding(self._clock.now(), task, result, run or ""))

    async def _do(self, task: Task, node: NodeRequest | None, table: TableRequest | None) -> TaskResult:
        if isinstance(task, RequestsTask):
            return await self._requests.warm(task)
        if isinstance(task, TableTask):
            return await self._tables.work(table, task) if table is not None else failed(task, _GONE)
        if node is None:
            return failed(task, _GONE)
        if isinstance(task, ScanTask):
            return await self._caches.scan(node, task)
        if isinstance(task, DeleteTask):
            return await self._caches.delete(node, task)
        return await self._caches.copy(node, task)


def _to_primary(tier: TierView, observed: TierObserved, access: TierAccess) -> NodeRequest | None:
    """None while there is none that was looked at: its run is the one that the parts were decided for."""
    node = next((n for n in observed.nodes if n.name == tier.status.primary), None)
    found = observed.kept.nodes.get(node.name) if node is not None else None
    if node is None or found is None or not isinstance(found.answer, Node):
        return None
    request = node_request(tier, access, node, full=False, timeout_seconds=_PATIENCE_SECONDS)
    return None if request is None else replace(request, run_id=found.answer.run_id)


_GONE: Final = CacheFailure(CacheFault.UNREACHABLE, "there is nothing to work on any more")


def failed(task: Task, why: CacheFailure) -> TaskResult:
    """A part that did nothing."""
    match task:
        case ScanTask():
            return ScanResult(task.cursor, 0, 0.0, failure=why)
        case DeleteTask():
            return DeleteResult(task.cursor, 0, 0, 0.0, why)
        case CopyTask():
            return CopyResult(task.cursor, 0, 0, 0.0, 0.0, why)
        case RequestsTask():
            return RequestsResult(task.first, 0, 0, 0, 0.0, why)
        case TableTask():
            return TableResult(task.cursor, 0, 0, 0, 0, 0.0, failure=why)
