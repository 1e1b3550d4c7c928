"""Addresses of receivers. Metadata services, which give credentials of the node to who asks, are no receivers."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from sophia_operator.adapters.embedded_addresses import is_no_host, leads_to

#: Beside link-local addresses, which most clouds take (169.254.169.254 among them): those of AWS by IPv6, of Alibaba,
#: of Oracle and of Azure.
_METADATA: Final = frozenset(
    ipaddress.ip_address(address)
    for address in ("fd00:ec2::254", "fd00:ec2::23", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)

NOT_ALLOWED: Final = (
    "its address is link-local, multicast, unspecified or a metadata service of a cloud, where no receiver is: correct "
    "the URL"
)


def is_allowed(address: str) -> bool:
    """Whether a receiver may be at that IP address."""
    return not any(is_no_host(found) or found in _METADATA for found in leads_to(address))


def allowed(addresses: Sequence[str]) -> list[str]:
    """The addresses, if a receiver may be at all of them; else none: a name that leads to such a place and to another
    one is no name to trust."""
    return list(addresses) if all(map(is_allowed, addresses)) else []
