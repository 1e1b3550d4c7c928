"""The virtual cable between host and node, and the host's routes through it."""

from __future__ import annotations

import ipaddress
import json

from hack.cluster import shell
from hack.cluster.node import network

_TIMEOUT_SECONDS = 15.0


def create(pid: int) -> None:
    """Connect the host with the network namespace of process ``pid``."""
    remove()
    host, node = network.HOST_INTERFACE, network.NODE_INTERFACE
    _ip("link", "add", host, "type", "veth", "peer", "name", node, "netns", str(pid))
    _ip("address", "add", f"{network.HOST_ADDRESS}/{network.LINK_PREFIX}", "dev", host)
    _ip("link", "set", host, "up")
    for destination in (network.POD_CIDR, network.SERVICE_CIDR):
        _ip("route", "replace", destination, "via", network.NODE_ADDRESS)


def conflicts(addresses: str) -> list[str]:
    """Return the interfaces, other than ours, that have an address in our range: "knode0 (10.77.0.1)".

    ``addresses`` is what ``ip -json address`` prints.
    """
    ours = ipaddress.ip_network(network.WHOLE)
    found = []
    for interface in json.loads(addresses):
        for each in interface.get("addr_info", []):
            address = ipaddress.ip_address(each["local"])
            if interface["ifname"] != network.HOST_INTERFACE and address.version == 4 and address in ours:
                found.append(f"{interface['ifname']} ({address})")
    return found


def conflicts_now() -> list[str]:
    """Return what :func:`conflicts` finds on this machine."""
    return conflicts(shell.run(["ip", "-json", "address"], timeout=_TIMEOUT_SECONDS).stdout)


def remove() -> None:
    """Take the cable away, if it is there; its routes go with it."""
    shell.run(["ip", "link", "delete", network.HOST_INTERFACE], timeout=_TIMEOUT_SECONDS, check=False)


def _ip(*words: str) -> None:
    shell.run(["ip", *words], timeout=_TIMEOUT_SECONDS)
