"""Reads through the cache of the demo app: who had the value, how long it took, and what the app itself counted."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from hack.rig.api import Api, is_ready

#: The app's port in its pods, and what it calls the function behind all levels.
_PORT: Final = 8080
ORIGIN: Final = "origin"
_TIMEOUT_SECONDS: Final = 10.0
_COUNT: Final = re.compile(r'^cache_requests_total\{level="([^"]+)",result="([^"]+)"\} ([0-9]+)$', re.MULTILINE)

#: How often each level was asked, by level and result.
Counts = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Answer:
    """What a read got."""

    #: The level that had it.
    level: str
    value: str
    seconds: float


class Reader:
    """Reads keys of one namespace from one pod of the app."""

    def __init__(self, address: str, namespace: str, *, port: int = _PORT) -> None:
        self._namespace = namespace
        self._client = httpx.Client(base_url=f"http://{address}:{port}", timeout=_TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def read(self, keys: Iterable[str]) -> list[Answer]:
        """Read them, one after the other."""
        return [self._one(key) for key in keys]

    def counts(self) -> Counts:
        """What the app counted since it started."""
        return counts_of(self._client.get("/metrics").raise_for_status().text)

    def _one(self, key: str) -> Answer:
        began = time.monotonic()
        said = self._client.get(f"/cached/{self._namespace}/{key}").raise_for_status().json()
        return Answer(str(said["level"]), str(said["value"]), time.monotonic() - began)


def fill(url: str, host: str, namespace: str, keys: Iterable[str]) -> None:
    """Read keys through the gateway, as users do: whoever answers has them in its cache from then on."""
    with httpx.Client(base_url=url, headers={"host": host}, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        for key in keys:
            client.get(f"/cached/{namespace}/{key}").raise_for_status()


def addresses_of(api: Api, namespace: str, release: str) -> list[str]:
    """Addresses of the pods of a release that are ready."""
    found = api.list("Pod", namespace, f"sophia.ai/release={release}")
    there = [pod for pod in found if is_ready(pod) and not pod["metadata"].get("deletionTimestamp")]
    return [str(pod["status"]["podIP"]) for pod in there]


def counts_of(text: str) -> Counts:
    """The app's counters of its cache, in the text of its metrics."""
    return {(level, result): int(count) for level, result, count in _COUNT.findall(text)}


def hit_percent(before: Counts, after: Counts, first: str) -> float | None:
    """Share of the reads between two looks that did not get to the origin; None: nobody read.

    `first` is the level that is asked first: each read asks it once.
    """
    asked = sum(after[key] - before.get(key, 0) for key in after if key in ((first, "hit"), (first, "miss")))
    missed = after.get((ORIGIN, "hit"), 0) - before.get((ORIGIN, "hit"), 0)
    return 100 * (asked - missed) / asked if asked > 0 else None


def median_ms(answers: Sequence[Answer], level: str) -> float | None:
    """The median time of the reads that this level answered, in milliseconds; None: it answered none."""
    times = [answer.seconds for answer in answers if answer.level == level]
    return 1000 * statistics.median(times) if times else None
