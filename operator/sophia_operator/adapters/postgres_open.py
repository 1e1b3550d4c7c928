"""The connections that are open, so that they can all be broken off at the end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from sophia_operator.adapters.postgres_faults import NoAnswerError
from sophia_operator.adapters.postgres_session import Connection, Deadline, Resolve, Target, break_off, connected
from sophia_operator.core.pool.findings import Failure, Fault


class OpenConnections:
    """Makes connections, each for one use, until it is closed."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._open: set[Connection] = set()
        self._closed = False

    @contextlib.asynccontextmanager
    async def session(self, target: Target, deadline: Deadline) -> AsyncIterator[Connection]:
        """A new connection, closed at the end. Raises NoAnswerError when there is none."""
        async with connected(target, deadline, self._resolve) as connection:
            if self._closed:
                raise NoAnswerError(Failure(Fault.UNREACHABLE, "the connection is not wanted any more"))
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.remove(connection)

    def close(self) -> None:
        """Break every connection: whoever waits for an answer is told that there is none."""
        self._closed = True
        for connection in self._open:
            break_off(connection)
