"""A Redis full of keys, and what they take.

Keys are of namespaces with a prefix each, and of one generation. Sizes of values, and which keys lack a TTL, follow
from the number of the key: who writes one anew changes nothing but its value.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hack.rig.redis import RedisServer
from hack.rig.redis_base import ADMIN, ADMIN_PASSWORD

NAMESPACES: Final = ("docs", "texts", "images", "users")
SMALLEST, LARGEST = 50, 500
#: None of them ends while it is measured.
TTL_SECONDS: Final = 86_400
#: One key in so many has no TTL.
ONE_LACKS: Final = 10
#: Between two sizes that follow each other; without a factor in common with the number of sizes, so that all come.
_STRIDE: Final = 97
_AT_ONCE: Final = 5_000
_ANSWER_SECONDS: Final = 120.0
_LETTERS: Final = bytes(range(65, 91)) * (LARGEST // 26 + 1)


def key(namespace: str, number: int) -> bytes:
    """Name of a key."""
    return b"%b:g1:entry-%d" % (namespace.encode(), number)


def size(number: int) -> int:
    """Bytes of its value."""
    return SMALLEST + number * _STRIDE % (LARGEST - SMALLEST + 1)


def value(number: int) -> bytes:
    """What it holds."""
    return _LETTERS[: size(number)]


def lacks_ttl(number: int) -> bool:
    """Whether it was written without one."""
    return number % ONE_LACKS == 0


def _words(*words: bytes) -> bytes:
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


def _set(namespace: str, number: int) -> bytes:
    words = (b"SET", key(namespace, number), value(number))
    return _words(*words) if lacks_ttl(number) else _words(*words, b"EX", b"%d" % TTL_SECONDS)


def fill(server: RedisServer, namespaces: Sequence[str], keys: int) -> None:
    """So many keys into each, whatever is there; raises RuntimeError when they are not all there then.

    Redis is told not to answer, so nobody waits for anybody: a million keys take some seconds.
    """
    with _connected(server) as line:
        line.sendall(_words(b"CLIENT", b"REPLY", b"OFF"))
        for namespace in namespaces:
            for numbers in _parts(keys):
                line.sendall(b"".join(_set(namespace, number) for number in numbers))
        line.sendall(_words(b"CLIENT", b"REPLY", b"ON"))
        if (answer := line.recv(100)) != b"+OK\r\n":
            raise RuntimeError(f"the server was filled, and said {answer!r}")
    for namespace in namespaces:
        if (there := count(server, namespace, keys)) != keys:
            raise RuntimeError(f"{there} of {keys} keys of {namespace} are there")


def count(server: RedisServer, namespace: str, keys: int) -> int:
    """How many of the keys of a namespace are there: asked for by their names, which no cursor is needed for."""
    return _added(server, keys, lambda numbers: [_words(b"EXISTS", *(key(namespace, n) for n in numbers))])


def used_bytes(server: RedisServer, namespace: str, keys: int) -> int:
    """Memory of all keys of a namespace, each measured in full."""

    def commands(numbers: range) -> list[bytes]:
        return [_words(b"MEMORY", b"USAGE", key(namespace, n), b"SAMPLES", b"0") for n in numbers]

    return _added(server, keys, commands)


def without_ttl(server: RedisServer, namespace: str, keys: int) -> int:
    """How many have no TTL."""

    def commands(numbers: range) -> list[bytes]:
        return [_words(b"EXPIRETIME", key(namespace, n)) for n in numbers]

    return sum(answer == -1 for part in _answers(server, keys, commands) for answer in part)


def _added(server: RedisServer, keys: int, commands: Callable[[range], list[bytes]]) -> int:
    return sum(sum(part) for part in _answers(server, keys, commands))


def _answers(server: RedisServer, keys: int, commands: Callable[[range], list[bytes]]) -> Iterator[list[int]]:
    """Whole numbers that answer commands on all keys of a namespace. Raises RuntimeError when one is none."""
    with _connected(server) as line, line.makefile("rb") as answers:
        for numbers in _parts(keys):
            asked = commands(numbers)
            line.sendall(b"".join(asked))
            lines = [answers.readline() for _ in asked]
            wrong = next((said for said in lines if not said.startswith(b":")), None)
            if wrong is not None:
                raise RuntimeError(f"a whole number was asked for, and the answer is {wrong!r}")
            yield [int(said[1:]) for said in lines]


def _parts(keys: int) -> Iterator[range]:
    for first in range(0, keys, _AT_ONCE):
        yield range(first, min(keys, first + _AT_ONCE))


def _connected(server: RedisServer) -> socket.socket:
    line = socket.create_connection((server.host, server.port), _ANSWER_SECONDS)
    line.sendall(_words(b"AUTH", ADMIN.encode(), ADMIN_PASSWORD.encode()))
    if (answer := line.recv(100)) != b"+OK\r\n":
        line.close()
        raise RuntimeError(f"the server does not let the administrator in: {answer!r}")
    return line
