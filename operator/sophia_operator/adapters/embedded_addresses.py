"""Where an address leads: IPv6 addresses may hold an IPv4 address, and some addresses are no hosts."""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_COMPATIBLE: Final = ipaddress.ip_network("::/96")
#: Of SIIT (RFC 2765), and by ISATAP (RFC 5214) in any network: the last four bytes after these four.
_TRANSLATED: Final = ipaddress.ip_network("::ffff:0:0:0/96")
_ISATAP: Final = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
#: Of RFC 8215: each network translates by a prefix in it of its own, of any length of RFC 6052.
_LOCAL_NAT64: Final = ipaddress.ip_network("64:ff9b:1::/48")
#: By RFC 6052, which bytes hold the IPv4 address; the ninth is always zero.
_PLACES: Final = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))


def leads_to(text: str) -> tuple[Address, ...]:
    """The address itself, and each IPv4 address that it may lead to: mapped, compatible, translated, or by 6to4,
    Teredo, ISATAP or NAT64, rather one too many. Raises ValueError when the text is no address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address, *_held_by(address)) if isinstance(address, ipaddress.IPv6Address) else (address,)


def is_no_host(address: Address) -> bool:
    """Whether nothing that somebody runs is there: nodes answer at link-local addresses, with credentials of theirs."""
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _held_by(address: ipaddress.IPv6Address) -> list[Address]:
    relays = address.teredo or ()
    found: list[Address] = [a for a in (address.ipv4_mapped, address.sixtofour, *relays) if a is not None]
    places: tuple[tuple[int, ...], ...] = ()
    if address in _LOCAL_NAT64:
        places = _PLACES
    elif (
        address in _NAT64
        or address in _TRANSLATED
        or address.packed[8:12] in _ISATAP
        or (address in _COMPATIBLE and int(address) > 1)  # neither none nor loopback
    ):
        places = _PLACES[-1:]
    held = (bytes(address.packed[i] for i in four) for four in places)
    return [*found, *(ipaddress.IPv4Address(four) for four in held if any(four))]
