"""Resolves names of servers anew each time, since the name is what moves when a server does."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final

#: Names that are resolved at the same time; each takes a thread.
_AT_ONCE: Final = 128


class Resolver:
    """Resolves each name in a thread of its own, one at a time: a name server that hangs holds up only those who ask
    for what it does not answer, however often they ask.

    The threads end with the process: who looks up a name cannot be stopped, and must not keep it from ending.
    """

    def __init__(self, look_up: Callable[[str], Sequence[str]] | None = None) -> None:
        self._look_up = look_up or _look_up
        self._under_way: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Addresses of a host. Raises OSError or UnicodeError."""
        del port  # whatever the port, the addresses are the same
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        answer = self._under_way.get(host)
        return await asyncio.shield(self._begin(host) if answer is None else answer)

    def close(self) -> None:
        """Whoever waits for an answer is told that there is none."""
        for answer in self._under_way.values():
            if not answer.done():
                answer.set_exception(OSError(errno.ECANCELED, "the operator ends"))

    def _begin(self, host: str) -> asyncio.Future[Sequence[str]]:
        if len(self._under_way) >= _AT_ONCE:
            raise OSError(errno.EAGAIN, f"{_AT_ONCE} other names are being resolved, and none is done")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        answer.add_done_callback(_retrieve)
        self._under_way[host] = answer

        def done(found: Sequence[str] | BaseException) -> None:
            del self._under_way[host]
            if answer.done():
                return
            if isinstance(found, BaseException):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def work() -> None:
            try:
                found: Sequence[str] | BaseException = self._look_up(host)
            except Exception as error:
                found = error
            # There is no loop any more when the process ends.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, found)

        threading.Thread(target=work, name="resolve", daemon=True).start()
        return answer


def _retrieve(answer: asyncio.Future[Sequence[str]]) -> None:
    """Those who asked may all have gone: then nobody else looks at the error."""
    if not answer.cancelled():
        answer.exception()


def _look_up(host: str) -> list[str]:
    found = [str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    return list(dict.fromkeys(found))
