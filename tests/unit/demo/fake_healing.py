"""A policy whose act is over at once, and transactions that end as they should."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from hack.demo import healing

Json = dict[str, Any]


def at(seconds: float) -> str:
    """That many seconds from now, as statuses have it."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat().replace("+00:00", "Z")


def action(phase: str = "Succeeded", verified: str | None = "Helped", **status: Any) -> Json:
    """The act, as the operator leaves it behind."""
    told = {"phase": phase, "claimedAt": at(0), "did": ["pg_cancel_backend: process 7"], "message": "gone", **status}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryAction",
        "metadata": {"name": "orders-cancelstatement-1", "namespace": "sophia-demo", "creationTimestamp": at(0)},
        "spec": {
            "target": {"kind": "ConnectionPool", "name": "orders"},
            "action": "CancelStatement",
            "requestedBy": "alice",
        },
        "status": told | ({"verified": verified} if verified else {}),
    }


class FakeHealingRig:
    """What the demo asks of the policy, and of those who use the pool."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.acts: list[Json] = []
        #: The acts that are there once the pool was helped. None: one, claimed at that moment.
        self.wanted: list[Json] | None = None
        self.helping: Callable[[], object] = lambda: None
        self.blocked = "canceling statement due to user request"

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the real ones."""
        rig = self

        class FakePolicy:
            kind: ClassVar[str] = "RecoveryPolicy"
            api: ClassVar[Any] = type("Api", (), {"get": staticmethod(lambda *_: None)})
            namespace = "sophia-demo"

            def __init__(self, *_: object) -> None:
                pass

            def apply(self, targets: list[str], rules: list[Json]) -> None:
                rig.done.append(f"policy for {targets[0]}: {rules[0]['symptom']}")

            def wait_watching(self, targets: int) -> None:
                rig.done.append(f"watches {targets}")

            def wait_helped(self, act: str, *, seconds: float) -> None:
                assert seconds > 0
                rig.helping()
                rig.done.append(f"{act} helped")
                rig.acts = [action()] if rig.wanted is None else rig.wanted

            def actions(self) -> list[Json]:
                return rig.acts

        def run(_pool: object, *statements: str) -> healing.Ended:
            blocks = len(statements) > 1
            rig.done.append("block" if blocks else "sell")
            return healing.Ended(rig.blocked if blocks else None, time.time())

        patch.setattr(healing, "Policy", FakePolicy)
        patch.setattr(healing, "_run", run)
        patch.setattr(healing, "_HEAD_START_SECONDS", 0.0)
