"""Who is to look again when an object changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from sophia_operator.core.cache.names import LABEL_CACHE
from sophia_operator.core.model.names import LABEL_ROUTE
from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.runtime.recovery import news
from sophia_operator.runtime.slim import slim
from sophia_operator.runtime.store import ObjectStore, marks

#: Namespace and name of an object that has a loop.
Key = tuple[str, str]
#: Kind, namespace and name of something that an object depends on without owning it.
Dependency = tuple[str, str, str]

#: Stands for an HTTPRoute that claims a host name: (HOSTNAME, "", host name).
HOSTNAME: Final = "hostname"
#: Stands for what other ConnectionPools hold of a server: (SERVER, "", server key).
SERVER: Final = "server"
#: Stands for what the chains through a CacheTier say of it: (TIER, "", tier mark).
TIER: Final = "tier"
#: Stands for how far the releases are that are bound to a CacheTier: (BOUND, "", tier mark).
BOUND: Final = "bound"
#: Stands for the RecoveryActions about an object that were claimed: (ACTED, "", target mark).
ACTED: Final = "acted"
#: Stands for what policies look at in a namespace, but for its figures: (SYMPTOMS, "", namespace).
SYMPTOMS: Final = "symptoms"
#: Stands for what rollouts are held by in a namespace: acts, storms and symptoms (RECOVERY, "", namespace).
RECOVERY: Final = "recovery"


class Wakeups:
    """Of one kind: an event for each object that has a loop, and what else than its own objects it depends on."""

    def __init__(self, count: Callable[[str], None] = lambda _: None) -> None:
        self._count = count
        self._events: dict[Key, asyncio.Event] = {}
        self._dependencies: dict[Key, frozenset[Dependency]] = {}
        self._dependents: dict[Dependency, set[Key]] = defaultdict(set)

    def event(self, key: Key) -> asyncio.Event:
        """The event that wakes that object's loop."""
        return self._events.setdefault(key, asyncio.Event())

    def wake(self, key: Key, cause: str) -> None:
        """Let the object's loop look again, if it has one."""
        event = self._events.get(key)
        if event is not None:
            self._count(cause)
            event.set()

    def depend(self, key: Key, on: frozenset[Dependency]) -> None:
        """Replace what the object depends on."""
        before = self._dependencies.get(key, frozenset())
        if before == on:
            return
        for gone in before - on:
            self._dependents[gone].discard(key)
            if not self._dependents[gone]:
                del self._dependents[gone]
        for new in on - before:
            self._dependents[new].add(key)
        self._dependencies[key] = on

    def changed(self, dependency: Dependency, cause: str) -> None:
        """Wake everyone who depends on that."""
        for key in tuple(self._dependents.get(dependency, ())):
            self.wake(key, cause)

    def is_awaited(self, dependency: Dependency) -> bool:
        """Whether somebody depends on that."""
        return dependency in self._dependents

    def forget(self, key: Key) -> None:
        """The object has no loop any more."""
        self.depend(key, frozenset())
        self._dependencies.pop(key, None)
        self._events.pop(key, None)


class Feed:
    """Takes what the watches see, keeps it, and wakes whom it concerns."""

    def __init__(
        self,
        store: ObjectStore,
        services: Wakeups,
        pools: Wakeups | None = None,
        tiers: Wakeups | None = None,
        routes: Wakeups | None = None,
        *,
        policies: Wakeups | None = None,
        actions: Wakeups | None = None,
    ) -> None:
        self._store = store
        #: By the kind that has loops.
        self._loops = {
            "ManagedService": services,
            "ConnectionPool": pools or Wakeups(),
            "CacheTier": tiers or Wakeups(),
            "ModelRoute": routes or Wakeups(),
            "RecoveryPolicy": policies or Wakeups(),
            "RecoveryAction": actions or Wakeups(),
        }

    def seen(self, obj: Mapping[str, Any]) -> None:
        """An object is there, or changed."""
        compared = (obj["kind"] in _CLAIMS and marks(obj)) or self._awaited(obj)
        old = self._store.get(obj["kind"], *_name(obj)) if compared else None
        if self._store.put(obj):
            self._tell(obj, old)

    def gone(self, obj: Mapping[str, Any]) -> None:
        """An object was deleted."""
        if self._store.discard(obj):
            self._tell(obj, None)

    def _tell(self, obj: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        kind, (namespace, name) = obj["kind"], _name(obj)
        if kind in self._loops:
            self._loops[kind].wake((namespace, name), kind)
        labels = obj["metadata"].get("labels") or {}
        for owner, label in _LABELS.items():
            if label in labels:
                self._loops[owner].wake((namespace, labels[label]), kind)
        self._changed((kind, namespace, name), kind)
        if kind in _CLAIMS and _claim(obj) != _claim(old):
            for mark in {*marks(obj), *(marks(old) if old is not None else ())}:
                self._changed((_CLAIMS[kind], "", mark), kind)
        awaited = self._awaited(obj)
        new = slim(obj) if awaited else obj
        for what in awaited:
            if _OF_NAMESPACES[what](new) != _OF_NAMESPACES[what](old):
                self._changed((what, "", namespace), kind)

    def _awaited(self, obj: Mapping[str, Any]) -> tuple[str, ...]:
        """What of its namespace an object of that kind may change that somebody depends on."""
        namespace = obj["metadata"].get("namespace", "")
        kinds = ((SYMPTOMS, news.SEEN_BY_POLICIES), (RECOVERY, news.SEEN_BY_ROLLOUTS))
        return tuple(
            what
            for what, seen in kinds
            if obj["kind"] in seen and any(w.is_awaited((what, "", namespace)) for w in self._loops.values())
        )

    def _changed(self, dependency: Dependency, cause: str) -> None:
        for wakeups in self._loops.values():
            wakeups.changed(dependency, cause)


#: By the kind that has loops: the label on what belongs to one of it.
_LABELS: Final = {
    "ManagedService": LABEL_SERVICE,
    "ConnectionPool": LABEL_POOL,
    "CacheTier": LABEL_CACHE,
    "ModelRoute": LABEL_ROUTE,
}
#: Kinds that claim something which others depend on, and what that is called.
_CLAIMS: Final = {
    "HTTPRoute": HOSTNAME,
    "ConnectionPool": SERVER,
    "CacheTier": TIER,
    "Release": BOUND,
    "RecoveryAction": ACTED,
}
#: What of an object matters to those who depend on its namespace.
_OF_NAMESPACES: Final[Mapping[str, Callable[[Mapping[str, Any] | None], Any]]] = {
    SYMPTOMS: news.for_policies,
    RECOVERY: news.for_rollouts,
}

#: What a rollout waits for of a warm-up.
_WARMTH: Final = ("phase", "percent", "message")


def _name(obj: Mapping[str, Any]) -> tuple[str, str]:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _claim(obj: Mapping[str, Any] | None) -> Any:
    """What of a claim others look at: they are not woken for the rest."""
    if obj is None:
        return None
    status = obj.get("status") or {}
    if obj["kind"] == "ConnectionPool":
        return marks(obj), (status.get("budget") or {}).get("granted")
    if obj["kind"] == "CacheTier":
        numbers = {n["name"]: n.get("generation") for n in status.get("namespaces") or ()}
        warm = {w["release"]: [w.get(key) for key in _WARMTH] for w in status.get("warmUps") or ()}
        return obj["metadata"].get("generation"), numbers, warm, bool(obj["metadata"].get("deletionTimestamp"))
    if obj["kind"] == "Release":
        return marks(obj), status.get("state"), status.get("color"), status.get("weights")
    if obj["kind"] == "RecoveryAction":
        return news.for_target(obj)
    return obj["metadata"].get("generation")
