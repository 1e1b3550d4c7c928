"""What the benchmarks of work on keys measure, and how they are told to on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Parameters:
    """What to measure. `keys` are of all four namespaces; `rates` are keysPerSecond; `idle_seconds` lie before each
    turn and after it."""

    rates: tuple[int, ...]
    keys: int = 1_000_000
    per_second: float = 500.0
    idle_seconds: float = 15.0


def parsed(
    arguments: Sequence[str] | None, prog: str, about: str | None, work: str, *, usual: Parameters, quick: Parameters
) -> Parameters:
    """What the command line asks for: of `usual` what it does not name, or `quick` as it is."""
    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("--keys", type=int, default=usual.keys, help="of all four namespaces")
    parser.add_argument("--rates", type=int, nargs="+", default=usual.rates, help=f"keysPerSecond of the {work}")
    parser.add_argument("--per-second", type=float, default=usual.per_second, help="requests of the neighbour")
    parser.add_argument("--idle-seconds", type=float, default=usual.idle_seconds, help="before and after each")
    parser.add_argument("--quick", action="store_true", help="small and short: does the benchmark work?")
    given = parser.parse_args(arguments)
    chosen = Parameters(tuple(given.rates), given.keys, given.per_second, given.idle_seconds)
    return quick if given.quick else chosen
