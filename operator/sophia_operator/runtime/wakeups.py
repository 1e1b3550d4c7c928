"""Who is to look again when an object changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.runtime.store import ObjectStore

#: Namespace and name of a ManagedService.
ServiceKey = tuple[str, str]
#: Kind, namespace and name of something that a service depends on without owning it.
Dependency = tuple[str, str, str]

#: Stands for an HTTPRoute that claims a host name: (HOSTNAME, "", host name).
HOSTNAME: Final = "hostname"


class Wakeups:
    """One event per service that runs a loop, and what else than its own objects it depends on."""

    def __init__(self, count: Callable[[str], None] = lambda _: None) -> None:
        self._count = count
        self._events: dict[ServiceKey, asyncio.Event] = {}
        self._dependencies: dict[ServiceKey, frozenset[Dependency]] = {}
        self._dependents: dict[Dependency, set[ServiceKey]] = defaultdict(set)

    def event(self, service: ServiceKey) -> asyncio.Event:
        """The event that wakes the loop of that service."""
        return self._events.setdefault(service, asyncio.Event())

    def wake(self, service: ServiceKey, cause: str) -> None:
        """Let the service look again, if it runs a loop."""
        event = self._events.get(service)
        if event is not None:
            self._count(cause)
            event.set()

    def depend(self, service: ServiceKey, on: frozenset[Dependency]) -> None:
        """Replace what the service depends on."""
        before = self._dependencies.get(service, frozenset())
        if before == on:
            return
        for gone in before - on:
            self._dependents[gone].discard(service)
            if not self._dependents[gone]:
                del self._dependents[gone]
        for new in on - before:
            self._dependents[new].add(service)
        self._dependencies[service] = on

    def changed(self, dependency: Dependency, cause: str) -> None:
        """Wake everyone who depends on that."""
        for service in tuple(self._dependents.get(dependency, ())):
            self.wake(service, cause)

    def forget(self, service: ServiceKey) -> None:
        """The service runs no loop any more."""
        self.depend(service, frozenset())
        self._dependencies.pop(service, None)
        self._events.pop(service, None)


class Feed:
    """Takes what the watches see, keeps it, and wakes whom it concerns."""

    def __init__(self, store: ObjectStore, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups

    def seen(self, obj: Mapping[str, Any]) -> None:
        """An object is there, or changed."""
        old = self._store.get("HTTPRoute", *_name(obj)) if obj["kind"] == "HTTPRoute" else None
        if self._store.put(obj):
            self._tell(obj, old)

    def gone(self, obj: Mapping[str, Any]) -> None:
        """An object was deleted."""
        if self._store.discard(obj):
            self._tell(obj, None)

    def _tell(self, obj: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        kind, (namespace, name) = obj["kind"], _name(obj)
        if kind == "ManagedService":
            self._wakeups.wake((namespace, name), kind)
            return
        service = (obj["metadata"].get("labels") or {}).get(LABEL_SERVICE)
        if service is not None:
            self._wakeups.wake((namespace, service), kind)
        self._wakeups.changed((kind, namespace, name), kind)
        if kind == "HTTPRoute" and _generation(obj) != _generation(old):
            for hostname in {*_hostnames(obj), *_hostnames(old)}:
                self._wakeups.changed((HOSTNAME, "", hostname), kind)


def _name(obj: Mapping[str, Any]) -> tuple[str, str]:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _generation(obj: Mapping[str, Any] | None) -> int | None:
    return None if obj is None else obj["metadata"].get("generation")


def _hostnames(obj: Mapping[str, Any] | None) -> tuple[str, ...]:
    return () if obj is None else tuple(obj.get("spec", {}).get("hostnames") or ("",))
