"""The objects as last seen by the watches or, if that is newer, as our own writes left them.

Objects are kept as compact JSON, which takes a fraction of the memory of parsed objects; a settled service is
never read. Whoever gets an object gets a copy of its own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sophia_operator.core.cache.names import LABEL_CACHE
from sophia_operator.core.cache.places import place_of
from sophia_operator.core.model.names import LABEL_ROUTE
from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.core.pool.servers import server_key
from sophia_operator.ports import Object
from sophia_operator.runtime.recovery import marks as recovery_marks
from sophia_operator.runtime.slim import config_hash, slim

Name = tuple[str, str]

#: Labels that name the object that another one belongs to.
OWNER_LABELS: Final = (LABEL_SERVICE, LABEL_POOL, LABEL_CACHE, LABEL_ROUTE)

#: Kinds whose objects recovery looks at namespace by namespace.
_BY_NAMESPACE: Final = (*recovery_marks.TARGET_KINDS, "RecoveryPolicy", "RecoveryAction")


@dataclass(frozen=True, slots=True)
class _Entry:
    uid: str
    version: int
    content: bytes
    #: Label and value of each owner label.
    owners: tuple[tuple[str, str], ...]
    hash: str | None
    #: What it is found by beside its name, as `marks` has it.
    marks: tuple[str, ...] = ()
    #: What others read of it all the time, so that the rest need not be parsed for it.
    fact: str | int | None = None

    def load(self) -> dict[str, Any]:
        obj: dict[str, Any] = json.loads(self.content)
        obj["metadata"]["resourceVersion"] = str(self.version)
        return obj


class ObjectStore:
    """Implements ports.Store. It is fed by events and by the answers to our own writes; the newer one counts.

    Resource versions are compared as numbers, as the Kubernetes API allows. Not for use by several threads.
    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[Name, _Entry]] = defaultdict(dict)
        self._by_owner: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
        self._by_mark: dict[tuple[str, str], set[Name]] = defaultdict(set)
        self._by_namespace: dict[tuple[str, str], set[Name]] = defaultdict(set)

    def put(self, obj: Mapping[str, Any]) -> bool:
        """Take note of an object. Returns whether it says anything new: an older or equal version does not."""
        meta = obj["metadata"]
        kind, name = obj["kind"], (meta.get("namespace", ""), meta["name"])
        version = _version(obj)
        before = self._entries[kind].get(name)
        if before is not None and before.version >= version:
            return False
        content = json.dumps(slim(obj), separators=(",", ":"), ensure_ascii=False).encode()
        entry = _Entry(
            uid=meta.get("uid", ""),
            version=version,
            content=content,
            owners=_owners(obj),
            hash=config_hash(obj),
            marks=(*marks(obj), *recovery_marks.marks_of(obj)),
            fact=_fact(obj),
        )
        if before is not None:
            self._forget(kind, name, before)
        self._entries[kind][name] = entry
        for label, owner in entry.owners:
            self._by_owner[kind, name[0], label, owner].add(name[1])
        for mark in entry.marks:
            self._by_mark[kind, mark].add(name)
        if kind in _BY_NAMESPACE:
            self._by_namespace[kind, name[0]].add(name)
        return before is None or (before.uid, before.content, before.hash) != (entry.uid, entry.content, entry.hash)

    def discard(self, obj: Mapping[str, Any]) -> bool:
        """Take note that an object is gone. Another object of that name, or a newer version, stays. Returns
        whether there was anything to forget."""
        meta = obj["metadata"]
        kind, name = obj["kind"], (meta.get("namespace", ""), meta["name"])
        before = self._entries[kind].get(name)
        if before is None or (meta.get("uid") and before.uid != meta["uid"]) or before.version > _version(obj):
            return False
        self._forget(kind, name, before)
        del self._entries[kind][name]
        return True

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        entry = self._entries[kind].get((namespace, name))
        return None if entry is None else entry.load()

    def children(self, kind: str, namespace: str, owner: str, label: str = LABEL_SERVICE) -> Sequence[Object]:
        """Objects of that kind that carry the owner's name in that label, by name."""
        names = self._by_owner.get((kind, namespace, label, owner), ())
        return [self._entries[kind][namespace, name].load() for name in sorted(names)]

    def all(self, kind: str) -> Sequence[Object]:
        """Every object of that kind."""
        return [entry.load() for entry in self._entries[kind].values()]

    def routes_for(self, hostname: str) -> Sequence[Object]:
        """HTTPRoutes that name this host name; those without any for the empty one."""
        return self._marked("HTTPRoute", hostname)

    def granted_at(self, server: str) -> Sequence[tuple[Name, int]]:
        """ConnectionPools whose spec names that server, as `core.pool.servers.server_key` has it, in the order of their
        names: each with the connections that it is granted. Nothing is parsed for it."""
        pools = self._entries["ConnectionPool"]
        return [
            (name, int(pools[name].fact or 0)) for name in sorted(self._by_mark.get(("ConnectionPool", server), ()))
        ]

    def releases_of(self, namespace: str, tier: str) -> Sequence[Object]:
        """Releases whose snapshot is bound to that CacheTier."""
        return self._marked("Release", tier_mark(namespace, tier))

    def tiers_at(self, place: str) -> Sequence[Object]:
        """CacheTiers that keep keys in that place, as `core.cache.places.place_of` has it."""
        return self._marked("CacheTier", place)

    def addresses_of(self, namespace: str, owner: str, label: str) -> frozenset[str]:
        """Addresses of the pods that carry the owner's name in that label. Nothing is parsed for it."""
        names = self._by_owner.get(("Pod", namespace, label, owner), ())
        found = (self._entries["Pod"][namespace, name].fact for name in names)
        return frozenset(address for address in found if isinstance(address, str))

    def in_namespace(self, kind: str, namespace: str) -> Sequence[Object]:
        """Objects of that namespace, by name: of a kind that recovery acts on, of its policies, or of its actions."""
        return [self._entries[kind][name].load() for name in sorted(self._by_namespace.get((kind, namespace), ()))]

    def names_in(self, kind: str, namespace: str) -> Sequence[str]:
        """Their names. Nothing is parsed for it."""
        return sorted(name for _, name in self._by_namespace.get((kind, namespace), ()))

    def acts_on(self, kind: str, namespace: str, name: str) -> Sequence[Object]:
        """RecoveryActions whose target that object is."""
        return self._marked("RecoveryAction", recovery_marks.target_mark(namespace, kind, name))

    def acting_in(self, namespace: str) -> Sequence[Object]:
        """RecoveryActions of the namespace that were claimed and are not over."""
        return self._marked("RecoveryAction", recovery_marks.acting_mark(namespace))

    def moving_in(self, namespace: str) -> Sequence[Object]:
        """Releases of the namespace whose rollout is under way."""
        return self._marked("Release", recovery_marks.moving_mark(namespace))

    def claims_since(self, since: datetime, now: datetime) -> Iterator[tuple[Name, datetime]]:
        """RecoveryActions that count against budgets and were claimed since then, and when. Nothing is parsed."""
        first = recovery_marks.milliseconds(since)
        for mark in recovery_marks.claim_marks(since, now):
            for name in self._by_mark.get(("RecoveryAction", mark), ()):
                claimed = self._entries["RecoveryAction"][name].fact
                if isinstance(claimed, int) and claimed > first:
                    yield name, recovery_marks.moment(claimed)

    def config_hash(self, kind: str, namespace: str, name: str) -> str | None:
        """Hash of the content of a ConfigMap or Secret, or None when it is missing."""
        entry = self._entries[kind].get((namespace, name))
        return None if entry is None else entry.hash

    def generation(self, kind: str, namespace: str, name: str) -> int | None:
        """Generation of an object, or None when it is missing."""
        obj = self.get(kind, namespace, name)
        return None if obj is None else int(obj["metadata"].get("generation", 0))

    def version(self, kind: str, namespace: str, name: str) -> int | None:
        """Resource version of an object, or None when it is missing. Nothing is parsed for it."""
        entry = self._entries[kind].get((namespace, name))
        return None if entry is None else entry.version

    def versions(self, kind: str) -> Iterator[tuple[Name, str, int]]:
        """(namespace, name), uid and resource version of every object of that kind."""
        for name, entry in self._entries[kind].items():
            yield name, entry.uid, entry.version

    def _marked(self, kind: str, mark: str) -> Sequence[Object]:
        return [self._entries[kind][name].load() for name in sorted(self._by_mark.get((kind, mark), ()))]

    def _forget(self, kind: str, name: Name, entry: _Entry) -> None:
        for label, owner in entry.owners:
            key = (kind, name[0], label, owner)
            self._by_owner[key].discard(name[1])
            if not self._by_owner[key]:
                del self._by_owner[key]
        for mark in entry.marks:
            self._by_mark[kind, mark].discard(name)
            if not self._by_mark[kind, mark]:
                del self._by_mark[kind, mark]
        if kind in _BY_NAMESPACE:
            self._by_namespace[kind, name[0]].discard(name)
            if not self._by_namespace[kind, name[0]]:
                del self._by_namespace[kind, name[0]]


def _version(obj: Mapping[str, Any]) -> int:
    version = obj["metadata"].get("resourceVersion", "0")
    return int(version) if version.isdigit() else 0


def _owners(obj: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    labels = obj["metadata"].get("labels") or {}
    return tuple((label, labels[label]) for label in OWNER_LABELS if label in labels)


def _fact(obj: Mapping[str, Any]) -> str | int | None:
    """The connections that a ConnectionPool is granted; the address of a pod of one; when a RecoveryAction was claimed,
    if it counts against budgets."""
    status = obj.get("status") or {}
    if obj["kind"] == "ConnectionPool":
        return int((status.get("budget") or {}).get("granted") or 0)
    if obj["kind"] == "Pod" and LABEL_POOL in (obj["metadata"].get("labels") or {}):
        return status.get("podIP") or None
    if obj["kind"] == "RecoveryAction":
        return recovery_marks.claim(obj)
    return None


def marks(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """The host names that an HTTPRoute claims (the empty one when it claims all), the server of a ConnectionPool, the
    CacheTier itself and the place that it may share with others, those that a Release is bound to, or the target of a
    RecoveryAction."""
    spec, namespace = obj.get("spec") or {}, obj["metadata"].get("namespace", "")
    if obj["kind"] == "HTTPRoute":
        return tuple(spec.get("hostnames") or ("",))
    if obj["kind"] == "ConnectionPool":
        database = spec.get("database") or {}
        if "host" in database:
            return (server_key(namespace, database["host"], int(database.get("port", 5432))),)
    if obj["kind"] == "CacheTier":
        place = place_of(namespace, spec)
        return (tier_mark(namespace, obj["metadata"]["name"]), *([place] if place is not None else []))
    if obj["kind"] == "Release":
        bindings = (spec.get("snapshot") or {}).get("bindings") or ()
        tiers = (part for b in bindings if b.get("kind") == "CacheTier" for part in (b, *(b.get("levels") or ())))
        return tuple({tier_mark(namespace, part["name"]): None for part in tiers})
    if obj["kind"] == "RecoveryAction":
        target = recovery_marks.target_of(obj)
        return () if target is None else (recovery_marks.target_mark(namespace, *target),)
    return ()


def tier_mark(namespace: str, name: str) -> str:
    """What stands for a CacheTier among marks."""
    return f"{namespace}/{name}"
