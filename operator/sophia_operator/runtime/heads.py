"""What every object has that people write, whatever its kind."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from sophia_operator.ports import Object


class Head(TypedDict):
    """The part of an object's metadata that a pass knows it by."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime


def head_of(obj: Object) -> Head:
    """The head of an object of ours."""
    meta = obj["metadata"]
    return Head(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        resource_version=meta["resourceVersion"],
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
    )
