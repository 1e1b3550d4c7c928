"""What keeps a command from undoing what somebody else decided meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def unchanged(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Patch operation that fails when somebody changed the spec since the object was read.

    The generation, not the resourceVersion: the operator writes statuses all the time, and a person takes a while to
    say yes.
    """
    return {"op": "test", "path": "/metadata/generation", "value": metadata.get("generation")}


def untouched(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a change of anything, labels, annotations and the status among it: only for who tries again."""
    return {"op": "test", "path": "/metadata/resourceVersion", "value": metadata.get("resourceVersion")}
