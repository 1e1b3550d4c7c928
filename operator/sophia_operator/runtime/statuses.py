"""Writes statuses, each on top of the version that it was decided on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sophia_operator.ports import Cluster, ClusterError, Object, ObjectRef, Refusal


@dataclass(frozen=True, slots=True)
class Target:
    """An object as it was when its new status was decided."""

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    #: Whether an object has the status that was decided on.
    has_status: Callable[[Object], bool]

    def is_same(self, obj: Object) -> bool:
        """Whether the decision holds for the object as it is now."""
        meta = obj["metadata"]
        return (
            meta["uid"] == self.uid
            and int(meta.get("generation", 0)) == self.generation
            and not meta.get("deletionTimestamp")
            and self.has_status(obj)
        )


def target_of(obj: Object, has_status: Callable[[Object], bool]) -> Target:
    """The object as it is in `obj`."""
    meta = obj["metadata"]
    return Target(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        version=meta["resourceVersion"],
        has_status=has_status,
    )


class Statuses:
    """Writes statuses of custom resources; `note` takes what the API server answers."""

    def __init__(self, cluster: Cluster, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._cluster = cluster
        self._note = note

    async def write(self, api_version: str, kind: str, target: Target, status: Mapping[str, Any]) -> str:
        """Write a status on top of the version that was decided on. Returns the new version. Raises ClusterError."""
        ref = ObjectRef(api_version, kind, target.namespace, target.name)
        try:
            answer = await self._apply(ref, target.version, status)
        except ClusterError as error:
            if error.refusal is not Refusal.CONFLICT:
                raise
            # The store trails behind: read the object, so that the next pass knows better.
            found = await self._cluster.get(ref)
            if found is None:
                raise
            self._note(found)
            if not target.is_same(found):
                raise
            # Only its metadata changed, which no decision rests on.
            answer = await self._apply(ref, found["metadata"]["resourceVersion"], status)
        self._note(answer)
        return str(answer["metadata"]["resourceVersion"])

    async def _apply(self, ref: ObjectRef, version: str, status: Mapping[str, Any]) -> Object:
        metadata = {"name": ref.name, "namespace": ref.namespace, "resourceVersion": version}
        body = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata, "status": status}
        return await self._cluster.apply_status(body)
