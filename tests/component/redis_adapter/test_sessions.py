"""Connections that are given up leave nothing behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from hack.rig.redis import RedisServer
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD
from sophia_operator.adapters.postgres_names import Resolver
from sophia_operator.adapters.redis_session import Deadline, Target, Word, connected, drop_unsent

#: Whatever an application may put into a key, and a command have beside.
WORDS: tuple[Word, ...] = (
    b"",
    b"a\r\n$3\r\nb",
    bytes(range(256)),
    "schön \U0001f600",
    17,
    -3,
    "two words",
    b"x" * 100_000,
)


async def test_a_connection_that_is_cut_is_reset_and_what_was_not_sent_goes_with_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        _, writer = await asyncio.open_connection(*server.getsockname())
        peer, _ = server.accept()
        with peer:
            drop_unsent(writer)
            writer.transport.abort()
            await asyncio.sleep(0)  # the transport closes its socket in the next turn of the loop
            with pytest.raises(ConnectionResetError):
                peer.recv(1)


async def test_words_of_many_commands_arrive_as_they_are(lasting: RedisServer) -> None:
    target = Target(lasting.host, lasting.port, ADMIN, ADMIN_PASSWORD)
    async with connected(target, Deadline(10), Resolver()) as session:
        answers = await session.ask_all([("ECHO", word) for word in WORDS])
        assert answers == [word if isinstance(word, bytes) else str(word).encode() for word in WORDS]
        assert await session.ask_all([]) == []
        assert await session.ask("PING") == b"PONG"
