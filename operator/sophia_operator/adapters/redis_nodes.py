"""Looks at Redis nodes, and commands to them."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from redis import exceptions

from sophia_operator.adapters import redis_commands, redis_info
from sophia_operator.adapters.redis_faults import NoAnswerError, failure_of
from sophia_operator.adapters.redis_kept import KeptNodes, Purpose
from sophia_operator.adapters.redis_reads import OwnReads, was_found
from sophia_operator.adapters.redis_runs import refuse_another_run
from sophia_operator.adapters.redis_session import FAILURES, Deadline, Resolve, Session, Target, connected
from sophia_operator.adapters.stopwatch import Stopwatch
from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import Node, NodeCommand, NodeRequest
from sophia_operator.core.cache.names import OWN_PREFIX

#: The key of a check that did not get to its end is gone after that.
_CHECK_SECONDS: Final = 10
#: Nobody writes to it. A client that listens is not ended for being idle, whatever `timeout` says.
_CHANNEL: Final = f"{OWN_PREFIX}:watch"
_LOADING: Final = CacheFailure(CacheFault.LOADING, "it reads its data from disk")


class RedisNodes:
    """Looks at nodes and gives them commands. No call raises for what the network or a node does."""

    def __init__(self, resolve: Resolve, kept: KeptNodes, reads: OwnReads) -> None:
        self._resolve = resolve
        self._kept = kept
        self._reads = reads
        self._watching: set[Session] = set()
        self._closed = False

    async def node(self, request: NodeRequest) -> Node | CacheFailure:
        """Look at a node. The check, when it is asked for, has the time that the look leaves."""
        deadline = Deadline(request.timeout_seconds)

        async def look(session: Session) -> Node:
            async with deadline.kept():
                return await _look(session, request.settings)

        try:
            node = self._reads.without(request, await self._kept.use(Target.of(request), Purpose.LOOK, deadline, look))
        except FAILURES as error:
            return failure_of(error, secret=request.password)
        if not request.full or node.role is not NodeRole.PRIMARY or redis_info.is_busy(node):
            return node
        return await self._checked(request, deadline, node)

    async def _checked(self, request: NodeRequest, deadline: Deadline, node: Node) -> Node:
        """A node that holds writes back must not hold up looks: the check goes over a connection of its own."""
        if node.loading:
            return replace(node, check_failure=_LOADING)

        async def check(session: Session) -> float:
            async with deadline.kept(), Stopwatch() as watch:
                await self._write_and_read(session, request)
            return watch.milliseconds

        try:
            milliseconds = await self._kept.use(Target.of(request), Purpose.CHECK, deadline, check)
        except FAILURES as error:
            return replace(node, check_failure=failure_of(error, secret=request.password))
        return replace(node, check_ms=milliseconds)

    async def _write_and_read(self, session: Session, request: NodeRequest) -> None:
        key = f"{OWN_PREFIX}:check:{secrets.token_hex(8)}"
        value = secrets.token_hex(8).encode()
        await session.ask("SET", key, value, "EX", _CHECK_SECONDS)
        found = await session.ask("GET", key)
        self._reads.note(request, [was_found(found)])
        if found != value:
            raise NoAnswerError(CacheFailure(CacheFault.OTHER, "what was written was not there to be read"))
        await session.ask("DEL", key)

    async def watch(self, request: NodeRequest) -> None:
        """Keep an idle connection to the node, and return when it breaks, or cannot be made."""
        deadline = Deadline(request.timeout_seconds)
        try:
            async with connected(Target.of(request), deadline, self._resolve) as session:
                if self._closed:
                    return
                self._watching.add(session)
                try:
                    await _listen(session, deadline)
                finally:
                    self._watching.discard(session)
        except FAILURES:
            return

    async def command(
        self, request: NodeRequest, command: NodeCommand, target: tuple[str, int] | None
    ) -> CacheFailure | None:
        """Give a command; None when it was carried out."""
        deadline = Deadline(request.timeout_seconds)
        began = False

        async def carry_out(session: Session) -> None:
            nonlocal began
            if began:
                # Whether it was carried out is not known, and whoever answers now may be another run.
                raise exceptions.ConnectionError("the connection broke before the answer came")
            async with deadline.kept():
                await self._refuse_another_run(session, request)
                began = True
                await redis_commands.carry_out(session, request, command, target)

        try:
            await self._kept.use(Target.of(request), Purpose.LOOK, deadline, carry_out)
        except FAILURES as error:
            return failure_of(error, secret=request.password)
        return None

    async def _refuse_another_run(self, session: Session, request: NodeRequest) -> None:
        """A command was decided by what a run of the node said: one that was started since holds something else."""
        looked_at = self._reads.run_of(request)
        if looked_at is not None:
            await refuse_another_run(session, looked_at)

    async def close(self) -> None:
        """Every watch returns."""
        self._closed = True
        for session in tuple(self._watching):
            session.break_off()


async def _look(session: Session, settings: Sequence[str]) -> Node:
    async with Stopwatch() as asking:
        await _ping(session)
    text, *answers = await session.ask_all([("INFO",), *(("CONFIG", "GET", name) for name in settings)])
    if isinstance(text, Exception):
        raise text
    node = redis_info.node_of(redis_info.parse(text))
    return replace(node, ping_ms=asking.milliseconds, settings=_settings(answers))


async def _ping(session: Session) -> None:
    # What refuses writes, or is reading its data, refuses a PING as well, and that is an answer all the same.
    with contextlib.suppress(exceptions.BusyLoadingError, exceptions.ResponseError):
        await session.ask("PING")


def _settings(answers: Sequence[Any]) -> dict[str, str]:
    """A Redis that somebody else runs may refuse to tell its settings."""
    found: dict[str, str] = {}
    for answer in answers:
        if not isinstance(answer, Exception):
            words = [word.decode(errors="replace") for word in answer]
            found |= zip(words[::2], words[1::2], strict=True)
    return found


async def _listen(session: Session, deadline: Deadline) -> None:
    async with deadline.kept():
        # Where that is not allowed, the connection is idle all the same.
        with contextlib.suppress(exceptions.ResponseError):
            await session.ask("SUBSCRIBE", _CHANNEL)
    await session.until_broken()
