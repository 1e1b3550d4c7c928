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

    truth: dict[Key, Stored] = field(default_factory=dict)
    view: dict[Key, Stored] = field(default_factory=dict)
    versions: int = 0

    def get(self, kind: str, name: str) -> Stored | None:
        """The object as it is."""
        return self.truth.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """Names of the objects of a kind that there are."""
        return [name for k, name in self.truth if k == kind]

    def write(self, kind: str, name: str, body: Any) -> Stored:
        """Make the object, or give it another spec."""
        old = self.truth.get((kind, name))
        if old is not None and old.body == body:
            return old
        self.versions += 1
        if old is None:
            new = Stored(body, f"uid-{self.versions}", self.versions)
        else:
            new = replace(old, body=body, version=self.versions, generation=old.generation + 1)
        self.truth[kind, name] = new
        return new

    def write_status(self, kind: str, name: str, status: Any, *, expected: int | None = None) -> Stored:
        """Give the object another status. Raises ClusterError when it is missing, or not at the expected version."""
        old = self.truth.get((kind, name))
        if old is None:
            raise ClusterError(Refusal.NOT_FOUND, f"{kind} {name} not found")
        if expected is not None and old.version != expected:
            raise ClusterError(Refusal.CONFLICT, f"{kind} {name} is at {old.version}, not at {expected}")
        if old.status == status:
            return old
        self.versions += 1
        new = self.truth[kind, name] = replace(old, status=status, version=self.versions)
        return new

    def touch(self, kind: str, name: str) -> None:
        """Somebody writes something of no meaning: only the version changes."""
        old = self.truth.get((kind, name))
        if old is not None:
            self.versions += 1
            self.truth[kind, name] = replace(old, version=self.versions)

    def delete(self, kind: str, name: str) -> None:
        """The object is gone."""
        self.truth.pop((kind, name), None)

    def deliver(self, kind: str) -> bool:
        """The watch of that kind catches up; returns whether it had anything to say."""
        news = False
        for key in [k for k in self.view if k[0] == kind and k not in self.truth]:
            del self.view[key]
            news = True
        for key, stored in self.truth.items():
            if key[0] == kind and self.view.get(key) is not stored:
                self.view[key] = stored
                news = True
        return news

    def note(self, kind: str, name: str) -> None:
        """The operator saw the object in an answer to its own request."""
        found = self.truth.get((kind, name))
        if found is None:
            self.view.pop((kind, name), None)
        else:
            self.view[kind, name] = found

    def is_fresh(self) -> bool:
        """Whether the operator's view is the truth."""
        return self.view == self.truth
