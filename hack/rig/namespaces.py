"""Namespaces that come and go with a run."""

from __future__ import annotations

from hack.rig.api import Api

_SECONDS = 90.0


def clear_namespace(api: Api, name: str, *, seconds: float = _SECONDS) -> None:
    """Delete a namespace and wait until it is gone, with all that was in it. Raises TimeoutError."""

    def look() -> bool:
        found = api.get("Namespace", None, name)
        if found is not None and not found["metadata"].get("deletionTimestamp"):
            api.delete("Namespace", None, name)
        return found is None

    api.until(f"the namespace {name} to go", look, seconds=seconds)
