"""Certificates that users give to verify servers with."""

from __future__ import annotations

import ssl


class UnreadableCaError(Exception):
    """They are no certificates; the message says so to people."""


def verifying(ca: str) -> ssl.SSLContext:
    """What trusts these certificates, in PEM form, and no others. Raises UnreadableCaError."""
    try:
        # An empty text would mean those of the system.
        return ssl.create_default_context(cadata=ca if ca.strip() else "-")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "they are no certificates in PEM form"
        raise UnreadableCaError(f"the certificates of the CA cannot be read: {reason}") from None
