"""How long a pool keeps its clients from writing after a failover: from the promotion to the first write through every
instance.

Each round kills the primary on the cluster, as a crash does, and promotes its standby once the pool says that it
reconnects; then a new standby is made. A client for each instance writes all the time; the first of its writes that
the new primary itself confirms counts. Beside it stands when the pool had verified every instance by its own checks.

Rounds are made at a health interval of one second, and at the default of a minute, where only an event can start the
reconnect in time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import figures
from bench.figures import Spread
from bench.node import AS_IS
from hack.cluster import bringup, paths
from hack.rig.api import Api
from hack.rig.databases import Database
from hack.rig.failovers import Failover, fail_over, prepare
from hack.rig.namespaces import clear_namespace
from hack.rig.pools import Pool

NAMESPACE: Final = "bench-failover"
#: Seconds from the promotion to the first write through every instance.
GOAL: Final = 5.0
_PARTS: Final = ("noticed", "moved", "first_write", "verified")


@dataclass(frozen=True)
class Parameters:
    """What to measure: so many rounds at each interval."""

    rounds: int = 5
    intervals: tuple[int, ...] = (1, 60)
    instances: int = 2


@contextmanager
def pool_on_cluster(instances: int) -> Iterator[Pool]:
    """Bring the cluster up if needed, and a pool on it; the cluster stays up, since that takes long."""
    if not os.environ.get(AS_IS):
        bringup.up()
    with Api(paths.kubeconfig()) as api:
        clear_namespace(api, NAMESPACE)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
        try:
            database = Database(api, NAMESPACE)
            database.up(standbys=1)
            pool = Pool(database)
            pool.apply(instances=instances)
            pool.wait_ready(seconds=120)
            prepare(pool)
            yield pool
        finally:
            api.delete("Namespace", None, NAMESPACE)


def measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """All the rounds on the cluster; ready for JSON."""
    found: dict[str, Any] = {}
    with pool_on_cluster(parameters.instances) as pool:
        for interval in parameters.intervals:
            pool.patch(healthCheck={"intervalSeconds": interval})
            rounds = []
            for number in range(parameters.rounds):
                pool.wait_ready(seconds=60)
                failover, _ = fail_over(pool)
                rounds.append(failover)
                say(
                    f"interval {interval} s, round {number + 1}: first write through every instance after "
                    f"{failover.first_write:.2f} s, verified after {failover.verified:.2f} s; the crash was noticed "
                    f"after {failover.noticed:.2f} s"
                )
                pool.database.start()
            found[f"interval{interval}"] = summary(rounds)
    return found


def summary(rounds: Sequence[Failover]) -> dict[str, Any]:
    """Spreads of the parts, and how many rounds kept the goal."""
    spreads = {part: Spread.of([getattr(each, part) for each in rounds]) for part in _PARTS}
    within = sum(each.first_write < GOAL for each in rounds)
    return {
        "rounds": [asdict(each) | {"first_write": each.first_write} for each in rounds],
        **spreads,
        "goalSeconds": GOAL,
        "within": within,
        "met": within == len(rounds),
    }


_WORDS: Final = {
    "noticed": "crash to the reconnect's beginning",
    "moved": "promotion to the Service's move",
    "first_write": "promotion to a write through every instance",
    "verified": "promotion to the pool's own verification",
}


def tables(found: dict[str, Any], parameters: Parameters) -> list[Table]:
    """For people."""
    out = []
    for interval in parameters.intervals:
        part = found[f"interval{interval}"]
        rows = []
        for name in _PARTS:
            spread: Spread = part[name]
            rows.append((_WORDS[name], *(f"{value:.2f} s" for value in (spread.median, spread.min, spread.max))))
        rows.append((f"rounds below {GOAL:g} s", f"{part['within']} of {len(part['rounds'])}", "", ""))
        title = f"Failover under a pool, health interval {interval} s"
        out.append(figures.table(title, ("", "median", "min", "max"), rows))
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    parser = argparse.ArgumentParser(prog="python -m bench.pool_failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=Parameters.rounds, help="at each interval")
    parser.add_argument("--instances", type=int, default=Parameters.instances)
    parser.add_argument("--intervals", type=int, nargs="+", default=list(Parameters.intervals), help="in seconds")
    given = parser.parse_args(arguments)
    parameters = Parameters(given.rounds, tuple(given.intervals), given.instances)
    before = figures.machine()
    found = measure(parameters, Console(stderr=True).print)
    path = figures.write("pool_failover", asdict(parameters), found, before)
    figures.show(tables(found, parameters), path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
