"""A cache whose primary hands over at once, whose flush is done when it is asked for, and pods that answer reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest

from hack.demo import cached_reads, shelf
from hack.demo.cached_reads import Answer, Counts
from hack.rig import caches
from hack.rig.cache_writes import Books
from tests.support import objects

Json = dict[str, Any]
READY: Final = objects.condition("Ready", "True", "TierReady", "clients are served")
#: The good release has its first weight at NOW.
WARM: Final = {
    "release": "shop-2",
    "phase": "Done",
    "percent": 100,
    "warmed": 60,
    "startedAt": objects.ago(6),
    "endedAt": objects.ago(4),
}
#: Planned, in 2 s.
PAST: Final = {
    "cause": "the pod of hot-cache-0 is on its way out",
    "planned": True,
    "fromNode": "hot-cache-0",
    "toNode": "hot-cache-1",
    "startedAt": objects.ago(3),
    "endedAt": objects.ago(1),
}
#: In 6 s.
FLUSHED: Final = {
    "name": "old-pages",
    "phase": "Done",
    "deleted": 4000,
    "startedAt": objects.ago(7),
    "endedAt": objects.ago(1),
}
BOOKS: Final = Books(tuple(range(1000)), ("ReadOnlyError: no writes",) * 3, 0.75)


def tier(*conditions: Json, **status: Any) -> Json:
    """The CacheTier `hot`, as the rig applies it, and what the operator says of it."""
    made = caches.tier("hot", "sophia-demo")
    made["metadata"]["generation"] = 1
    made["status"] = {
        "observedGeneration": 1,
        "primary": "hot-cache-1",
        "ready": "2/2",
        "warmUps": [WARM],
        "conditions": list(conditions) or [READY],
        **status,
    }
    return made


class FakeShelfRig:
    """What the demo asks of the cache, of who writes to it, and of the pods. `api` holds what is said of the tier."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.tier: Json = tier()
        self.past: Json = PAST
        self.flushed: Json = FLUSHED
        self.accounts: Books = BOOKS
        self.lost: list[int] = []
        self.left = 0
        #: Whether proxies never hear of the tier's pods.
        self.late = False
        #: Levels that answer: of what was there before, of what nobody read yet, and then of the same once more, twice.
        self.levels = ["hot", "origin", "hot", "local"]
        self.answering = iter(self.levels)
        self.seconds = {"origin": 0.05, "hot": 0.004, "local": 0.001}
        self.pods = ["192.0.2.20", "192.0.2.21"]
        self.done: list[str] = []
        self.coming: Callable[[], object] = lambda: None
        self.switching: Callable[[], object] = lambda: None

    # -- The cache ----------------------------------------------------------------------------------------------------

    def apply(self, name: str, **spec: Any) -> None:
        self.done.append(f"apply {name}")
        if name == "hot":
            assert spec["warmUp"], "nothing would warm a release"
            self.api.tier = self.tier
            self.answering = iter(self.levels)

    def wait_ready(self, *, seconds: float) -> None:
        assert seconds > 0
        self.coming()
        self.done.append("ready")

    def wait_served(self) -> None:
        self.done.append("served")
        if self.late:
            raise TimeoutError("waited 20 s for the Service of hot to lead to its primary")

    def service_address(self) -> str:
        return "192.0.2.10"

    def fill(self, count: int, **_: Any) -> None:
        self.done.append(f"fill {count}")

    def client(self) -> None:
        raise AssertionError("nobody connects")

    def primary(self) -> str:
        return "hot-cache-0"

    def wait_failed_over(self, _since: float, *, seconds: float) -> Json:
        assert seconds > 0
        self.switching()
        return self.past

    def patch(self, *, flush: Json) -> None:
        self.done.append(f"flush {flush['namespaceName']} at {flush['keysPerSecond']}")

    def wait_flushed(self, name: str) -> Json:
        assert name == self.flushed["name"]
        return self.flushed

    def count(self, _pattern: str) -> int:
        return self.left

    # -- Who writes ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.done.append("start writing")

    def wait_more(self, count: int) -> None:
        assert count > 0

    def books(self) -> Books:
        return self.accounts

    def ask_to_stop(self) -> None:
        self.done.append("ask the writer to stop")

    def stop(self) -> None:
        self.done.append("stop writing")

    def missing(self) -> list[int]:
        return self.lost

    # -- Who reads ----------------------------------------------------------------------------------------------------

    def primed(self, url: str, host: str, _namespace: str, keys: Iterable[str]) -> None:
        assert url == "http://192.0.2.1/", "not through the gateway"
        self.done.append(f"{len(list(keys))} reads of {host}")

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the real ones."""
        patch.setattr(shelf, "Cache", lambda _api, _namespace, name: FakeTier(self, name))
        patch.setattr(shelf, "CacheWrites", lambda _connect: self)
        patch.setattr(shelf, "Reader", lambda address, _namespace: FakeReader(self, address))
        patch.setattr(cached_reads, "fill", self.primed)
        patch.setattr(cached_reads, "addresses_of", lambda *_: self.pods)


class FakeTier:
    """One of the tiers of a rig."""

    def __init__(self, rig: FakeShelfRig, name: str) -> None:
        self._rig = rig
        self._name = name

    def apply(self, **spec: Any) -> None:
        self._rig.apply(self._name, **spec)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rig, name)


class FakeReader:
    """A pod of the app: each round of reads is answered by the level that the rig says next."""

    def __init__(self, rig: FakeShelfRig, address: str) -> None:
        assert address in rig.pods
        self._rig = rig
        self._counts = {("local", "hit"): 0, ("local", "miss"): 0, ("origin", "hit"): 0}

    def __enter__(self) -> FakeReader:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, keys: Iterable[str]) -> list[Answer]:
        level, count = next(self._rig.answering), len(list(keys))
        self._counts["local", "hit" if level == "local" else "miss"] += count
        self._counts["origin", "hit"] += count if level == "origin" else 0
        return [Answer(level, "x", self._rig.seconds[level])] * count

    def counts(self) -> Counts:
        return dict(self._counts)
