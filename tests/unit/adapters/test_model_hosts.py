"""Names of models' hosts: those that hang wait for each other, and keep nobody else waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from sophia_operator.adapters import model_hosts
from sophia_operator.adapters.model_hosts import HostError, Hosts

ROW = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    made = Hosts()
    yield made
    made.close()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_names_that_hang_wait_for_each_other_and_nobody_else_does(
    hosts: Hosts, released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, looked_up = False, list[str]()

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        if host.startswith("slow"):
            time.sleep(0.02)
            if hang:
                released.wait(60)
        return [ROW]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(model_hosts, "_SLOW_SECONDS", 0.01)
    slow = [f"slow-{number}.example.com" for number in range(60)]
    await asyncio.gather(*(hosts.addresses(name) for name in slow))
    hang = True
    waiting = [asyncio.create_task(hosts.addresses(name)) for name in slow]
    async with asyncio.timeout(30):
        for number in range(3):
            assert await hosts.addresses(f"quick-{number}.example.com") == ["192.0.2.1"]
    assert not any(task.done() for task in waiting)
    released.set()
    assert await asyncio.gather(*waiting) == [["192.0.2.1"]] * len(slow)
    # One that is quick again is as good as any.
    monkeypatch.setattr(model_hosts, "_SLOW_SECONDS", 60)
    await hosts.addresses(slow[0])
    assert slow[0] not in hosts._slow
    assert slow[1] in hosts._slow


async def test_no_more_slow_names_are_remembered_than_there_is_room_for(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_AGAIN, "the name server does not answer")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(model_hosts, "_SLOW_SECONDS", 0)
    monkeypatch.setattr(model_hosts, "_SLOW_NAMES", 3)
    for number in range(5):
        with pytest.raises(HostError, match="the name server gave no answer"):
            await hosts.addresses(f"slow-{number}.example.com")
    assert list(hosts._slow) == [f"slow-{number}.example.com" for number in (2, 3, 4)]
