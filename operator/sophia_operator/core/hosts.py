"""Hosts, as URLs have them."""

from __future__ import annotations


def bracketed(host: str) -> str:
    """A name or an address, as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
