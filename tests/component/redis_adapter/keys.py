"""Keys for tests of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hack.rig.redis import RedisServer

_AT_ONCE = 500


def fill(server: RedisServer, entries: Mapping[bytes, bytes], *, ttl: int | None = None) -> None:
    """Put strings into it."""
    items = list(entries.items())
    with server.client() as client:
        for first in range(0, len(items), _AT_ONCE):
            some = items[first : first + _AT_ONCE]
            if ttl is None:  # one answer to read instead of hundreds
                client.execute_command("MSET", *(word for entry in some for word in entry))
                continue
            pipeline = client.pipeline(transaction=False)
            for key, value in some:
                pipeline.set(key, value, ex=ttl)
            pipeline.execute()


def ask_all(server: RedisServer, commands: Sequence[Sequence[bytes | str]]) -> list[Any]:
    """Answers to many commands."""
    with server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)
        return list(pipeline.execute())


def all_keys(server: RedisServer) -> set[bytes]:
    """Every key of it."""
    return set(server.call("KEYS", "*"))
