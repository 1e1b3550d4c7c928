"""Addresses of receivers. Metadata services, which give credentials of the node to who asks, are no receivers."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

#: Beside link-local addresses, which most clouds take (169.254.169.254 among them): those of AWS by IPv6, of Alibaba,
#: of Oracle and of Azure.
_METADATA: Final = frozenset(
    ipaddress.ip_address(address)
    for address in ("fd00:ec2::254", "fd00:ec2::23", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
#: IPv6 addresses that lead to an IPv4 address in their last 32 bits, through a gateway.
_NAT64: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/96"))

NOT_ALLOWED: Final = (
    "its address is link-local, multicast, unspecified or a metadata service of a cloud, where no receiver is: correct "
    "the URL"
)


def is_allowed(address: str) -> bool:
    """Whether a receiver may be at that IP address."""
    found = _innermost(ipaddress.ip_address(address.partition("%")[0]))
    return not (found.is_link_local or found.is_multicast or found.is_unspecified or found in _METADATA)


def allowed(addresses: Sequence[str]) -> list[str]:
    """The addresses, if a receiver may be at all of them; else none: a name that leads to such a place and to another
    one is no name to trust."""
    return list(addresses) if all(map(is_allowed, addresses)) else []


def _innermost(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if any(address in network for network in _NAT64):
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
