"""Addresses of models' hosts. Names are resolved in threads of their own: a name server that hangs holds up the models
behind it, and nothing else in this process. Nor do names that take long hold up others: they wait for each other."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sophia_operator.adapters.embedded_addresses import is_no_host, leads_to
from sophia_operator.core.model.findings import ModelFailure, ModelFault

_THREADS: Final = 24
#: A name that took so long is slow until it takes less. These have few threads of their own.
_SLOW_SECONDS: Final = 1.0
_SLOW_THREADS: Final = 8
_SLOW_NAMES: Final = 4096
#: Of the addresses of a name only so many are tried.
_MOST_ADDRESSES: Final = 4
_NOT_KNOWN: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


class HostError(Exception):
    """There is no address to ask."""

    def __init__(self, failure: ModelFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Hosts:
    """Resolves names, each at most once at a time. Nothing is remembered: pods and providers move."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="model-hosts")
        self._slow_threads = ThreadPoolExecutor(_SLOW_THREADS, thread_name_prefix="slow-model-hosts")
        #: The newest ones, as a set that has an order.
        self._slow: OrderedDict[str, None] = OrderedDict()
        self._running: dict[str, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """Addresses of a host name that are worth a try, or the address itself. Raises HostError."""
        return (await self.every_address(host))[:_MOST_ADDRESSES]

    async def every_address(self, host: str) -> list[str]:
        """All addresses of a host name, or the address itself. Raises HostError."""
        try:
            return [_allowed(host, str(ipaddress.ip_address(host)))]
        except ValueError:
            pass
        if host not in self._running:
            task = asyncio.create_task(self._resolve(host), name="a model's host")
            self._running[host] = task
            task.add_done_callback(lambda done: self._forget(host, done))
        # Others wait for the same answer: that this one gives up must not end it.
        return await asyncio.shield(self._running[host])

    def close(self) -> None:
        """End the threads, those that hang once their name server answers."""
        for task in self._running.values():
            task.cancel()
        for threads in (self._threads, self._slow_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, host: str, done: asyncio.Task[list[str]]) -> None:
        del self._running[host]
        if not done.cancelled():
            done.exception()  # whoever asked may be gone, and nobody else wants to be told

    async def _resolve(self, host: str) -> list[str]:
        try:
            rows = await self._look_up(host)
        except socket.gaierror as error:
            known = "" if error.errno in _NOT_KNOWN else ": the name server gave no answer"
            raise HostError(ModelFailure(ModelFault.HOST_UNKNOWN, f"host {host} cannot be resolved{known}")) from None
        except (UnicodeError, OSError):
            raise HostError(ModelFailure(ModelFault.HOST_UNKNOWN, f"{host} is no name of a host")) from None
        return [_allowed(host, address) for address in rows]

    async def _look_up(self, host: str) -> list[str]:
        threads = self._slow_threads if host in self._slow else self._threads
        took = 0.0

        def look_up() -> list[str]:
            nonlocal took
            began = time.monotonic()
            try:
                return _look_up(host)
            finally:
                took = time.monotonic() - began

        try:
            return await asyncio.get_running_loop().run_in_executor(threads, look_up)
        finally:
            self._slow.pop(host, None)
            if took >= _SLOW_SECONDS:
                self._slow[host] = None
                if len(self._slow) > _SLOW_NAMES:
                    self._slow.popitem(last=False)


def _look_up(host: str) -> list[str]:
    rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def _allowed(host: str, address: str) -> str:
    """Nodes answer at link-local addresses with credentials of their own: no model is there."""
    if any(map(is_no_host, leads_to(address))):
        at = "" if host == address else f" ({address})"
        raise HostError(ModelFailure(ModelFault.UNREACHABLE, f"host {host}{at} is no address that a model can have"))
    return address
