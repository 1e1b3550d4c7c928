"""RecoveryPolicies on the cluster, and the RecoveryActions that come of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hack.demo.figures import seconds_of
from hack.rig.api import Api, Json
from hack.rig.told import Told
from hack.rig.waiting import until

#: Phases in which nothing more happens.
OVER: Final = frozenset({"Succeeded", "Failed", "Skipped", "Refused", "Unknown"})


def rule(symptom: str, *actions: str, **changes: Any) -> Json:
    """A rule of a policy that answers at once; each action has 60 s. `changes` as in the API."""
    steps = [{"action": action, "timeoutSeconds": 60} for action in actions]
    return {"symptom": symptom, "forSeconds": 1, "clearSeconds": 2, "escalation": steps, **changes}


def policy(name: str, namespace: str, targets: Sequence[Json], rules: Sequence[Json], **spec: Any) -> Json:
    """A RecoveryPolicy that acts by itself, and is in no hurry to act again. `spec` as in the API."""
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targets": list(targets),
            "rules": list(rules),
            "mode": "Auto",
            "stableSeconds": 2,
            "cooldownSeconds": 60,
            "iUnderstand": "DeletesData",
            **spec,
        },
    }


class Policy(Told):
    """One test policy on the cluster."""

    kind = "RecoveryPolicy"

    def __init__(self, api: Api, namespace: str, name: str = "all") -> None:
        super().__init__(api, namespace, name)

    def apply(self, targets: Sequence[str], rules: Sequence[Json], **spec: Any) -> Json:
        """Apply the policy, for all objects of these kinds; arguments as of `policy`."""
        return self.api.apply(policy(self.name, self.namespace, [{"kind": kind} for kind in targets], rules, **spec))

    def wait_watching(self, targets: int, *, seconds: float = 60) -> None:
        """Wait until it is in force, and selects so many objects. Raises TimeoutError."""
        self.wait_condition("Ready", "True", seconds=seconds)
        self.wait("to select them", lambda o: (o.get("status") or {}).get("targets") == targets, seconds=seconds)

    def symptoms(self) -> list[Json]:
        """Incidents that are open."""
        found: list[Json] = self.status().get("symptoms") or []
        return found

    def wait_reason_of(self, symptom: str, reason: str, *, seconds: float = 60) -> Json:
        """Wait until the policy says that reason of a symptom; what it says of it. Raises TimeoutError."""

        def look(found: Json) -> Json | None:
            told = (found.get("status") or {}).get("symptoms") or []
            return next((s for s in told if (s["symptom"], s["reason"]) == (symptom, reason)), None)

        return self.wait(f"to say {reason} of {symptom}", look, seconds=seconds)

    def wait_storm(self, on: bool, *, seconds: float = 60) -> Json:
        """Wait until a storm is on, or over."""
        return self.wait_condition("StormActive", "True" if on else "False", seconds=seconds)

    # -- What comes of it ---------------------------------------------------------------------------------------------

    def actions(self) -> list[Json]:
        """RecoveryActions of the namespace, in the order in which they were made."""
        found = self.api.list("RecoveryAction", self.namespace)
        return sorted(found, key=lambda a: (a["metadata"]["creationTimestamp"], a["metadata"]["name"]))

    def wait_action(self, action: str, *phases: str, seconds: float = 60) -> Json:
        """Wait until there is an action of that kind in one of these phases. Raises TimeoutError with all of them."""

        def look() -> Json | None:
            fits = [a for a in self.actions() if a["spec"]["action"] == action and phase_of(a) in phases]
            return fits[-1] if fits else None

        try:
            return until(f"{action} to be {' or '.join(phases)}", look, seconds=seconds, every=0.1)
        except TimeoutError as error:
            told = [(a["spec"]["action"], a.get("status")) for a in self.actions()]
            raise TimeoutError(f"{error}; actions: {told}; symptoms: {self.symptoms()}") from None

    def wait_helped(self, action: str, *, seconds: float = 90) -> Json:
        """Wait until an action of that kind is over; it must have helped, for nobody acted beside it. The action."""
        found = self.wait_action(action, *OVER, seconds=seconds)
        status = found["status"]
        assert (status["phase"], status.get("verified")) == ("Succeeded", "Helped"), status
        assert status["did"], status
        assert status["before"]["present"], status
        assert not status["after"]["present"], status
        assert seconds_of(status["claimedAt"]) <= seconds_of(status["endedAt"])
        return found


def phase_of(action: Json) -> str:
    """Where an action is; Pending as long as it does not say."""
    return str((action.get("status") or {}).get("phase") or "Pending")
