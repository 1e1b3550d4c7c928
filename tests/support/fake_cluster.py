"""An API server in memory that refuses what the real one refuses. Implements ports.Cluster.

Objects are never changed in place, so an answer or an event stays as it was. Watches are fed with `watch`; with
`lagging` set they trail behind until `deliver` is called, each kind in its own order. Every call goes by `hook`, which
may let it fail, or end the process before or after its effect.
"""

from __future__ import annotations

import functools
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

from sophia_operator.core.decision import Notice
from sophia_operator.core.names import MANAGER
from sophia_operator.ports import ClusterError, Object, ObjectRef, Refusal
from sophia_operator.runtime.watched import ALL
from tests.support import fake_cluster_fields
from tests.support.fake_cluster_schema import InvalidError, admit

Key = tuple[str, str, str]
_T = TypeVar("_T")

#: What was created is owned as by an update: a later apply by the same manager takes none of it away.
CREATED: Final = f"{MANAGER} (update)"
STATUS_MANAGER: Final = f"{MANAGER}-status"
_WITH_STATUS: Final = frozenset(
    {
        *("ManagedService", "Release", "ConnectionPool", "CacheTier", "ModelRoute"),
        *("Deployment", "StatefulSet", "HTTPRoute", "Pod", "Gateway", "PodDisruptionBudget"),
    }
)
_NO_GENERATION: Final = frozenset({"ConfigMap", "Secret", "Service", "Pod", "EndpointSlice"})
_SELECTORS: Final = {w.kind: w.label_selector for w in ALL}


class CrashError(BaseException):
    """The process ends here. Not an Exception: nothing in the operator may survive it."""


def is_crash(error: BaseException) -> bool:
    """Whether the process ended, in one of its tasks or at once."""
    group = isinstance(error, BaseExceptionGroup) and error.subgroup(CrashError) is not None
    return group or isinstance(error, CrashError)


class Fault(StrEnum):
    """What happens to a call."""

    CRASH_BEFORE = "crash before"  # the process ends, the call has no effect
    CRASH_AFTER = "crash after"  # the call has its effect, and the process ends
    UNAVAILABLE = "unavailable"  # no effect, no answer
    LOST_ANSWER = "lost answer"  # the call has its effect, the answer is lost
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    INVALID = "invalid"


_REFUSALS: Final = {
    Fault.UNAVAILABLE: Refusal.UNAVAILABLE,
    Fault.CONFLICT: Refusal.CONFLICT,
    Fault.FORBIDDEN: Refusal.FORBIDDEN,
    Fault.INVALID: Refusal.INVALID,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the operator. `number` counts all calls, `write` counts the writes, both from 1."""

    number: int
    write: int | None
    verb: str
    kind: str
    name: str


class Watcher(Protocol):
    """Takes events, as runtime.wakeups.Feed does."""

    def seen(self, obj: Mapping[str, Any]) -> None:
        """An object is there, or changed."""

    def gone(self, obj: Mapping[str, Any]) -> None:
        """An object was deleted."""


@dataclass(slots=True)
class FakeCluster:
    """The API server."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    #: Decides about each call before it happens; may also change objects, as another writer would.
    hook: Callable[[Call], Fault | None] = lambda _: None
    #: Refuses objects, as admission webhooks do: says why, or None.
    admission: Callable[[Object], str | None] = lambda _: None
    lagging: bool = False
    #: Pods that are deleted stay until their process ended: whoever runs it removes them.
    lingering: Callable[[Object], bool] = lambda _: False
    calls: list[Call] = field(default_factory=list)
    events: list[tuple[ObjectRef, Notice]] = field(default_factory=list)
    _objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    _managers: dict[Key, dict[str, frozenset[fake_cluster_fields.Path]]] = field(default_factory=dict)
    _pending: dict[str, deque[tuple[bool, Object]]] = field(default_factory=dict)
    _watcher: Watcher | None = None
    _version: int = 1000
    _made: int = 0
    _writes: int = 0

    # What the operator calls

    async def apply(self, obj: Object, *, dry_run: bool = False) -> Object:
        """As in ports.Cluster."""
        return self._run("dry-run" if dry_run else "apply", obj, lambda: self._apply(obj, MANAGER, dry_run))

    async def create(self, obj: Object) -> Object:
        """As in ports.Cluster."""
        return self._run("create", obj, lambda: self.add(obj, manager=CREATED))

    async def apply_status(self, obj: Object) -> Object:
        """As in ports.Cluster."""
        return self._run("apply-status", obj, lambda: self._apply_status(obj))

    async def get(self, ref: ObjectRef) -> Object | None:
        """As in ports.Cluster."""
        return self._run("get", _shell(ref), lambda: self.find(ref.kind, ref.name, ref.namespace), write=False)

    async def delete(self, ref: ObjectRef) -> None:
        """As in ports.Cluster."""
        self._run("delete", _shell(ref), lambda: self._delete(ref))

    async def emit(self, about: ObjectRef, notice: Notice) -> None:
        """As in ports.Cluster."""
        self.events.append((about, notice))

    # What tests, users and controllers do; no hook, no faults

    def find(self, kind: str, name: str, namespace: str = "shop") -> Object | None:
        """One object as it is, or None."""
        return self._objects.get((kind, namespace, name))

    def all(self, kind: str) -> Iterator[Object]:
        """Every object of a kind."""
        return iter([obj for (k, _, _), obj in sorted(self._objects.items()) if k == kind])

    def managers(self, kind: str, name: str, namespace: str = "shop") -> Mapping[str, frozenset[Any]]:
        """Who owns which fields."""
        return self._managers[kind, namespace, name]

    def add(self, obj: Object, *, manager: str = "user") -> Object:
        """Create an object; its status, where that is a subresource, is dropped."""
        obj = json.loads(json.dumps(obj))
        key = _key(obj)
        if key in self._objects:
            raise ClusterError(Refusal.ALREADY_EXISTS, f'{key[0]} "{key[2]}" already exists')
        if obj["kind"] in _WITH_STATUS - {"Pod", "Gateway", "PodDisruptionBudget"}:
            obj = {name: value for name, value in obj.items() if name != "status"}
        stored = self._admit(obj, None)
        self._managers[key] = {manager: fake_cluster_fields.fields(obj)}
        return self._store(key, self._new(stored), None)

    def edit(self, kind: str, name: str, change: Callable[[dict[str, Any]], None], **where: str) -> Object:
        """Another writer updates an object: a plain update, of the status as well. `where`: namespace, manager."""
        key = (kind, where.get("namespace", "shop"), name)
        old = self._objects[key]
        obj = json.loads(json.dumps(old))
        change(obj)
        stored = self._admit(obj, old)
        self._managers[key] = fake_cluster_fields.update(old, stored, where.get("manager", "user"), self._managers[key])
        return self._store(key, stored, old)

    def remove(self, kind: str, name: str, namespace: str = "shop") -> None:
        """Somebody deletes an object, in the background. What it owns goes by `collect_garbage`."""
        obj = self._objects.pop((kind, namespace, name), None)
        if obj is not None:
            del self._managers[kind, namespace, name]
            if _is_watched(obj):
                self._announce(self._stamped(obj), gone=True)

    def collect_garbage(self) -> int:
        """Delete what lost every owner, and take owners that are gone off the rest. Returns how many objects went."""
        count = 0
        while True:
            uids = {obj["metadata"]["uid"] for obj in self._objects.values()}
            orphans = [
                key
                for key, obj in self._objects.items()
                if (owners := obj["metadata"].get("ownerReferences")) and not any(o["uid"] in uids for o in owners)
            ]
            for kind, namespace, name in orphans:
                self.remove(kind, name, namespace)
            if not orphans:
                self._drop_dead_owners(uids)
                return count
            count += len(orphans)

    def _drop_dead_owners(self, uids: set[str]) -> None:
        for (kind, namespace, name), obj in list(self._objects.items()):
            owners = obj["metadata"].get("ownerReferences") or []
            living = [o for o in owners if o["uid"] in uids]
            if living != owners:
                left = {"ownerReferences": living}
                self.edit(kind, name, functools.partial(_amend_metadata, left), namespace=namespace)

    def watch(self, watcher: Watcher) -> None:
        """A process starts to watch: it is told of everything that is there, and of every change from then on."""
        self._watcher = watcher
        self._pending.clear()
        for obj in self._objects.values():
            if _is_watched(obj):
                watcher.seen(obj)

    def deliver(self, kind: str | None = None, count: int | None = None) -> int:
        """Let watches catch up: of one kind or all, by so many events or all. Returns how many came."""
        delivered = 0
        for name in [kind] if kind is not None else list(self._pending):
            queue = self._pending.get(name, deque())
            while queue and (count is None or delivered < count):
                gone, obj = queue.popleft()
                delivered += 1
                if self._watcher is not None:
                    (self._watcher.gone if gone else self._watcher.seen)(obj)
        return delivered

    @property
    def writes(self) -> list[Call]:
        """Calls that change something."""
        return [call for call in self.calls if call.write is not None]

    # How it works

    def _run(self, verb: str, obj: Object, effect: Callable[[], _T], *, write: bool = True) -> _T:
        if write and verb != "dry-run":
            self._writes += 1
        number = self._writes if write and verb != "dry-run" else None
        call = Call(len(self.calls) + 1, number, verb, obj["kind"], obj["metadata"]["name"])
        self.calls.append(call)
        fault = self.hook(call)
        if fault is Fault.CRASH_BEFORE:
            raise CrashError
        if fault in _REFUSALS:
            raise ClusterError(_REFUSALS[fault], f"injected: {fault.value}")
        answer = effect()
        if fault is Fault.CRASH_AFTER:
            raise CrashError
        if fault is Fault.LOST_ANSWER:
            raise ClusterError(Refusal.UNAVAILABLE, "injected: the answer is lost")
        return answer

    def _apply(self, obj: Object, manager: str, dry_run: bool) -> Object:
        obj = json.loads(json.dumps(obj))
        key = _key(obj)
        old = self._objects.get(key)
        self._check_preconditions(obj, old)
        applied = {name: value for name, value in obj.items() if name != "status" or obj["kind"] not in _WITH_STATUS}
        managers = self._managers.get(key, {})
        merged, managers = fake_cluster_fields.apply(old, applied, manager, managers)
        _check_owners(merged)
        stored = self._admit(merged, old)
        if dry_run:
            return stored if old is not None else self._new(stored)
        same = old is not None and stored == old and managers == self._managers.get(key)
        self._managers[key] = managers
        if old is None:
            return self._store(key, self._new(stored), None)
        return old if same else self._store(key, stored, old)

    def _apply_status(self, obj: Object) -> Object:
        obj = json.loads(json.dumps(obj))
        key = _key(obj)
        old = self._objects.get(key)
        if old is None:
            raise ClusterError(Refusal.NOT_FOUND, f'{key[0]} "{key[2]}" not found')
        self._check_preconditions(obj, old)
        applied = {"kind": obj["kind"], "status": obj["status"]}
        merged, managers = fake_cluster_fields.apply(old, applied, STATUS_MANAGER, self._managers[key])
        stored = self._admit(merged, old)
        if stored == old:
            return old
        self._managers[key] = managers
        return self._store(key, stored, old)

    def _delete(self, ref: ObjectRef) -> None:
        old = self.find(ref.kind, ref.name, ref.namespace)
        if old is None:
            return
        if ref.uid is not None and ref.uid != old["metadata"]["uid"]:
            raise ClusterError(Refusal.CONFLICT, "the UID in the precondition does not match")
        if self.lingering(old):
            self.terminate(ref.name, ref.namespace)
        else:
            self.remove(ref.kind, ref.name, ref.namespace)

    def terminate(self, pod: str, namespace: str = "shop") -> None:
        """Somebody asks a pod to go: it stays until it is removed."""
        when = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        self.edit("Pod", pod, lambda o: o["metadata"].setdefault("deletionTimestamp", when), namespace=namespace)

    @staticmethod
    def _check_preconditions(obj: Object, old: Object | None) -> None:
        for name in ("resourceVersion", "uid"):
            wanted = obj["metadata"].get(name)
            if wanted is not None and (old is None or old["metadata"][name] != wanted):
                raise ClusterError(Refusal.CONFLICT, "the object has been modified; please apply your changes again")

    def _admit(self, obj: Object, old: Object | None) -> dict[str, Any]:
        refused = self.admission(obj)
        if refused is not None:
            raise ClusterError(Refusal.FORBIDDEN, f"admission webhook denied the request: {refused}")
        try:
            return admit(obj, old)
        except InvalidError as error:
            raise ClusterError(Refusal.INVALID, str(error)) from error

    def _new(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._made += 1
        created = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = dict(obj["metadata"]) | {"uid": f"uid-{self._made}", "creationTimestamp": created}
        if obj["kind"] not in _NO_GENERATION:
            meta["generation"] = 1
        return dict(obj) | {"metadata": meta}

    def _store(self, key: Key, obj: dict[str, Any], old: Object | None) -> Object:
        if old is not None and obj["kind"] not in _NO_GENERATION and obj.get("spec") != old.get("spec"):
            meta = dict(obj["metadata"]) | {"generation": old["metadata"]["generation"] + 1}
            obj = dict(obj) | {"metadata": meta}
        obj = self._stamped(obj)
        self._objects[key] = obj
        if _is_watched(obj):
            self._announce(obj)
        elif old is not None and _is_watched(old):
            self._announce(obj, gone=True)  # for a watch by label, an object that loses the label is gone
        return obj

    def _stamped(self, obj: Object) -> dict[str, Any]:
        self._version += 1
        return dict(obj) | {"metadata": dict(obj["metadata"]) | {"resourceVersion": str(self._version)}}

    def _announce(self, obj: Object, *, gone: bool = False) -> None:
        if self._watcher is None:
            return
        self._pending.setdefault(obj["kind"], deque()).append((gone, obj))
        if not self.lagging:
            self.deliver(obj["kind"])


def at_write(number: int, fault: Fault) -> Callable[[Call], Fault | None]:
    """A hook: that fault at the write of that number, counted from 1."""
    return lambda call: fault if call.write == number else None


def _check_owners(obj: Object) -> None:
    owners = obj["metadata"].get("ownerReferences") or ()
    if sum(1 for o in owners if o.get("controller")) > 1:
        raise ClusterError(Refusal.INVALID, "Only one reference can have Controller set to true")


def _is_watched(obj: Object) -> bool:
    selector = _SELECTORS.get(obj["kind"])
    if selector is None:
        return False
    label, _, value = selector.partition("=")
    return not selector or (obj["metadata"].get("labels") or {}).get(label) == value


def _key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _shell(ref: ObjectRef) -> Object:
    return {"kind": ref.kind, "metadata": {"name": ref.name, "namespace": ref.namespace}}


def _amend_metadata(changes: Mapping[str, Any], obj: dict[str, Any]) -> None:
    obj["metadata"].update(changes)
