"""What a flush costs those who use the cache meanwhile, and how long it takes.

A real Redis with keys of four namespaces. One namespace is flushed, then two by their tag, at the default rate and at a
high one, by the operator's own planner and adapter. A neighbour reads and writes keys of the fourth namespace all the
time; what it waits is compared with what it waits shortly before and after, when nothing is flushed.

For comparison, the same is flushed as one might do it by hand: SCAN with a large COUNT, and DEL of all that it finds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import cache_keys, cache_neighbour, cache_world, figures
from bench.cache_neighbour import Neighbour, Seen, now
from bench.cache_parameters import Parameters, parsed
from hack.rig.redis import RedisServer, server
from sophia_operator.api.cache_flush import Flush
from sophia_operator.api.cache_tier_status import FlushPhase

NAMESPACE, BYSTANDER = "docs", "users"
BY_NAMESPACE, BY_TAG = "namespace", "tag"
OPERATOR, NAIVE = "operator's", "naive"
NAIVE_COUNT: Final = 10_000
#: After a flush, until Redis has freed what it took away.
SETTLE_SECONDS: Final = 2.0
_DEFAULT_RATE: Final = Flush.model_fields["keys_per_second"].default
#: What each kind of flush is of.
FLUSHED: Final = {BY_NAMESPACE: (NAMESPACE,), BY_TAG: cache_world.TAGGED}


#: Unless told otherwise.
USUAL: Final = Parameters(rates=(_DEFAULT_RATE, 100_000))
#: For the test of the benchmark itself.
QUICK: Final = Parameters(keys=4_000, rates=(4_000, 100_000), per_second=200.0, idle_seconds=0.3)


@dataclass(frozen=True)
class Turn:
    """One flush."""

    how: str
    rate: int | None
    what: str
    seconds: float
    scanned: int
    deleted: int
    #: Seconds of CPU: of who flushes, and of Redis.
    cpu: float
    redis_cpu: float
    window: tuple[float, float]
    idle: tuple[tuple[float, float], ...] = ()


def measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """All flushes, each of a full Redis; ready for JSON."""
    each = parameters.keys // len(cache_keys.NAMESPACES)
    turns: list[Turn] = []
    with server() as redis:
        began = time.perf_counter()
        cache_keys.fill(redis, cache_keys.NAMESPACES, each)
        filled = time.perf_counter() - began
        say(f"{each * len(cache_keys.NAMESPACES)} keys in {filled:.1f} s")
        with Neighbour(redis, BYSTANDER, each, parameters.per_second) as neighbour:
            for rate in (*parameters.rates, None):
                for what, namespaces in FLUSHED.items():
                    turn = _turn(redis, parameters, what, rate)
                    say(_words(turn))
                    _check(redis, turn, each)
                    turns.append(turn)
                    cache_keys.fill(redis, namespaces, each)
            seen = neighbour.end()
    return {"fillSeconds": round(filled, 2), "flushes": [result(turn, seen) for turn in turns]}


def _turn(redis: RedisServer, parameters: Parameters, what: str, rate: int | None) -> Turn:
    """One flush, between two times without any. Without a rate: the naive one."""
    before = cache_neighbour.rest(parameters.idle_seconds)
    turn = _by_hand(redis, what) if rate is None else _by_operator(redis, what, rate)
    time.sleep(min(SETTLE_SECONDS, parameters.idle_seconds))
    return replace(turn, idle=(before, cache_neighbour.rest(parameters.idle_seconds)))


def _by_operator(redis: RedisServer, what: str, rate: int) -> Turn:
    scope = {"namespaceName": NAMESPACE} if what == BY_NAMESPACE else {"tag": cache_world.TAG}
    wish = cache_world.spec(redis, flush={"name": "bench", "keysPerSecond": rate, **scope})
    done = cache_world.work(redis, wish, cache_world.scanned(), lambda status: bool(status.flushes))
    flush = done.status.flushes[-1]
    if flush.phase is not FlushPhase.DONE:
        raise RuntimeError(f"the flush ended as {flush.phase}: {flush.message}")
    return Turn(OPERATOR, rate, what, done.seconds, flush.scanned, flush.deleted, done.cpu, done.redis_cpu, done.window)


def _by_hand(redis: RedisServer, what: str) -> Turn:
    """As fast as it goes, in one process: SCAN of many keys at once, and DEL of all that it found."""
    scanned = deleted = 0
    before, cpu, began = cache_world.load_of(redis), time.process_time(), now()
    with redis.client(timeout=60) as client:
        for namespace in FLUSHED[what]:
            cursor = 0
            while True:
                cursor, keys = client.scan(cursor, match=f"{namespace}:*", count=NAIVE_COUNT)
                scanned += NAIVE_COUNT
                if keys:
                    deleted += client.delete(*keys)
                if cursor == 0:
                    break
    ended, used = now(), time.process_time() - cpu
    redis_cpu = cache_world.load_of(redis).cpu - before.cpu
    return Turn(NAIVE, None, what, ended - began, scanned, deleted, used, redis_cpu, (began, ended))


def _check(redis: RedisServer, turn: Turn, each: int) -> None:
    """All that was asked for went, and nothing else did. Raises RuntimeError."""
    flushed = FLUSHED[turn.what]
    for namespace in cache_keys.NAMESPACES:
        there, right = cache_keys.count(redis, namespace, each), 0 if namespace in flushed else each
        if there != right:
            raise RuntimeError(f"{there} keys of {namespace} are there after {_words(turn)}; it should be {right}")
    if turn.deleted != each * len(flushed):
        raise RuntimeError(f"{_words(turn)}; there were {each * len(flushed)}")


def _words(turn: Turn) -> str:
    rate = "at full speed" if turn.rate is None else f"at {turn.rate} keys/s"
    return f"{turn.how} flush of a {turn.what} {rate}: {turn.deleted} keys gone in {turn.seconds:.1f} s"


def result(turn: Turn, seen: Seen) -> dict[str, Any]:
    """Of one flush, with what the neighbour saw of it. Raises ValueError when it saw nothing."""
    return {
        "how": turn.how,
        "what": turn.what,
        "keysPerSecond": turn.rate,
        "seconds": round(turn.seconds, 2),
        "scanned": turn.scanned,
        "deleted": turn.deleted,
        "scannedPerSecond": round(turn.scanned / turn.seconds),
        "deletedPerSecond": round(turn.deleted / turn.seconds),
        "cpuSeconds": round(turn.cpu, 2),
        "redisCpuSeconds": round(turn.redis_cpu, 2),
        "cpuMicrosecondsAKey": round(turn.cpu / turn.scanned * 1e6, 1),
        "neighbour": cache_neighbour.summary(seen.between(*turn.idle), seen.between(turn.window)),
    }


def tables(found: dict[str, Any], parameters: Parameters) -> list[Table]:
    """For people: one for each kind of flush."""
    out = []
    for what in FLUSHED:
        flushes = [each for each in found["flushes"] if each["what"] == what]
        columns = ("", *(_column(each) for each in flushes))
        rows = [(name, *(text(each) for each in flushes)) for name, text in _ROWS.items()]
        of = f"{len(FLUSHED[what])} of {len(cache_keys.NAMESPACES)} namespaces, {parameters.keys} keys in all"
        out.append(figures.table(f"Flush by {what}: {of}; {parameters.per_second:g} requests a second", columns, rows))
    return out


def _column(each: dict[str, Any]) -> str:
    return each["how"] if each["keysPerSecond"] is None else f"{each['keysPerSecond']} keys/s"


_ROWS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "time": lambda each: f"{each['seconds']:g} s",
    "keys gone": lambda each: f"{each['deleted']} ({each['deletedPerSecond']}/s)",
    "keys looked at a second": lambda each: str(each["scannedPerSecond"]),
    "CPU of who flushes": lambda each: f"{each['cpuSeconds']:g} s ({each['cpuMicrosecondsAKey']:g} us a key)",
    "CPU of Redis": lambda each: f"{each['redisCpuSeconds']:g} s",
    **cache_neighbour.ROWS,
}


def run(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write the figures, print the tables. Returns what was written."""
    before = figures.machine()
    found = measure(parameters, say)
    path = figures.write("cache_flush", asdict(parameters), found, before)
    figures.show(tables(found, parameters), path)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    chosen = parsed(arguments, "python -m bench.cache_flush", __doc__, "flushes", usual=USUAL, quick=QUICK)
    run(chosen, Console(stderr=True).print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
