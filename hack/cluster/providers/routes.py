"""Routes from this machine to the pods and Services of a kind cluster: a comfort that nothing depends on.

Only root on Linux can set them. Docker on other systems runs in a virtual machine, to which no route leads.
"""

from __future__ import annotations

import os
import platform as machine

from hack.cluster import console, shell
from hack.cluster.node import network

_TIMEOUT_SECONDS = 60.0


def commands(verb: str, address: str) -> list[list[str]]:
    """Return the commands that ``replace`` or ``delete`` the routes through the container's ``address``."""
    ranges = (network.POD_CIDR, network.SERVICE_CIDR)
    return [["ip", "route", verb, each, "via", address] for each in ranges]


def add(address: str) -> bool:
    """Lead this machine to pods and Services where that can be done; tell whether it was."""
    if machine.system() != "Linux":
        console.say(
            "This machine has no routes to pods; use `kubectl port-forward`. The gateway has a port of its own."
        )
        return False
    wanted = commands("replace", address)
    if os.geteuid() != 0:
        console.say(
            f"To reach pods and Services from this machine (the gateway needs no route), run:{_as_root(wanted)}"
        )
        return False
    return _run(wanted)


def remove(address: str) -> None:
    """Remove the routes that ``add`` set, or say how to. Never fails: a route that stays does no harm."""
    if machine.system() != "Linux":
        return
    unwanted = commands("delete", address)
    if os.geteuid() == 0:
        # Each by itself: one that was never there must not keep the other.
        for words in unwanted:
            _run([words], quiet=True)
    else:
        console.say(f"Routes that were added by hand stay. To remove them, run:{_as_root(unwanted)}")


def _as_root(lines: list[list[str]]) -> str:
    return "".join(f"\n  sudo {' '.join(words)}" for words in lines)


def _run(lines: list[list[str]], *, quiet: bool = False) -> bool:
    try:
        for words in lines:
            shell.run(words, timeout=_TIMEOUT_SECONDS)
    except shell.CommandError as error:
        if not quiet:
            console.say(f"This machine gets no routes to pods and Services: {error}")
        return False
    return True
