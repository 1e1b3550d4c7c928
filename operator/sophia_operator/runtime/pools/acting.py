"""Carries out what acts of recovery do at the server of one pool, and keeps what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sophia_operator.core.pool.findings import ServerRequest
from sophia_operator.core.pool.tasks import (
    Acted,
    AnalyzeFinding,
    AnalyzeTask,
    Cancelled,
    CancelResult,
    CancelTask,
    ServerTask,
)
from sophia_operator.ports import Clock, Pools
from sophia_operator.runtime.resource_loop import cancel


class Actor:
    """Does what it is told, and remembers. A restart of the operator forgets it all.

    What takes long goes on beside the passes; `wake` is called when it is over.
    """

    def __init__(self, pools: Pools, clock: Clock, wake: Callable[[], object]) -> None:
        self._pools = pools
        self._clock = clock
        self._wake = wake
        self._under_way: set[asyncio.Task[None]] = set()
        #: What came of it so far.
        self.acted = Acted()

    def about(self, acts: Iterable[str]) -> None:
        """Forget acts that nobody speaks of any more."""
        there, known = set(acts), self.acted
        if not known.cancels.keys() | known.analyses.keys() <= there:
            self.acted = Acted(
                {act: result for act, result in known.cancels.items() if act in there},
                {act: found for act, found in known.analyses.items() if act in there},
            )

    async def carry_out(self, request: ServerRequest, tasks: Sequence[ServerTask]) -> None:
        """Do what is short, and begin with the rest."""
        for task in tasks:
            if isinstance(task, AnalyzeTask):
                self._begin(request, task)
            else:
                await self._cancel(request, task)

    async def close(self) -> None:
        """Leave what is under way."""
        await cancel(tuple(self._under_way))

    async def _cancel(self, request: ServerRequest, task: CancelTask) -> None:
        answer = await self._pools.cancel(request, task)
        before = self.acted.cancels.get(task.act)
        told = answer is Cancelled.TOLD or (before is not None and before.told)
        result = CancelResult(self._clock.now(), answer, told)
        self.acted = replace(self.acted, cancels={**self.acted.cancels, task.act: result})

    def _begin(self, request: ServerRequest, task: AnalyzeTask) -> None:
        if task.act in self.acted.analyses:
            return
        self._note(task, AnalyzeFinding(self._clock.now()))
        going = asyncio.create_task(self._analyze(request, task), name=f"analyze for {task.act}")
        self._under_way.add(going)
        going.add_done_callback(self._over)

    def _over(self, going: asyncio.Task[None]) -> None:
        self._under_way.discard(going)
        self._wake()

    async def _analyze(self, request: ServerRequest, task: AnalyzeTask) -> None:
        answer = await self._pools.analyze(request, task)
        self._note(task, AnalyzeFinding(self._clock.now(), answer))

    def _note(self, task: AnalyzeTask, found: AnalyzeFinding) -> None:
        self.acted = replace(self.acted, analyses={**self.acted.analyses, task.act: found})
