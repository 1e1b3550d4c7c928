"""Objects on the cluster that say in conditions how they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from hack.rig.api import Api, Json
from hack.rig.waiting import T


class Told:
    """One object of a kind whose loop tells how it is."""

    kind: ClassVar[str]
    #: Fields of the status that are there only while something goes on.
    under_way: ClassVar[tuple[str, ...]] = ()

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self.api = api
        self.namespace = namespace
        self.name = name

    def patch(self, **spec: Any) -> Json:
        """Change parts of its spec."""
        return self.api.merge(self.kind, self.namespace, self.name, {"spec": spec})

    def object(self) -> Json:
        """The object."""
        found = self.api.get(self.kind, self.namespace, self.name)
        assert found is not None, f"{self.kind} {self.name} is gone"
        return found

    def status(self) -> Json:
        """Its status, or {}."""
        return self.object().get("status") or {}

    def condition(self, kind: str) -> Json | None:
        """A condition of it."""
        return condition_of(self.object(), kind)

    def wait(self, what: str, look: Callable[[Json], T | None], *, seconds: float = 60) -> T:
        """Watch it until there is an answer that is not None or False. Raises TimeoutError with its status."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for event in self.api.watch(self.kind, self.namespace, seconds=max(1, round(left))):
                if event["object"]["metadata"].get("name") != self.name:
                    continue
                found = look(event["object"])
                if found is not None and found is not False:
                    return found
        raise TimeoutError(f"waited {seconds:.0f} s for {self.name} {what}; its status: {self.status()}")

    def wait_condition(self, kind: str, status: str, reason: str | None = None, *, seconds: float = 60) -> Json:
        """Wait until a condition has that status, and that reason when one is given, for the newest spec."""

        def look(found: Json) -> Json | None:
            condition = condition_of(found, kind)
            if condition is None or condition["status"] != status or (reason and condition["reason"] != reason):
                return None
            return condition if condition.get("observedGeneration") == found["metadata"]["generation"] else None

        return self.wait(f"to have {kind}={status} {reason or ''}".rstrip(), look, seconds=seconds)

    def wait_ready(self, *, seconds: float = 90) -> Json:
        """Wait until it is Ready with the newest spec, and nothing goes on; its status."""

        def look(found: Json) -> Json | None:
            status = found.get("status") or {}
            ready = condition_of(found, "Ready")
            settled = (
                ready is not None
                and ready["status"] == "True"
                and status.get("observedGeneration") == found["metadata"]["generation"]
                and condition_of(found, "Reconciling") is None
                and not any(field in status for field in self.under_way)
            )
            return status if settled else None

        return self.wait("to be Ready", look, seconds=seconds)

    def wait_reason(self, reason: str, *words: str, seconds: float = 60) -> list[Json]:
        """Wait until conditions give that reason, in words that help; returns them."""

        def look(found: Json) -> list[Json] | None:
            return [c for c in conditions_of(found) if c["reason"] == reason] or None

        found = self.wait(f"to say {reason}", look, seconds=seconds)
        for word in words:
            assert any(word in condition["message"] for condition in found), found
        return found

    def events(self, reason: str) -> list[Json]:
        """Events about it with that reason."""
        return [
            event
            for event in self.api.list("Event", self.namespace)
            if event.get("reason") == reason and event["involvedObject"].get("name") == self.name
        ]

    def wait_events(self, reason: str, *words: str, seconds: float = 40) -> list[Json]:
        """Wait until there are Events with that reason and these words, and return them: they are told beside the rest,
        so a status may precede them."""

        def told() -> list[Json] | None:
            return [e for e in self.events(reason) if all(word in e["message"] for word in words)] or None

        return self.api.until(f"an Event {reason} of {self.name}", told, seconds=seconds)


def conditions_of(obj: Mapping[str, Any]) -> list[Json]:
    """The conditions of an object."""
    found: list[Json] = (obj.get("status") or {}).get("conditions") or []
    return found


def condition_of(obj: Mapping[str, Any], kind: str) -> Json | None:
    """One condition of an object."""
    return next((c for c in conditions_of(obj) if c["type"] == kind), None)
