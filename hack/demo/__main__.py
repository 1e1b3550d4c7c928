"""`python -m hack.demo`: everything up, a good change promoted, a bad one rolled back, a failover under a pool,
a hand-over and a flush of a cache, nothing lost, a model that dies and comes back; then all away.

Exit codes: 0 when all of that was so; 1 when not; 2 for wrong usage; 130 when interrupted. Figures go to
`out/demo.json`. A cluster that was up before stays up; the demo's namespace goes in any case.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import httpx
import psycopg
import redis
from rich.console import Console

from hack.cluster import console as stderr
from hack.cluster import debian, gobuild, shell
from hack.cluster.daemons import DaemonError
from hack.cluster.node.lifecycle import NodeError
from hack.cluster.node.machine import UnsuitableError
from hack.cluster.providers.base import ProviderError
from hack.demo import result
from hack.demo.interrupts import Interrupts
from hack.demo.lasting import lasting_output
from hack.demo.play import play
from hack.demo.venue import NAMESPACE, Venue
from hack.rig.access import KubeconfigError
from hack.rig.api import ApiError
from hack.rig.gateway import gateway_address
from sophia_operator.cli.session import CliError

__all__ = ["gateway_address", "main"]

EXIT_GOOD = 0
EXIT_BAD = 1
EXIT_INTERRUPTED = 130
_EXPECTED = (
    ApiError,
    CliError,
    DaemonError,
    KubeconfigError,
    NodeError,
    OSError,  # TimeoutError is one
    ProviderError,
    UnsuitableError,
    ValueError,
    debian.PackagesMissingError,
    gobuild.GoMissingError,
    httpx.HTTPError,
    psycopg.Error,
    redis.RedisError,
    shell.CommandError,
    subprocess.SubprocessError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code. Expected errors become a message without a traceback."""
    options = _parser().parse_args(arguments)
    with lasting_output(result.OUT.with_name("demo-rest.log")):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    console, started = Console(), time.monotonic()
    result.forget()
    venue = Venue(console, keep=options.keep, down=options.down)
    with Interrupts() as interrupts:
        try:
            code = _attempt(lambda: play(console, venue.open(), NAMESPACE, options.rate), interrupts)
        finally:
            cleaned = _attempt(venue.close, interrupts)
    console.print(f"The demo took {time.monotonic() - started:.0f} s.")
    code = code or cleaned
    if code != EXIT_INTERRUPTED:
        good = code == EXIT_GOOD
        console.print("[green]All as it should be.[/]" if good else "[bold red]Not as it should be: see above.[/]")
    return code


def _attempt(work: Callable[[], bool | None], interrupts: Interrupts) -> int:
    """Do the work, let nothing be interrupted after it, and return the exit code for it. It is bad if it says False."""
    try:
        try:
            return EXIT_BAD if work() is False else EXIT_GOOD
        finally:
            interrupts.hold()
    except KeyboardInterrupt:
        stderr.say("Interrupted; cleaning up.")
        return EXIT_INTERRUPTED
    except _EXPECTED as error:
        stderr.say(f"error: {error}")
        return EXIT_BAD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description=__doc__)
    fate = parser.add_mutually_exclusive_group()
    fate.add_argument("--keep", action="store_true", help="leave the cluster up at the end")
    fate.add_argument("--down", action="store_true", help="take the cluster away also when it was up before")
    parser.add_argument("--rate", type=_rate, default=100.0, help="requests per second (default: 100)")
    return parser


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"want a number above 0, not {text}")
    return rate


if __name__ == "__main__":
    sys.exit(main())
