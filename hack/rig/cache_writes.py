"""Who writes to a cache all the time, and knows what was acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import redis

from hack.rig.waiting import until

#: Between two tries of the same write, and between writes.
_RETRY_SECONDS: Final = 0.02
_PAUSE_SECONDS: Final = 0.005
_END_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Books:
    """What came of it."""

    #: Numbers of keys whose write was acknowledged, in their order.
    acknowledged: tuple[int, ...]
    #: Tries that failed, with the words of the error.
    refused: tuple[str, ...]
    #: Longest time without an acknowledged write, in seconds.
    longest_gap: float


@dataclass
class CacheWrites:
    """Writes `<prefix><number>` = number, one after the other, each again until it is acknowledged: from `start` to
    `stop`, or as a context manager. A client that fails is dropped, and `connect` makes another one, as an application
    does."""

    connect: Callable[[], redis.Redis]
    prefix: str = "emb:g1:write-"
    _acknowledged: list[int] = field(default_factory=list)
    _refused: list[str] = field(default_factory=list)
    _gap: float = 0.0

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True, name="cache-writes")

    def __enter__(self) -> CacheWrites:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin to end, without waiting."""
        self._stopping.set()

    def stop(self) -> None:
        """End, once the write under way was answered."""
        self.ask_to_stop()
        self._thread.join(_END_SECONDS)
        assert not self._thread.is_alive(), "the writer hangs"

    def books(self) -> Books:
        """What came of it so far."""
        with self._lock:
            return Books(tuple(self._acknowledged), tuple(self._refused), self._gap)

    def wait_more(self, count: int, *, seconds: float = 60) -> None:
        """Wait until that many more writes were acknowledged."""
        aim = len(self.books().acknowledged) + count
        until(f"{count} more writes", lambda: len(self.books().acknowledged) >= aim, seconds=seconds, every=0.02)

    def missing(self) -> list[int]:
        """Numbers of acknowledged writes that are not there, or have another value."""
        numbers = self.books().acknowledged
        out: list[int] = []
        with self.connect() as client:
            for begin in range(0, len(numbers), 1000):
                part = numbers[begin : begin + 1000]
                found = client.mget([f"{self.prefix}{number}" for number in part])
                out += [number for number, value in zip(part, found, strict=True) if value != str(number)]
        return out

    def _run(self) -> None:
        client: redis.Redis | None = None
        number, last = 0, time.monotonic()
        while not self._stopping.is_set():
            try:
                if client is None:
                    client = self.connect()
                client.set(f"{self.prefix}{number}", str(number), ex=3600)
            except (redis.RedisError, OSError) as error:
                with self._lock:
                    self._refused.append(f"{type(error).__name__}: {error}")
                if client is not None:
                    client.close()
                client = None
                self._stopping.wait(_RETRY_SECONDS)
                continue
            now = time.monotonic()
            with self._lock:
                self._acknowledged.append(number)
                self._gap = max(self._gap, now - last)
            number, last = number + 1, now
            self._stopping.wait(_PAUSE_SECONDS)
        if client is not None:
            client.close()
