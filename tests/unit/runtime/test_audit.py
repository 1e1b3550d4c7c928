"""What a watch missed is found and mended; a watch that froze makes the process unhealthy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sophia_operator.ports import ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.audit import Audit
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Feed, Wakeups
from sophia_operator.runtime.watched import POOLS

APP = ("shop", "app")


def pod(name: str = "p", version: int = 5, namespace: str = "shop") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": str(version)}
    metadata["labels"] = {"sophia.ai/service": "app"}  # type: ignore[assignment]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": f"version {version}"}}


@dataclass
class Server:
    """What the API server has: pods only."""

    pods: list[dict[str, Any]] = field(default_factory=list)
    refuses: Refusal | None = None
    #: Kinds that may not be listed.
    forbids: set[str] = field(default_factory=set)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    async def list_metadata(
        self,
        api_version: str,  # noqa: ARG002 - the port's
        kind: str,
        namespace: str | None,
        *,
        labels: str = "",  # noqa: ARG002
        fields: str = "",  # noqa: ARG002
    ) -> Sequence[Object]:
        self.asked.append((kind, namespace))
        if kind.startswith("Gateway"):
            raise ClusterError(Refusal.NOT_FOUND, "not installed")
        if kind in self.forbids:
            raise ClusterError(Refusal.FORBIDDEN, "may not list")
        if self.refuses is not None:
            raise ClusterError(self.refuses, "no")
        return [{"metadata": p["metadata"]} for p in self.pods if kind == "Pod"]

    async def get(self, ref: ObjectRef) -> Object | None:
        self.read.append(ref.name)
        return next((p for p in self.pods if p["metadata"]["name"] == ref.name), None)


@dataclass
class Case:
    server: Server = field(default_factory=Server)
    store: ObjectStore = field(default_factory=ObjectStore)
    wakeups: Wakeups = field(default_factory=Wakeups)
    slept: list[float] = field(default_factory=list)
    namespaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.wakeups.event(APP)
        self.audit = Audit(self.store, Feed(self.store, self.wakeups), self.server, self.namespaces, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def woken(self) -> bool:
        event = self.wakeups.event(APP)
        was = event.is_set()
        event.clear()
        return was


@pytest.fixture
async def case() -> Case:
    """All is in order."""
    made = Case(Server([pod()]))
    made.store.put(pod())
    await made.audit.once()
    assert made.audit.synced
    return made


async def test_it_is_in_sync_once_the_store_holds_all_there_is() -> None:
    case = Case(Server([pod()]))
    await case.audit.once()
    assert not case.audit.synced
    case.store.put(pod())
    await case.audit.once()
    assert case.audit.synced


async def test_it_is_in_sync_though_the_newest_list_is_always_ahead() -> None:
    """Something changes all the time, and a healthy watch brings it a moment after the list."""
    case = Case(Server([pod(version=5)]))
    for version in (6, 7):
        await case.audit.once()
        assert not case.audit.synced
        case.server.pods = [pod(version=version), pod("new", version)]
    case.store.put(pod(version=5))
    await case.audit.once()
    assert case.audit.synced
    assert case.audit.trouble() is None


async def test_it_is_in_sync_when_what_was_missing_is_deleted_meanwhile() -> None:
    case = Case(Server([pod("short-lived")]))
    await case.audit.once()
    case.server.pods = [pod("next")]
    await case.audit.once()
    assert case.audit.synced


async def test_a_watch_that_is_frozen_from_the_start_is_reported_but_not_at_once() -> None:
    case = Case(Server([pod()]))
    for version in range(5, 12):
        case.server.pods = [pod(version=version)]
        await case.audit.once()
        assert case.audit.trouble() is None
    await case.audit.once()
    assert case.audit.trouble() == "watches make no progress"
    case.store.put(pod())
    await case.audit.once()
    assert case.audit.synced
    assert case.audit.trouble() is None


async def test_audits_come_less_and_less_often_until_it_is_in_sync() -> None:
    case = Case(Server(refuses=Refusal.FORBIDDEN))

    async def sleep(seconds: float) -> None:
        case.slept.append(seconds)
        if len(case.slept) == 11:
            raise asyncio.CancelledError

    case.audit._sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        await case.audit.run()
    assert case.slept == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert case.audit.trouble() is None


async def test_it_is_not_in_sync_while_something_cannot_be_listed() -> None:
    case = Case(Server(refuses=Refusal.FORBIDDEN))
    await case.audit.once()
    assert not case.audit.synced


async def test_a_deletion_that_was_missed_is_made_up_for(case: Case) -> None:
    case.server.pods.clear()
    await case.audit.once()
    assert case.store.get("Pod", "shop", "p") is None
    assert case.woken()
    assert case.audit.trouble() is None


async def test_an_object_that_only_the_list_does_not_have_yet_stays(case: Case) -> None:
    """Lists come from a cache, which may trail behind the watch."""
    case.store.put(pod("new", 9))
    case.server.read.clear()

    async def get(ref: ObjectRef) -> Object:
        return pod(ref.name, 9)

    case.server.get = get  # type: ignore[method-assign]
    await case.audit.once()
    assert case.store.get("Pod", "shop", "new") is not None


async def test_a_watch_that_is_slow_is_given_time(case: Case) -> None:
    case.server.pods = [pod(version=8)]

    async def catch_up(_: float) -> None:
        case.store.put(pod(version=8))

    case.audit._sleep = catch_up
    await case.audit.once()
    assert case.server.read == []
    assert case.audit.trouble() is None


async def test_a_watch_that_froze_is_helped_and_reported(case: Case) -> None:
    case.server.pods = [pod(version=8)]
    await case.audit.once()
    found = case.store.get("Pod", "shop", "p")
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "8"
    assert case.woken()
    assert case.audit.trouble() is None
    case.server.pods = [pod(version=9)]
    await case.audit.once()
    assert case.audit.trouble() == "watches make no progress"
    await case.audit.once()
    assert case.audit.trouble() is None


async def test_a_failing_list_changes_nothing(case: Case) -> None:
    case.server.refuses = Refusal.UNAVAILABLE
    case.server.pods.clear()
    await case.audit.once()
    assert case.store.get("Pod", "shop", "p") is not None


async def test_in_some_namespaces_each_is_listed_and_what_has_none_once() -> None:
    case = Case(namespaces=("a", "b"))
    await case.audit.once()
    assert ("Pod", "a") in case.server.asked
    assert ("Pod", "b") in case.server.asked
    assert ("Pod", None) not in case.server.asked
    assert case.server.asked.count(("GatewayClass", None)) == 1


async def test_it_is_in_sync_without_what_was_forbidden_from_the_start_and_starts_anew_when_that_is_allowed() -> None:
    case = Case(Server(forbids={"ConnectionPool"}))
    case.audit.leave_out([POOLS])
    await case.audit.once()
    assert case.audit.synced
    assert case.audit.trouble() is None
    case.server.forbids.clear()
    await case.audit.once()
    assert case.audit.trouble() == "what was forbidden may be watched now: connectionpools"
