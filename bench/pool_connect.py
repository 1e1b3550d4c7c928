"""What a pool costs a client: connect and `SELECT 1`, over TLS and SCRAM, directly and through the pool.

A real PostgreSQL and a real PgBouncer on loopback, configured as the operator configures a pool's. Both ways are taken
in turns, in the same run, each first as often as the other, so that a machine that becomes slower does so for both.

* full: 100 clients, each of which begins again as soon as it is done. The machine is busy, and what is measured is
  what a connection costs in all: clients, PgBouncer and PostgreSQL.
* steady: the same clients, each once in some seconds, so that the machine has time to spare: what one of them waits.

Clients have processes of their own. Whose CPU time it was is told beside the figures: a client pays for most of SCRAM
itself, and where it has most of the time, it is what is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import figures, pool_world
from bench.figures import Spread, quantile
from bench.pool_clients import Clients, Outcome, Round

DIRECT, POOLED = "direct", "pooled"
FULL, STEADY = "full", "steady"
#: The pool may cost so much more than going directly.
GOAL: Final = 1.05
_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True)
class Parameters:
    """What to measure. `rounds` are of both ways, for each kind of load."""

    clients: int = 100
    processes: int = max(2, os.cpu_count() or 2)
    size: int = 20
    rounds: int = 8
    seconds: float = 5.0
    warm: float = 1.0
    steady_every: float = 4.0


#: For the test of the benchmark itself.
QUICK: Final = Parameters(clients=4, processes=2, size=2, rounds=2, seconds=1.0, warm=0.1, steady_every=0.25)


@dataclass(frozen=True)
class Turn:
    """One way in one round."""

    way: str
    load: str
    outcome: Outcome
    #: Seconds of CPU, of all that took part.
    cpu: dict[str, float]


def measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """All rounds; ready for JSON."""
    turns: list[Turn] = []
    with (
        pool_world.running(parameters.clients, parameters.size) as world,
        Clients(parameters.clients, parameters.processes) as clients,
    ):
        ways = {DIRECT: world.direct, POOLED: world.pooled}
        for load, every in ((FULL, 0.0), (STEADY, parameters.steady_every)):
            for number in range(parameters.rounds):
                for way in (DIRECT, POOLED) if number % 2 == 0 else (POOLED, DIRECT):
                    before = world.cpu()
                    outcome = clients.run(Round(ways[way], parameters.seconds, parameters.warm, every))
                    used = {name: value - before[name] for name, value in world.cpu().items()}
                    turns.append(Turn(way, load, outcome, {"clients": outcome.cpu, **used}))
                say(f"{load} {number + 1}: " + ", ".join(_words(turn) for turn in turns[-2:]))
    return {load: summary([turn for turn in turns if turn.load == load], parameters) for load in (FULL, STEADY)}


def _words(turn: Turn) -> str:
    found = turn.outcome
    if not found.milliseconds:
        return f"{turn.way} nothing, {len(found.errors)} errors"
    return f"{turn.way} {len(found.milliseconds)} at {quantile(found.milliseconds, 0.5):.1f} ms"


def summary(turns: Sequence[Turn], parameters: Parameters) -> dict[str, Any]:
    """Quantiles over all rounds of both ways, their ratios, and whose CPU time it was. Raises ValueError when a way had
    an error or no success: figures of what failed would be better than they should."""
    ways = {way: _way([turn for turn in turns if turn.way == way], parameters) for way in (DIRECT, POOLED)}
    ratios = {
        name: round(ways[POOLED]["milliseconds"][name] / ways[DIRECT]["milliseconds"][name], 4)
        for name in ways[DIRECT]["milliseconds"]
    }
    return {
        **ways,
        "ratio": ratios,
        "p50RatioOfRounds": Spread.of(_ratios_of_rounds(turns)),
        "goal": GOAL,
        "met": {name: ratios[name] <= GOAL for name, _ in _QUANTILES},
    }


def _way(turns: Sequence[Turn], parameters: Parameters) -> dict[str, Any]:
    errors = [words for turn in turns for words in turn.outcome.errors]
    times = [value for turn in turns for value in turn.outcome.milliseconds]
    if errors:
        raise ValueError(f"{len(errors)} of {len(errors) + len(times)} failed, as in: {errors[0]}")
    counted = len(turns) * (parameters.seconds - parameters.warm)
    done = sum(turn.outcome.done for turn in turns)
    cpu = {name: sum(turn.cpu[name] for turn in turns) for name in turns[0].cpu}
    return {
        "count": len(times),
        "perSecond": round(len(times) / counted, 1),
        "milliseconds": {
            "mean": round(sum(times) / len(times), 3) if times else 0.0,
            **{name: round(quantile(times, fraction), 3) for name, fraction in _QUANTILES},
        },
        "cpuMillisecondsEach": {name: round(value * 1000 / done, 3) for name, value in cpu.items()},
        "cpuShare": {name: round(value / (sum(cpu.values()) or 1.0), 3) for name, value in cpu.items()},
    }


def _ratios_of_rounds(turns: Sequence[Turn]) -> list[float]:
    """Median through the pool over that of the direct way, round by round: they lie a few seconds apart."""
    medians = {way: [quantile(t.outcome.milliseconds, 0.5) for t in turns if t.way == way] for way in (DIRECT, POOLED)}
    return [pooled / direct for direct, pooled in zip(medians[DIRECT], medians[POOLED], strict=True)]


def tables(found: dict[str, Any], parameters: Parameters) -> list[Table]:
    """For people."""
    out = []
    titles = {
        FULL: f"Connect and SELECT 1: {parameters.clients} clients without a pause",
        STEADY: f"Connect and SELECT 1: {parameters.clients} clients, each once in {parameters.steady_every:g} s",
    }
    for load, title in titles.items():
        part = found[load]
        rows = [
            (name, *(f"{part[way]['milliseconds'][name]:.2f} ms" for way in (DIRECT, POOLED)), f"{ratio:.3f}")
            for name, ratio in part["ratio"].items()
        ]
        rows.append(("connections a second", *(f"{part[way]['perSecond']:g}" for way in (DIRECT, POOLED)), ""))
        for name in part[DIRECT]["cpuShare"]:
            each = [
                f"{part[way]['cpuMillisecondsEach'][name]:.2f} ms ({part[way]['cpuShare'][name]:.0%})"
                for way in (DIRECT, POOLED)
            ]
            rows.append((f"CPU each, of {name}", *each, ""))
        spread: Spread = part["p50RatioOfRounds"]
        rows.append(("p50 ratio, round by round", "", "", f"{spread.median:g} ({spread.min:g} to {spread.max:g})"))
        verdict = ", ".join(f"{name} {'met' if met else 'NOT met'}" for name, met in part["met"].items())
        rows.append((f"goal: at most {GOAL:g} of direct", "", "", verdict))
        out.append(figures.table(title, ("", "direct", "through the pool", "ratio"), rows))
    return out


def run(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write the figures, print the tables. Returns what was written."""
    before = figures.machine()
    found = measure(parameters, say)
    path = figures.write("pool_connect", asdict(parameters), found, before)
    figures.show(tables(found, parameters), path)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    parser = argparse.ArgumentParser(prog="python -m bench.pool_connect", description=__doc__)
    parser.add_argument("--clients", type=int, default=Parameters.clients)
    parser.add_argument("--processes", type=int, default=Parameters.processes, help="that the clients are spread over")
    parser.add_argument("--size", type=int, default=Parameters.size, help="server connections of the pool")
    parser.add_argument("--rounds", type=int, default=Parameters.rounds)
    parser.add_argument("--seconds", type=float, default=Parameters.seconds, help="of each way in each round")
    parser.add_argument("--quick", action="store_true", help="small and short: does the benchmark work?")
    given = parser.parse_args(arguments)
    chosen = Parameters(
        clients=given.clients, processes=given.processes, size=given.size, rounds=given.rounds, seconds=given.seconds
    )
    run(QUICK if given.quick else chosen, Console(stderr=True).print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
