"""Whom evidence speaks of: one release, as metrics name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sophia_operator.api.common import DNS_LABEL_PATTERN
from sophia_operator.api.release import Color
from sophia_operator.core.names import color_service

_LABEL: Final = re.compile(DNS_LABEL_PATTERN)
#: Kubernetes cuts what a pod's name is generated from to this length, then adds five characters.
_POD_BASE_LENGTH: Final = 58
_RANDOM_PART: Final = "[a-z0-9]{5}"
#: The hash of a pod template is a 32-bit number, spelt with letters and digits.
_HASH_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class Subject:
    """One release at one colour. Every name is a DNS label, so it needs no quoting in a query."""

    namespace: str
    #: Name of the ManagedService.
    service: str
    #: Name of the Release, and of its Deployment.
    release: str
    color: Color
    #: Port of the colour's Service that gets the traffic.
    port_number: int

    def __post_init__(self) -> None:
        for what, name in (("namespace", self.namespace), ("service", self.service), ("release", self.release)):
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{what} {name!r} is not a DNS label")
        if not 1 <= self.port_number <= 65_535:
            raise ValueError(f"port {self.port_number} is out of range")

    @property
    def backend(self) -> str:
        """Name of the Service that the route sends this colour's traffic to."""
        return color_service(self.service, self.color)

    @property
    def pod_pattern(self) -> str:
        """Regular expression that whole names of the release's pods match, and no other release's.

        A pod is named `<deployment>-<template hash>-<random>`; where that would be too long, the part before the
        random characters is cut, dash and all.
        """
        start = f"{self.release}-"
        left = _POD_BASE_LENGTH - len(start)
        if left > _HASH_LENGTH:
            return f"{start}[a-z0-9]{{1,{_HASH_LENGTH}}}-{_RANDOM_PART}"
        if left > 0:
            return f"{start}[a-z0-9]{{1,{left}}}-?{_RANDOM_PART}"
        return f"{start[:_POD_BASE_LENGTH]}{_RANDOM_PART}"
