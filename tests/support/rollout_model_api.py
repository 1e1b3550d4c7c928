"""An API server in a few lines: objects with versions, and a watch cache that trails behind, kind by kind.

Bodies are values that are never changed in place, so a snapshot is a copy of a dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from sophia_operator.ports import ClusterError, Refusal

Key = tuple[str, str]

SERVICE, RELEASE, DEPLOYMENT, K8S_SERVICE = "ManagedService", "Release", "Deployment", "Service"
ENDPOINTS, ROUTE, POD, CONFIG_MAP = "EndpointSlice", "HTTPRoute", "Pod", "ConfigMap"
KINDS: Final = (SERVICE, RELEASE, DEPLOYMENT, K8S_SERVICE, ENDPOINTS, ROUTE, POD, CONFIG_MAP)


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object."""

    body: Any
    uid: str
    version: int
    generation: int = 1
    #: State written by others than the object's author: a status, for example.
    status: Any = None


@dataclass
class Api:
    """The truth, and what the operator's watches have seen of it."""

    view: dict[Key, Stored] = field(default_factory=dict)
    versions: int = 0
    _truth: dict[str, dict[str, Stored]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    #: Kinds of which the view may not be the truth.
    _behind: set[str] = field(default_factory=set)

    def get(self, kind: str, name: str) -> Stored | None:
        """The object as it is."""
        return self._truth[kind].get(name)

    def names(self, kind: str) -> list[str]:
        """Names of the objects of a kind that there are."""
        return list(self._truth[kind])

    def write(self, kind: str, name: str, body: Any) -> Stored:
        """Make the object, or give it another spec."""
        old = self.get(kind, name)
        if old is not None and old.body == body:
            return old
        if old is None:
            return self._put(kind, name, Stored(body, f"uid-{self.versions + 1}", self.versions + 1))
        new = replace(old, body=body, version=self.versions + 1, generation=old.generation + 1)
        return self._put(kind, name, new)

    def write_status(self, kind: str, name: str, status: Any, *, expected: int | None = None) -> Stored:
        """Give the object another status. Raises ClusterError when it is missing, or not at the expected version."""
        old = self.get(kind, name)
        if old is None:
            raise ClusterError(Refusal.NOT_FOUND, f"{kind} {name} not found")
        if expected is not None and old.version != expected:
            raise ClusterError(Refusal.CONFLICT, f"{kind} {name} is at {old.version}, not at {expected}")
        if old.status == status:
            return old
        return self._put(kind, name, replace(old, status=status, version=self.versions + 1))

    def touch(self, kind: str, name: str) -> None:
        """Somebody writes something of no meaning: only the version changes."""
        old = self.get(kind, name)
        if old is not None:
            self._put(kind, name, replace(old, version=self.versions + 1))

    def _put(self, kind: str, name: str, new: Stored) -> Stored:
        self.versions += 1
        self._truth[kind][name] = new
        self._behind.add(kind)
        return new

    def delete(self, kind: str, name: str) -> None:
        """The object is gone."""
        if self._truth[kind].pop(name, None) is not None:
            self._behind.add(kind)

    def deliver(self, kind: str) -> bool:
        """The watch of that kind catches up; returns whether it had anything to say."""
        if kind not in self._behind:
            return False
        self._behind.discard(kind)
        news, truth = False, self._truth[kind]
        for key in [k for k in self.view if k[0] == kind and k[1] not in truth]:
            del self.view[key]
            news = True
        for name, stored in truth.items():
            if self.view.get((kind, name)) is not stored:
                self.view[kind, name] = stored
                news = True
        return news

    def note(self, kind: str, name: str) -> None:
        """The operator saw the object in an answer to its own request."""
        found = self.get(kind, name)
        if found is None:
            self.view.pop((kind, name), None)
        else:
            self.view[kind, name] = found

    def list_all(self) -> None:
        """The operator knows nothing, and then everything."""
        self.view.clear()
        self._behind.update(KINDS)
        for kind in KINDS:
            self.deliver(kind)

    def all(self) -> dict[Key, Stored]:
        """Everything there is."""
        return {(kind, name): stored for kind, objects in self._truth.items() for name, stored in objects.items()}

    def is_fresh(self) -> bool:
        """Whether the operator's view is the truth."""
        return not self._behind or self.view == self.all()
