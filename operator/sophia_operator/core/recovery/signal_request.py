"""What a receiver is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class WebhookPlace:
    """A webhook. Its address may be a secret."""

    url: str = field(repr=False)
    content_type: str
    #: Key of the signature; None: not signed.
    hmac_key: bytes | None = field(default=None, repr=False)
    #: Certificates to verify it with, in PEM form; None: those that browsers trust.
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """A Redis Stream. Its address holds a password."""

    url: str = field(repr=False)
    stream: str
    max_length: int
    #: Certificates to verify it with, in PEM form; None: those of the system.
    ca: str | None = None


class Refused(str):
    """Why a receiver does not take a signal, in words, when it will not take it later either."""

    #: What it answered.
    status: int

    def __new__(cls, words: str, status: int) -> Self:
        made = super().__new__(cls, words)
        made.status = status
        return made


@dataclass(frozen=True, slots=True)
class SignalRequest:
    """One signal for one receiver."""

    #: The same whenever it is told.
    id: str
    type: str
    body: bytes
    to: WebhookPlace | StreamPlace
    timeout_seconds: float
