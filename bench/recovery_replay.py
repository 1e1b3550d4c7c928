"""Replays generated traces of incidents through the engine of recovery: acts, false fires, time to recover.

    python -m bench.recovery_replay [--hours 24] [--seed 1]

Virtual time: nothing waits. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random
from typing import Any, Final

from bench.figures import machine, quantile, show, table, write
from bench.recovery_traces import TRACES
from bench.recovery_world import World

#: Of all acts of all traces together, in percent.
HELPED_GOAL: Final = 95.0
FALSE_GOAL: Final = 2.0
_NAME: Final = "recovery-replay"


def main(arguments: list[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="length of each trace, in hours of virtual time")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    before = machine()
    found = {name: _replay(name, options.hours, options.seed) for name in TRACES}
    whole = _whole(found)
    parameters = {"hours": options.hours, "seed": options.seed}
    path = write(_NAME, parameters, {"traces": found, "whole": whole}, before)
    columns = ["", "acts", "in storms", "helped", "false fires", "gave up", "to recover p50/p95", "ms a look"]
    rows = [(name, *_row(part)) for name, part in [*found.items(), ("all", whole)]]
    show([table(f"{options.hours:g} h of each trace, 20 pools, forSeconds 30", columns, rows)], path)
    return 0 if whole["met"] else 1


def _replay(name: str, hours: float, seed: int) -> dict[str, Any]:
    world = World(TRACES[name](Random(seed), hours))
    began = time.process_time()
    world.run()
    spent = time.process_time() - began
    acts = list(world.acts.values())
    return {
        "words": world.trace.words,
        "faults": len(world.trace.faults),
        "acts": len(acts),
        "actsInStorms": sum(a.in_storm for a in acts),
        "helped": sum(a.verified == "Helped" for a in acts),
        "falseFires": sum(a.false_fire for a in acts),
        "toldFalseFires": sum(a.told_false for a in acts),
        "gaveUp": world.gave_up,
        "recoverSeconds": [round(seconds, 1) for seconds in world.recovered],
        "statusWrites": world.status_writes,
        "msALook": round(1000 * spent / max(1, world.decisions), 3),
    }


def _whole(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    keys = ("faults", "acts", "actsInStorms", "helped", "falseFires", "toldFalseFires", "gaveUp", "statusWrites")
    out: dict[str, Any] = {key: sum(part[key] for part in found.values()) for key in keys}
    out["recoverSeconds"] = [seconds for part in found.values() for seconds in part["recoverSeconds"]]
    out["msALook"] = max(part["msALook"] for part in found.values())
    acts = max(1, out["acts"])
    out["helpedPercent"] = round(100 * out["helped"] / acts, 2)
    out["falsePercent"] = round(100 * out["falseFires"] / acts, 2)
    helped, false = out["helpedPercent"] > HELPED_GOAL, out["falsePercent"] < FALSE_GOAL
    out["met"] = out["acts"] > 0 and out["actsInStorms"] == 0 and helped and false
    return out


def _row(part: dict[str, Any]) -> tuple[str, ...]:
    acts, times = part["acts"], part["recoverSeconds"]
    recover = f"{quantile(times, 0.5):.0f} / {quantile(times, 0.95):.0f} s" if times else "-"
    return (
        str(acts),
        str(part["actsInStorms"]),
        _share(part["helped"], acts),
        _share(part["falseFires"], acts),
        str(part["gaveUp"]),
        recover,
        f"{part['msALook']:g}",
    )


def _share(number: int, of: int) -> str:
    return f"{number} ({100 * number / of:.1f} %)" if of else str(number)


if __name__ == "__main__":
    sys.exit(main())
