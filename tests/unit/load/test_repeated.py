"""A request is sent a second time only when its kept connection broke before any answer, and that is counted."""

from __future__ import annotations

import asyncio

from hack.load import Load
from tests.unit.load.test_generator import finished


async def test_a_kept_connection_that_was_closed_is_tried_again_once_and_said_so() -> None:
    """The server answers the first request of each connection and drops it at the second, unread."""
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Sophia-Release: web-1\r\n\r\n")
        await writer.drain()
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        load = Load(url, rate=100, max_requests=10, fresh_share=0, connections=1)
        await finished(load)
    report = load.report()
    assert (report.ok, report.lost) == (10, 0)
    assert report.repeated > 0
    # One for each repetition and the first; while the one kept connection is busy, the generator opens more.
    assert connections > report.repeated


async def test_a_request_that_was_sent_twice_in_vain_is_both_lost_and_repeated() -> None:
    """The server answers the first request of its first connection, and nothing else ever."""
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        load = Load(url, rate=100, max_requests=2, fresh_share=0, connections=1, max_in_flight=1)
        await finished(load)
    assert (load.report().ok, load.report().lost, load.report().repeated) == (1, 1, 1)


async def test_a_request_that_was_answered_in_part_is_not_sent_again() -> None:
    """On a kept connection too: the server may have acted on it."""
    requests = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        for length in (0, 100):  # the first answer is whole, the second is cut
            await reader.readuntil(b"\r\n\r\n")
            requests += 1
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        load = Load(url, rate=100, max_requests=10, fresh_share=0, connections=1, max_in_flight=1)
        await finished(load)
    assert (load.report().ok, load.report().lost, requests) == (5, 5, 10)
