"""A cluster on which every rollout is over at once, and a load that has sent all its requests before it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from hack.cluster import bringup
from hack.cluster.providers import choose
from hack.demo import looking, play, result, venue
from hack.load import Record, Report
from hack.rig.api import ApiError
from hack.rig.waiting import until
from tests.support import objects
from tests.unit.demo.fake_chat import FakeChatRig
from tests.unit.demo.fake_healing import FakeHealingRig
from tests.unit.demo.fake_orders import FakeRig
from tests.unit.demo.fake_shelf import FakeShelfRig

Json = dict[str, Any]

ENDS: Final = {1: "Promoted", 2: "Promoted", 3: "RolledBack"}
#: Epoch seconds, while which the good release had 10 and then 100 percent, in steps of ten seconds.
BEGIN: Final = objects.NOW.timestamp()


def record(at: float = 0.0, release: str | None = "shop-1", status: int = 200, **changes: Any) -> Record:
    """A request that was answered at once, so many seconds after BEGIN."""
    started = BEGIN + at
    fields: Json = {"fault": None, "error": None, "fresh": False, "repeated": False, **changes}
    fields = {"scheduled": started, "started": started, "ended": started + 0.5, **fields}
    return Record(status=status, release=release, **fields)


#: The bad release spoils its first answer at 31 s and gives its last one at 34 s.
RECORDS: Final = (
    *(record(at) for at in range(9)),
    record(9, "shop-2"),
    *(record(at, "shop-2") for at in range(10, 20)),
    record(30, "shop-3"),
    record(31, "shop-3", 500),
    record(34, "shop-3"),
    record(35, "shop-2", repeated=True),
)
LOST: Final = record(36, None, 503)


class FakeApi:
    """What the demo asks of the API server. Each change of the service makes a release, which has ended already."""

    def __init__(self, ends: Mapping[int, str] = ENDS, *, left: Iterable[str] = ()) -> None:
        self.ends = ends
        self.namespaces = set(left)
        self.revisions = 0
        #: What happens when a revision is applied, before it is.
        self.before: dict[int, Callable[[], object]] = {}
        self.done: list[str] = []
        self.until = until
        #: The ConnectionPool, as it is whenever somebody looks.
        self.pool: Json | None = None
        #: The CacheTier of Redis nodes, as it is whenever somebody looks.
        self.tier: Json | None = None
        #: The ModelRoute, as it is whenever somebody looks.
        self.route: Json | None = None
        #: What evictions are answered with, before they are carried out.
        self.refusals: list[ApiError] = []

    def apply(self, obj: Json) -> Json:
        if obj["kind"] == "Namespace":
            name = obj["metadata"]["name"]
            self.done.append(f"make {name}")
            self.namespaces.add(name)
        else:
            self.before.get(self.revisions + 1, lambda: None)()
            self.revisions += 1
        return obj

    def get(self, kind: str, _namespace: str | None, name: str) -> Json | None:
        match kind:
            case "Namespace":
                return {"metadata": {"name": name}} if name in self.namespaces else None
            case "ManagedService":
                return self._service()
            case "ConnectionPool":
                return self.pool
            case "CacheTier":
                return self.tier
            case "ModelRoute":
                return self.route
        revision = int(name.removeprefix("shop-"))
        return self._release(revision) if revision <= self.revisions else None

    def list(self, *_: str) -> list[Json]:
        return [self._release(revision) for revision in range(1, self.revisions + 1)]

    def delete(self, _kind: str, _namespace: str | None, name: str) -> bool:
        self.done.append(f"delete {name}")
        self.namespaces.discard(name)
        return True

    def evict(self, _namespace: str, pod: str) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.done.append(f"evict {pod}")

    def __enter__(self) -> FakeApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.done.append("close")

    def _service(self) -> Json:
        ready = objects.condition("Ready", "True", "Settled", "it serves")
        stable = {"name": "shop-1", "revision": 1, "color": "blue", "weightPercent": 100, "phase": "Promoted"}
        return objects.service(name="shop", status=objects.status_of(ready, stable=stable))

    def _release(self, revision: int) -> Json:
        made = objects.release(revision, self.ends[revision], outcome=OUTCOME if revision == 3 else None)
        if revision == 2:
            made["status"]["transitions"] = [
                objects.transition(0, "Shifting", "WeightObserved", "", 10),
                objects.transition(-10, "Shifting", "WeightObserved", "", 100),
                objects.transition(-20, "Promoted", "Promoted", ""),
            ]
        made["metadata"]["name"] = f"shop-{revision}"
        return made


OUTCOME: Final = {"state": "RolledBack", "reason": "GateFailed", "message": "too many errors"}


class FakeLoad:
    """A load whose books are written."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)

    def report(self) -> Report:
        return Report.of(self.records)

    def __enter__(self) -> FakeLoad:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class FakeCluster:
    """A machine without a cluster, or with one, and what the demo does to it."""

    name = "node"

    def __init__(self, api: FakeApi, records: Iterable[Record] = RECORDS) -> None:
        self.api = api
        self.records = records
        self.rig = FakeRig(api)
        self.shelf = FakeShelfRig(api)
        self.chat = FakeChatRig(api)
        self.healing = FakeHealingRig()
        self.is_up = False
        self.reachable: Callable[[], object] = lambda: None
        self.up: Callable[[], object] = lambda: None
        self.down: Callable[[], object] = lambda: None

    def problems(self) -> list[str] | None:
        return [] if self.is_up else None

    def install(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        """Put it in the place of the real one."""

        def up() -> None:
            self.api.done.append("up")
            self.is_up = True
            self.up()

        def down() -> None:
            self.api.done.append("down")
            self.is_up = False
            self.down()

        def wait_reachable(url: str, host: str) -> None:
            self.api.done.append(f"wait for {host} at {url}")
            self.reachable()

        def load(*_: object, **__: object) -> FakeLoad:
            self.api.done.append("load")
            return FakeLoad(self.records)

        patch.setattr(bringup, "up", up)
        patch.setattr(bringup, "down", down)
        patch.setattr(bringup, "gateway_url", lambda: "http://192.0.2.1")
        patch.setattr(choose, "remembered", lambda: self if self.is_up else None)
        patch.setattr(venue, "Api", lambda *_: self.api)
        patch.setattr(play, "Load", load)
        patch.setattr(play, "wait_reachable", wait_reachable)
        patch.setattr(play, "_AFTER_SECONDS", 0.0)
        patch.setattr(looking, "LOOK_SECONDS", 0.01)
        self.rig.install(patch)
        self.shelf.install(patch)
        self.chat.install(patch)
        self.healing.install(patch)
        patch.setattr(result, "OUT", folder / "out" / "demo.json")
