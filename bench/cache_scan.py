"""What a scan of all keys costs: Redis, the operator, and those who use the cache meanwhile; and how right it is.

A real Redis with keys of four namespaces, a tenth of them without a TTL. It is scanned by the operator's own planner
and adapter, at the default rate and at a high one. A neighbour reads and writes keys of one of the namespaces all the
time; what it waits is compared with what it waits shortly before and after. The memory that the operator estimates from
its sample is compared with that of every key.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import cache_keys, cache_neighbour, cache_world, figures
from bench.cache_neighbour import Neighbour, Seen
from bench.cache_parameters import Parameters, parsed
from bench.cache_world import Load, Work
from hack.rig.redis import RedisServer, server
from sophia_operator.api.cache_tier import ScanPolicy
from sophia_operator.api.cache_tier_status import CacheTierStatus, NamespaceStatus

BYSTANDER: Final = "users"
_DEFAULT_RATE: Final = ScanPolicy.model_fields["keys_per_second"].default
#: What the neighbour asks.
_NEIGHBOURS: Final = frozenset({"get", "set"})


#: Unless told otherwise.
USUAL: Final = Parameters(rates=(_DEFAULT_RATE, 100_000))
#: For the test of the benchmark itself.
QUICK: Final = Parameters(keys=8_000, rates=(8_000, 100_000), per_second=200.0, idle_seconds=0.3)


@dataclass(frozen=True)
class Truth:
    """What a namespace really holds."""

    keys: int
    used_bytes: int
    without_ttl: int


@dataclass(frozen=True)
class Turn:
    """One scan."""

    rate: int
    work: Work
    idle: tuple[tuple[float, float], ...]
    #: CPU of Redis in a second in which nothing but the neighbour troubles it.
    idle_cpu: float
    truths: dict[str, Truth]


def measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """All scans; ready for JSON."""
    each = parameters.keys // len(cache_keys.NAMESPACES)
    turns: list[Turn] = []
    with server() as redis:
        began = time.perf_counter()
        cache_keys.fill(redis, cache_keys.NAMESPACES, each)
        filled = time.perf_counter() - began
        say(f"{each * len(cache_keys.NAMESPACES)} keys in {filled:.1f} s")
        with Neighbour(redis, BYSTANDER, each, parameters.per_second) as neighbour:
            for number, rate in enumerate(parameters.rates):
                if number:
                    # Those that were given a TTL lose it.
                    cache_keys.fill(redis, cache_keys.NAMESPACES, each)
                turn = _turn(redis, parameters, rate, each)
                say(f"scan at {rate} keys/s: {turn.work.seconds:.1f} s")
                turns.append(turn)
            seen = neighbour.end()
    return {"fillSeconds": round(filled, 2), "scans": [result(turn, seen) for turn in turns]}


def _turn(redis: RedisServer, parameters: Parameters, rate: int, each: int) -> Turn:
    before = cache_world.load_of(redis)
    first = cache_neighbour.rest(parameters.idle_seconds)
    after = cache_world.load_of(redis)
    wish = cache_world.spec(redis, scan={"keysPerSecond": rate, "intervalSeconds": 86_400})
    status = CacheTierStatus(primary=cache_world.NODE, observed_generation=1)
    done = cache_world.work(redis, wish, status, lambda status: status.scanned_at is not None)
    second = cache_neighbour.rest(parameters.idle_seconds)
    truths = {name: _truth(redis, name, each) for name in cache_keys.NAMESPACES}
    _check(done.status, truths)
    return Turn(rate, done, (first, second), _each_second(before, after, first), truths)


def _each_second(before: Load, after: Load, window: tuple[float, float]) -> float:
    return (after.cpu - before.cpu) / (window[1] - window[0])


def _truth(redis: RedisServer, namespace: str, keys: int) -> Truth:
    return Truth(
        keys=cache_keys.count(redis, namespace, keys),
        used_bytes=cache_keys.used_bytes(redis, namespace, keys),
        without_ttl=cache_keys.without_ttl(redis, namespace, keys),
    )


def _check(status: CacheTierStatus, truths: dict[str, Truth]) -> None:
    """Every key was counted, and every one that lacked a TTL has one. Raises RuntimeError."""
    for found in status.namespaces:
        truth = truths[found.name]
        if found.keys is None or found.keys < truth.keys:
            raise RuntimeError(f"{found.keys} keys of {found.name} were counted, of {truth.keys}")
        if truth.without_ttl:
            raise RuntimeError(f"{truth.without_ttl} keys of {found.name} have no TTL after the scan")


def result(turn: Turn, seen: Seen) -> dict[str, Any]:
    """Of one scan, with what the neighbour saw of it. Raises ValueError when it saw nothing."""
    work, scan = turn.work, turn.work.scan
    if scan is None:
        raise ValueError("nothing was scanned")
    own = {name: calls for name, calls in work.commands.items() if name not in _NEIGHBOURS}
    redis_cpu = work.redis_cpu - turn.idle_cpu * work.seconds
    return {
        "keysPerSecond": turn.rate,
        "seconds": round(work.seconds, 2),
        "scanned": scan.scanned,
        "scannedPerSecond": round(scan.scanned / work.seconds),
        "commands": own,
        "commandsPerSecond": round(sum(own.values()) / work.seconds),
        "cpuSeconds": round(work.cpu, 2),
        "cpuMicrosecondsAKey": round(work.cpu / scan.scanned * 1e6, 1),
        # Without that of the neighbour's requests.
        "redisCpuSeconds": round(redis_cpu, 2),
        "redisCpuMicrosecondsAKey": round(redis_cpu / scan.scanned * 1e6, 1),
        "namespaces": {one.name: _namespace(one, turn.truths[one.name]) for one in work.status.namespaces},
        "neighbour": cache_neighbour.summary(seen.between(*turn.idle), seen.between(work.window)),
    }


def _namespace(found: NamespaceStatus, truth: Truth) -> dict[str, Any]:
    return {
        "keys": found.keys,
        "ttlsGiven": found.ttls_given,
        "estimatedBytes": found.used_bytes,
        "usedBytes": truth.used_bytes,
        "errorPercent": error_percent(found.used_bytes, truth.used_bytes),
    }


def error_percent(estimated: int | None, true: int) -> float | None:
    """How far an estimate is off; more than true is above 0. None without one."""
    return None if estimated is None else round((estimated - true) / true * 100, 2)


def tables(found: dict[str, Any], parameters: Parameters) -> list[Table]:
    """For people."""
    scans = found["scans"]
    columns = ("", *(f"at {each['keysPerSecond']} keys/s" for each in scans))
    rows = [(name, *(text(each) for each in scans)) for name, text in _ROWS.items()]
    rows += [
        (f"namespace {name}", *(_namespace_words(each["namespaces"][name]) for each in scans))
        for name in cache_keys.NAMESPACES
    ]
    title = f"Scans of {parameters.keys} keys, and a neighbour with {parameters.per_second:g} requests a second"
    return [figures.table(title, columns, rows)]


_ROWS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "time": lambda each: f"{each['seconds']:g} s",
    "keys a second": lambda each: str(each["scannedPerSecond"]),
    "commands a second": lambda each: str(each["commandsPerSecond"]),
    "CPU of the operator": lambda each: f"{each['cpuSeconds']:g} s ({each['cpuMicrosecondsAKey']:g} us a key)",
    "CPU of Redis": lambda each: f"{each['redisCpuSeconds']:g} s ({each['redisCpuMicrosecondsAKey']:g} us a key)",
    **cache_neighbour.ROWS,
}


def _namespace_words(found: dict[str, Any]) -> str:
    return f"{found['ttlsGiven']} TTLs given, {found['usedBytes']} bytes, estimate {found['errorPercent']:+g} %"


def run(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write the figures, print the tables. Returns what was written."""
    before = figures.machine()
    found = measure(parameters, say)
    path = figures.write("cache_scan", asdict(parameters), found, before)
    figures.show(tables(found, parameters), path)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    chosen = parsed(arguments, "python -m bench.cache_scan", __doc__, "scans", usual=USUAL, quick=QUICK)
    run(chosen, Console(stderr=True).print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
