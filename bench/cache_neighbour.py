"""An application beside the work on keys: it reads and writes at a steady rate, in a process of its own.

Each request is due at a fixed time, whatever became of those before it, and its time counts from then: one that is held
up hides nothing. The clock is one that all processes of the machine share, so that windows can be cut out afterwards.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final

import redis

from bench import cache_keys
from bench.figures import quantile
from hack.rig.redis import RedisServer
from hack.rig.redis_base import CLIENT, CLIENT_PASSWORD

#: While there is work, it may be at most so much slower.
GOAL: Final = 2.0
_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
#: A machine that is busy with other things may take long to start a process.
_ANSWER_SECONDS: Final = 180.0
#: One request in so many is a write.
_ONE_WRITES: Final = 2
#: From one key to the next, so that it uses all of them.
_STRIDE: Final = 7919


def now() -> float:
    """The time that windows are told by."""
    return time.monotonic()


@dataclass(frozen=True)
class Habits:
    """What it does."""

    host: str
    port: int
    namespace: str
    keys: int
    per_second: float


@dataclass
class Seen:
    """When each request was due, and how many milliseconds after that it was answered."""

    due: Sequence[float] = field(default_factory=lambda: array("d"))
    milliseconds: Sequence[float] = field(default_factory=lambda: array("d"))
    error: str = ""

    def between(self, *windows: tuple[float, float]) -> list[float]:
        """Milliseconds of the requests that were due in one of the windows."""
        pairs = list(zip(self.due, self.milliseconds, strict=True))
        return [took for begin, end in windows for due, took in pairs if begin <= due < end]


class Neighbour:
    """The process. Use it as a context manager, and `end` it to get at what it saw."""

    def __init__(self, server: RedisServer, namespace: str, keys: int, per_second: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        habits = Habits(server.host, server.port, namespace, keys, per_second)
        self._process = context.Process(target=_serve, args=(theirs, habits), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()  # which is how it learns that it is over
        self._process.join(_ANSWER_SECONDS)
        if self._process.is_alive():
            self._process.kill()

    def end(self) -> Seen:
        """What it saw. Raises ValueError when a request failed: the others would be better than they should."""
        self._pipe.send("end")
        seen: Seen = self._answer()
        if seen.error:
            raise ValueError(f"a request of the neighbour failed after {len(seen.due)}: {seen.error}")
        return seen

    def _answer(self) -> Any:
        if not self._pipe.poll(_ANSWER_SECONDS):
            raise TimeoutError("the neighbour does not answer")
        return self._pipe.recv()


def summary(idle: Sequence[float], busy: Sequence[float]) -> dict[str, Any]:
    """Quantiles without and with work, and what the work did to them. Raises ValueError when there are none."""
    found = {"idle": _quantiles(idle), "busy": _quantiles(busy)}
    ratio = {name: round(found["busy"][name] / found["idle"][name], 3) for name, _ in _QUANTILES}
    return {**found, "ratio": ratio, "goal": GOAL, "met": ratio["p99"] < GOAL}


def _quantiles(milliseconds: Sequence[float]) -> dict[str, float]:
    found = {name: round(quantile(milliseconds, fraction), 3) for name, fraction in _QUANTILES}
    return {"count": len(milliseconds), **found, "max": round(max(milliseconds), 3)}


def rest(seconds: float) -> tuple[float, float]:
    """Do nothing for so long; returns the window."""
    began = now()
    time.sleep(seconds)
    return began, now()


def words(found: Mapping[str, float]) -> str:
    """For people: `0.12/0.2/0.3 ms`."""
    return "/".join(f"{found[name]:.2f}" for name, _ in _QUANTILES) + " ms"


#: For tables: what it waited.
ROWS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "neighbour alone: p50/p95/p99": lambda each: words(each["neighbour"]["idle"]),
    "neighbour meanwhile: p50/p95/p99": lambda each: words(each["neighbour"]["busy"]),
    f"p99 ratio, goal: below {GOAL:g}": lambda each: _verdict(each["neighbour"]),
}


def _verdict(found: Mapping[str, Any]) -> str:
    return f"{found['ratio']['p99']:.2f} ({'met' if found['met'] else 'NOT met'})"


def _serve(pipe: Connection[Any, Any], habits: Habits) -> None:
    # A collection of garbage would look like a slow Redis.
    gc.disable()
    with redis.Redis(habits.host, habits.port, username=CLIENT, password=CLIENT_PASSWORD) as client:
        client.ping()
        pipe.send("ready")
        seen = _run(pipe, client, habits)
    if seen is not None:
        pipe.send(seen)


def _run(pipe: Connection[Any, Any], client: redis.Redis, habits: Habits) -> Seen | None:
    """Until somebody says that it is over; None when nobody is there to be told."""
    due, milliseconds = array("d"), array("d")
    began, done, end, error = now(), 0, math.inf, ""
    while (when := began + done / habits.per_second) < end:
        if end == math.inf and pipe.poll():
            try:
                pipe.recv()
            except EOFError:
                return None
            # What was due by then is asked for still: where it was held up, that is what is to be known.
            end = now()
        if (early := when - now()) > 0:
            time.sleep(early)
        if not error:
            error = _request(client, habits, done)
            due.append(when)
            milliseconds.append((now() - when) * 1000)
        done += 1
    return Seen(due, milliseconds, error)


def _request(client: redis.Redis, habits: Habits, done: int) -> str:
    """Read or write a key; says what failed."""
    number = done * _STRIDE % habits.keys
    name, content = cache_keys.key(habits.namespace, number), cache_keys.value(number)
    try:
        if done % _ONE_WRITES:
            if client.get(name) != content:
                return "a key does not hold what was written"
        else:
            client.set(name, content, keepttl=True)
    except redis.RedisError as failed:
        return " ".join(str(failed).split())
    return ""
