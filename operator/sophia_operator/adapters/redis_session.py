"""Connections to Redis nodes that keep a time limit, whatever the other side does."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sophia_operator.adapters.redis_faults import NoAnswerError, answered, failure_of, is_cut_off, is_plain, timed_out
from sophia_operator.adapters.redis_tls import context_of, speaks_plain, speaks_tls
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeRequest, NodeTls

#: Addresses of a host, in the order to try. Raises OSError.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Word = str | bytes | int
#: As the operator's connections are called in CLIENT LIST.
APPLICATION: Final = "sophia-operator"
#: On, and for no time.
_NO_LINGER: Final = struct.pack("ii", 1, 0)
#: What can go wrong on a connection. A UnicodeError comes from a name that is none.
FAILURES: Final = (NoAnswerError, exceptions.RedisError, OSError, ValueError)

#: A peer that has gone without a word is noticed after some ten seconds.
_KEEP_ALIVE: Final = {
    socket.TCP_KEEPIDLE: 5,
    socket.TCP_KEEPINTVL: 2,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 10_000,
}
#: Another address of the same host may do better.
_TRY_NEXT: Final = frozenset({CacheFault.REFUSED, CacheFault.UNREACHABLE, CacheFault.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Target:
    """Where and as whom to connect."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: NodeTls | None = None

    @staticmethod
    def of(request: NodeRequest) -> Target:
        """That of a request."""
        return Target(request.host, request.port, request.username, request.password, request.tls)


class Deadline:
    """The time by which all of a request has to be done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; never negative."""
        return max(0.0, self.at - asyncio.get_running_loop().time())

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """What is done inside ends with the time. Raises NoAnswerError then."""
        try:
            async with asyncio.timeout_at(self.at):
                yield
        except TimeoutError:
            raise NoAnswerError(timed_out(self.seconds)) from None


class Session(Connection):
    """One connection, which is never made anew by itself: whoever uses it must know to which run of a node it leads."""

    def __init__(self, address: str, target: Target, context: ssl.SSLContext | None) -> None:
        self._context = context
        #: Which run of a node it leads to, once somebody asked: it stays that one.
        self.run_id: str | None = None
        self._server_name = target.tls.server_name if target.tls is not None else None
        super().__init__(
            host=address,
            port=target.port,
            username=target.username,
            password=target.password,
            driver_info=None,
            protocol=2,
            # Limits are those of the caller.
            socket_timeout=None,
            socket_connect_timeout=None,
            socket_keepalive=True,
            socket_keepalive_options=_KEEP_ALIVE,
            retry=Retry(NoBackoff(), 0),
        )

    def closed(self) -> bool:
        """Whether it is of no use any more."""
        return not self.is_connected

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments: dict[str, Any] = {"host": self.host, "port": self.port}
        if self._context is not None:
            arguments |= {"ssl": self._context, "server_hostname": self._server_name}
        return arguments

    async def introduce(self) -> None:
        """Say whose connection it is, to a node that lets its user do so."""
        with contextlib.suppress(exceptions.ResponseError):
            await self.ask("CLIENT", "SETNAME", APPLICATION)

    async def ask(self, *words: Word) -> Any:
        """Give one command; returns the answer. Raises RedisError or OSError; an answer that is an error is raised."""
        if self.closed():
            raise exceptions.ConnectionError("the connection is closed")
        await self.send_command(*words)
        return await self._answer()

    async def ask_all(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Give several commands at once. An error that answers one of them stands in the place of its answer."""
        if self.closed():
            raise exceptions.ConnectionError("the connection is closed")
        await self.send_packed_command(_packed(commands))
        found: list[Any] = []
        for _ in commands:
            try:
                found.append(await self._answer())
            except exceptions.RedisError as error:
                if not answered(error):
                    raise
                found.append(error)
        return found

    async def until_broken(self) -> None:
        """Return when the connection breaks, by an error. It costs nothing while it stands."""
        while True:
            await self._answer()

    async def _answer(self) -> Any:
        try:
            return await self.read_response(timeout=math.inf, disconnect_on_error=False)
        except BaseException as error:
            # A command whose answer may still come leaves a connection that nobody can use.
            if not (isinstance(error, Exception) and answered(error)):
                self.break_off()
            raise

    def break_off(self) -> None:
        """Cut it: whoever waits for something on it is told so at once, and nothing waits for the other side."""
        if self._writer is not None:
            drop_unsent(self._writer)
            self._writer.transport.abort()
        self._reader = self._writer = None


def _packed(commands: Sequence[Sequence[Word]]) -> bytes:
    """Commands as they are sent. The library packs them as well, but takes a quarter of the time of a scan for it."""
    return b"".join(b"*%d\r\n%b" % (len(words), b"".join(map(_packed_word, words))) for words in commands)


def _packed_word(word: Word) -> bytes:
    content = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(content), content)


def drop_unsent(writer: asyncio.StreamWriter) -> None:
    """Reset the connection instead of closing it: else the kernel goes on to deliver, minutes later, a command that
    was given up, once a node that was cut off is there again."""
    if (sock := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


@contextlib.asynccontextmanager
async def connected(target: Target, deadline: Deadline, resolve: Resolve) -> AsyncIterator[Session]:
    """A new connection, closed at the end. Raises NoAnswerError when there is none."""
    session = await connect(target, deadline, resolve)
    try:
        yield session
    finally:
        session.break_off()


async def connect(target: Target, deadline: Deadline, resolve: Resolve) -> Session:
    """A new connection, logged in. Raises NoAnswerError.

    Each address that is left to try may take an equal part of the time, so that one that swallows everything does not
    hide another one that works.
    """
    context = await asyncio.to_thread(context_of, target.tls) if target.tls is not None else None
    addresses = await _addresses(target, deadline, resolve)
    while True:
        address, *addresses = addresses
        share = Deadline(deadline.left / (len(addresses) + 1))
        failure = await _try(address, target, context, share, deadline)
        if isinstance(failure, Session):
            return failure
        if not addresses or failure.fault not in _TRY_NEXT:
            raise NoAnswerError(failure)


async def _try(
    address: str, target: Target, context: ssl.SSLContext | None, share: Deadline, deadline: Deadline
) -> Session | CacheFailure:
    session = Session(address, target, context)
    # A node that does not speak TLS may wait for more of what it does not understand: that leaves time to ask it.
    seconds = share.left if context is None else share.left * 2 / 3
    try:
        async with asyncio.timeout(seconds):
            await session.connect()  # type: ignore[no-untyped-call]
            await session.introduce()
        return session
    except TimeoutError:
        session.break_off()
        if context is not None and await speaks_plain(address, target.port, share.left):
            return _UNAVAILABLE
        return timed_out(deadline.seconds)
    except (exceptions.RedisError, OSError, ValueError) as error:
        session.break_off()
        if context is not None and is_plain(error) and await speaks_plain(address, target.port, share.left):
            return _UNAVAILABLE
        if context is None and is_cut_off(error) and await speaks_tls(address, target.port, share.left):
            return CacheFailure(CacheFault.TLS_REQUIRED, "it speaks TLS, and was asked without")
        return failure_of(error, secret=target.password)
    except BaseException:
        session.break_off()
        raise


_UNAVAILABLE: Final = CacheFailure(CacheFault.TLS_UNAVAILABLE, "it does not speak TLS")


async def _addresses(target: Target, deadline: Deadline, resolve: Resolve) -> Sequence[str]:
    try:
        async with asyncio.timeout(deadline.left):
            return await resolve(target.host, target.port)
    except TimeoutError:
        message = f"the name {target.host} was not resolved within {deadline.seconds:g} s"
        raise NoAnswerError(CacheFailure(CacheFault.TIMEOUT, message)) from None
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a host name"
        message = f"the name {target.host} does not resolve: {reason}"
        raise NoAnswerError(CacheFailure(CacheFault.HOST_UNKNOWN, message)) from None
