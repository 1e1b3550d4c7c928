"""The objects as last seen by the watches or, if that is newer, as our own writes left them.

Objects are kept as compact JSON, which takes a fraction of the memory of parsed objects; a settled service is
never read. Whoever gets an object gets a copy of its own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.ports import Object
from sophia_operator.runtime.slim import config_hash, slim

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    uid: str
    version: int
    content: bytes
    service: str | None
    hash: str | None
    hostnames: tuple[str, ...] = ()

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
        self._by_service: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._by_hostname: dict[str, set[Name]] = defaultdict(set)

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
            service=(meta.get("labels") or {}).get(LABEL_SERVICE),
            hash=config_hash(obj),
            hostnames=_hostnames(obj),
        )
        if before is not None:
            self._forget(kind, name, before)
        self._entries[kind][name] = entry
        if entry.service is not None:
            self._by_service[kind, name[0], entry.service].add(name[1])
        for hostname in entry.hostnames:
            self._by_hostname[hostname].add(name)
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

    def children(self, kind: str, namespace: str, service: str) -> Sequence[Object]:
        """Objects of that kind that carry the service's label, by name."""
        names = self._by_service.get((kind, namespace, service), ())
        return [self._entries[kind][namespace, name].load() for name in sorted(names)]

    def all(self, kind: str) -> Sequence[Object]:
        """Every object of that kind."""
        return [entry.load() for entry in self._entries[kind].values()]

    def routes_for(self, hostname: str) -> Sequence[Object]:
        """HTTPRoutes that name this host name; those without any for the empty one."""
        return [self._entries["HTTPRoute"][name].load() for name in sorted(self._by_hostname.get(hostname, ()))]

    def config_hash(self, kind: str, namespace: str, name: str) -> str | None:
        """Hash of the content of a ConfigMap or Secret, or None when it is missing."""
        entry = self._entries[kind].get((namespace, name))
        return None if entry is None else entry.hash

    def generation(self, kind: str, namespace: str, name: str) -> int | None:
        """Generation of an object, or None when it is missing."""
        obj = self.get(kind, namespace, name)
        return None if obj is None else int(obj["metadata"].get("generation", 0))

    def versions(self, kind: str) -> Iterator[tuple[Name, str, int]]:
        """(namespace, name), uid and resource version of every object of that kind."""
        for name, entry in self._entries[kind].items():
            yield name, entry.uid, entry.version

    def _forget(self, kind: str, name: Name, entry: _Entry) -> None:
        if entry.service is not None:
            key = (kind, name[0], entry.service)
            self._by_service[key].discard(name[1])
            if not self._by_service[key]:
                del self._by_service[key]
        for hostname in entry.hostnames:
            self._by_hostname[hostname].discard(name)
            if not self._by_hostname[hostname]:
                del self._by_hostname[hostname]


def _version(obj: Mapping[str, Any]) -> int:
    version = obj["metadata"].get("resourceVersion", "0")
    return int(version) if version.isdigit() else 0


def _hostnames(obj: Mapping[str, Any]) -> tuple[str, ...]:
    if obj["kind"] != "HTTPRoute":
        return ()
    return tuple(obj.get("spec", {}).get("hostnames") or ("",))
