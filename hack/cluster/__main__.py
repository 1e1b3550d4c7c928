"""The command line: ``python -m hack.cluster VERB``, from the root of the repository."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from hack.cluster import binaries, bringup, console, debian, doctor, gobuild, images, litellm, portkey, recipes, shell
from hack.cluster.daemons import DaemonError
from hack.cluster.node.lifecycle import NodeError
from hack.cluster.node.machine import UnsuitableError
from hack.cluster.providers.base import ProviderError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
_EXPECTED = (
    DaemonError,
    NodeError,
    OSError,
    ProviderError,
    UnsuitableError,
    ValueError,
    debian.PackagesMissingError,
    gobuild.GoMissingError,
    shell.CommandError,
    subprocess.SubprocessError,
)
_EPILOG = """\
environment variables:
  CLUSTER         existing, kind or node; unset: kind where Docker works, else node on Linux as root
  CLUSTER_ALLOW   for existing: comma-separated globs of context names that may be used
  CLUSTER_GATEWAY_URL      for existing: where this machine reaches its gateway
  SOPHIA_CACHE    where programs and images are kept    SOPHIA_STATE  where the running cluster keeps its files
  SOPHIA_DOWNLOADS=never   build all programs from Go modules

Each kind of cluster needs Go the first time: Contour, and the platform's manifests, come as Go modules.

exit codes: 0 done, 1 failed, 2 wrong usage, 3 (status) no cluster, 130 interrupted. Run it again to go on.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m hack.cluster",
        description="Bring up a Kubernetes cluster for the demo and the tests, with the operator on it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="bring the cluster up; keeps what is there already")
    up.add_argument("--without-platform", action="store_true", help="no DNS, gateway and Prometheus")
    up.add_argument("--without-operator", action="store_true", help="no operator")
    verbs.add_parser("down", help="take the cluster away, with all that belongs to it except the cache")
    verbs.add_parser("status", help="say whether there is a cluster and how it is")
    verbs.add_parser("env", help='print shell lines for: eval "$(python -m hack.cluster env)"')
    programs = verbs.add_parser("binaries", help="provide the programs: from the cache, downloaded, or built")
    programs.add_argument("name", nargs="*", help="which (default: what this machine's cluster and the tests need)")
    programs.add_argument("--prune", action="store_true", help="remove those of other versions (after `down`)")
    archives = verbs.add_parser("images", help="build the images into archives")
    archives.add_argument("name", nargs="*", help="which (default: those that this machine's cluster needs)")
    load = verbs.add_parser("load", help="build images and load them into the running cluster")
    load.add_argument("name", nargs="+", help="which, such as sophia-operator")
    verbs.add_parser("gateway", help="print the URL at which this machine reaches the cluster's gateway")
    verbs.add_parser("doctor", help="say what this machine can bring up, and what is missing")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code. Expected errors become a message without a traceback."""
    options = parser().parse_args(arguments)
    # Being told to end must clean up like Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(options)
    except KeyboardInterrupt:
        console.say("Interrupted. What was finished is kept; the same command goes on from there.")
        return EXIT_INTERRUPTED
    except _EXPECTED as error:
        console.say(f"error: {error}")
        return EXIT_FAILED


def run(options: argparse.Namespace) -> int:
    """Carry out the verb that was parsed."""
    match options.verb:
        case "up":
            bringup.up(with_platform=not options.without_platform, with_operator=not options.without_operator)
        case "down":
            bringup.down()
        case "status":
            return bringup.status()
        case "env":
            print(bringup.environment())
        case "binaries":
            _provide(_known(options.name), prune=options.prune)
        case "images":
            for archive in images.build_all(options.name or bringup.wanted_images()):
                print(archive)
        case "load":
            bringup.load(options.name)
        case "gateway":
            print(bringup.gateway_url())
        case "doctor":
            return doctor.report()
    return 0


def _provide(names: Sequence[str], *, prune: bool) -> None:
    print(binaries.ensure(names or bringup.wanted_programs()))
    if not names:
        print(litellm.ensure())
        print(portkey.ensure())
    if prune:
        old = [*binaries.prune(), *litellm.prune(), *portkey.prune()]
        console.say(f"Removed {len(old)} files and folders of other versions.")


def _known(names: Sequence[str]) -> list[str]:
    if unknown := sorted(set(names) - set(recipes.all_recipes())):
        raise ValueError(f"no program {', '.join(unknown)}; there are {', '.join(sorted(recipes.all_recipes()))}")
    return list(names)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
