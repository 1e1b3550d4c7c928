"""Brings the cluster to what rendering desires: writes on drift only, and only what is ours."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.core import drift
from sophia_operator.core.render import ChildRef
from sophia_operator.core.views import Blocker
from sophia_operator.ports import Cluster, ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.ownership import describe_owner, is_ours
from sophia_operator.runtime.slim import CONFIG_KINDS, config_hash
from sophia_operator.runtime.store import ObjectStore

logger = logging.getLogger(__name__)

#: Of ConfigMaps and Secrets the store keeps a hash only, so this much is compared by it.
_CONTENT: Final = ("data", "binaryData", "type", "immutable")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose objects are brought."""

    kind: str
    namespace: str
    name: str
    #: The label that carries the name on everything that belongs to it.
    label: str
    #: Its own uid, and those of objects of its own that own others in turn.
    uids: frozenset[str]
    #: What people call it, as in "this service's".
    noun: str

    def has(self, obj: Mapping[str, Any]) -> bool:
        """Whether the object is its own."""
        return is_ours(obj, self.name, self.uids, self.label)


@dataclass(slots=True)
class Applied:
    """What came of it."""

    writes: int = 0
    errors: list[ClusterError] = field(default_factory=list)


class Applier:
    """Applies the objects of one owner, and remembers what stood in the way.

    `note` takes what the API server answers; the store does when nobody is to be woken by it.
    """

    def __init__(
        self, cluster: Cluster, store: ObjectStore, note: Callable[[Mapping[str, Any]], object] | None = None
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._note = note if note is not None else store.put
        self._fingerprints: dict[tuple[str, str], str] = {}
        self._blockers: dict[tuple[str, str], Blocker] = {}

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """What stands in the way, for the next pass to tell."""
        return tuple(blocker for _, blocker in sorted(self._blockers.items()))

    async def bring(self, owner: Owner, objects: Iterable[Mapping[str, Any]], out: Applied | None = None) -> Applied:
        """Make the cluster hold the objects. One object's failure keeps no other from being written."""
        out = out if out is not None else Applied()
        for obj in objects:
            await self.guard(out, obj["kind"], obj["metadata"]["name"], self._apply(owner, obj))
        return out

    async def remove(self, owner: Owner, children: Iterable[ChildRef], out: Applied) -> None:
        """Delete what is not desired any more, once everything else went well."""
        if out.errors or self._blockers:
            return
        for child in children:
            await self.guard(out, child.kind, child.name, self._delete(owner, child))

    async def guard(self, out: Applied, kind: str, name: str, work: Awaitable[int]) -> None:
        """Do a piece of work that answers with the number of its writes, and take note of how it failed."""
        try:
            out.writes += await work
        except ClusterError as error:
            logger.warning("%s %s: %s", kind, name, error, extra={"reason": error.refusal.value})
            out.errors.append(error)
            if error.refusal in (Refusal.INVALID, Refusal.FORBIDDEN):
                message = f"the API server refuses {kind} {name}: {error.message}"
                self._blockers[kind, name] = Blocker(Reason.API_ERROR, message[:4096])
            return
        blocker = self._blockers.get((kind, name))
        if blocker is not None and blocker.reason is Reason.API_ERROR:
            del self._blockers[kind, name]

    async def live(self, owner: Owner, api_version: str, kind: str, name: str) -> Object | None:
        """The object as it is. The store holds labelled objects only, so a miss is asked about."""
        found = self._store.get(kind, owner.namespace, name)
        if found is None:
            found = await self._cluster.get(ObjectRef(api_version, kind, owner.namespace, name))
        return found

    def may_write(self, owner: Owner, live: Object) -> bool:
        """Whether the object is the owner's; else it stands in the way from now on."""
        kind, name = live["kind"], live["metadata"]["name"]
        if owner.has(live):
            self._blockers.pop((kind, name), None)
            return True
        message = (
            f"{kind} {name} exists and is not this {owner.noun}'s ({describe_owner(live)}): "
            f"remove it, or rename the {owner.kind}"
        )
        self._blockers[kind, name] = Blocker(Reason.NOT_OWNED, message)
        return False

    def keep_only(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Drop what is remembered about objects (by kind and name) that are not desired any more."""
        kept = set(wanted)
        for memory in (self._fingerprints, self._blockers):
            for gone in [key for key in memory if key not in kept]:
                del memory[gone]

    async def _apply(self, owner: Owner, obj: Mapping[str, Any]) -> int:
        kind, name = obj["kind"], obj["metadata"]["name"]
        live = await self.live(owner, obj["apiVersion"], kind, name)
        if live is None:
            self._blockers.pop((kind, name), None)
        elif not self.may_write(owner, live):
            return 0
        elif live["metadata"].get("deletionTimestamp"):
            return 0  # what is going away is made anew once it is gone
        if kind in CONFIG_KINDS:
            return await self._apply_config(obj, live)
        if not drift.needs_apply(obj, live, self._fingerprints.get((kind, name))):
            return 0
        if live is not None:
            logger.info("%s %s differs: %s", kind, name, drift.first_difference(obj, live) or "by its hash")
        answer = await self._cluster.apply(drift.stamped(obj))
        self._note(answer)
        self._fingerprints[kind, name] = drift.fingerprint(answer)
        return 1

    async def _apply_config(self, obj: Mapping[str, Any], live: Object | None) -> int:
        """A Secret gets no hash in an annotation, where more people can read it than the Secret: it would tell
        whether a guess of its content is right."""
        kind, namespace, name = obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]
        if live is not None:
            known = self._store.config_hash(kind, namespace, name) or config_hash(live)
            rest = {key: value for key, value in obj.items() if key not in _CONTENT}
            if known == config_hash(obj) and drift.matches(rest, live):
                return 0
            logger.info("%s %s differs", kind, name)
        answer = await self._cluster.apply(obj)
        writes = 1
        if live is not None and config_hash(answer) != config_hash(obj):
            # An apply leaves keys that others added. With them it would differ for ever.
            logger.info("%s %s holds keys of somebody else, and is made anew", kind, name)
            meta = answer["metadata"]
            await self._cluster.delete(ObjectRef("v1", kind, meta["namespace"], meta["name"], meta["uid"]))
            self._store.discard(answer)
            answer = await self._cluster.apply(obj)
            writes = 3
        self._note(answer)
        return writes

    async def _delete(self, owner: Owner, child: ChildRef) -> int:
        live = self._store.get(child.kind, owner.namespace, child.name)
        if live is None or live["metadata"].get("deletionTimestamp") or not owner.has(live):
            return 0
        ref = ObjectRef(child.api_version, child.kind, owner.namespace, child.name, live["metadata"]["uid"])
        await self._cluster.delete(ref)
        self._store.discard(live)
        self._fingerprints.pop((child.kind, child.name), None)
        return 1


def worst(errors: Iterable[ClusterError]) -> ClusterError | None:
    """The error that decides how long to wait: a server that does not answer outweighs one that refuses."""
    return min(errors, key=lambda e: e.refusal is not Refusal.UNAVAILABLE, default=None)
