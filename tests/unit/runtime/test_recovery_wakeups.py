"""Who looks again when something of their namespace changes that recovery goes by."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import RECOVERY, SYMPTOMS, Dependency, Feed, Wakeups
from tests.support.recovery_objects import action, meta, policy

ENDING = {"deletionTimestamp": "2026-03-01T12:01:00Z"}


class Watcher:
    """One loop that depends on one thing."""

    def __init__(self, on: Dependency) -> None:
        self.policies = Wakeups()
        self.event = self.policies.event(("shop", "watcher"))
        self.policies.depend(("shop", "watcher"), frozenset({on}))
        self.feed = Feed(ObjectStore(), Wakeups(), policies=self.policies)
        self.version = 0

    def sees(self, obj: dict[str, Any], *, gone: bool = False) -> bool:
        """Whether it is woken by that, as a newer version than all before."""
        self.version += 1
        self.event.clear()
        obj["metadata"]["resourceVersion"] = str(self.version)
        (self.feed.gone if gone else self.feed.seen)(obj)
        return self.event.is_set()


@pytest.fixture
def policies() -> Watcher:
    return Watcher((SYMPTOMS, "", "shop"))


@pytest.fixture
def rollouts() -> Watcher:
    return Watcher((RECOVERY, "", "shop"))


def obj(kind: str, name: str = "orders", status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": meta(name, **metadata), "spec": {}, "status": status or {}}


def condition(status: str, message: str) -> dict[str, Any]:
    return {"type": "Healthy", "status": status, "reason": "ServerLost", "message": message}


@pytest.mark.parametrize("kind", ["ConnectionPool", "CacheTier", "ModelRoute", "ManagedService"])
def test_policies_look_when_the_state_of_an_object_changes_and_not_for_its_figures(
    kind: str, policies: Watcher
) -> None:
    healthy = {"conditions": [condition("True", "2 ms")], "score": 95, "lookedAt": "2026-03-01T12:00:00Z"}
    assert policies.sees(obj(kind, status=healthy))
    later = {"conditions": [condition("True", "3 ms")], "score": 94, "lookedAt": "2026-03-01T12:00:05.250000Z"}
    assert not policies.sees(obj(kind, status=later))
    assert policies.sees(obj(kind, status={**later, "conditions": [condition("False", "3 ms")]}))
    assert policies.sees(obj(kind, status=healthy))
    assert policies.sees(obj(kind, status=healthy, labels={"team": "a"}))
    assert policies.sees(obj(kind, status=healthy, labels={"team": "a"}, generation=2))
    assert policies.sees(obj(kind, status=healthy, labels={"team": "a"}, generation=2, **ENDING))
    assert policies.sees(obj(kind), gone=True)


def test_what_is_true_or_false_is_no_figure_and_neither_is_an_entry_that_appears(policies: Watcher) -> None:
    policies.sees(obj("ConnectionPool", status={"members": [{"name": "a", "current": True, "lagMs": "3.5"}]}))
    assert not policies.sees(obj("ConnectionPool", status={"members": [{"name": "a", "current": True, "lagMs": "9"}]}))
    assert policies.sees(obj("ConnectionPool", status={"members": [{"name": "a", "current": False, "lagMs": "9"}]}))
    more = [{"name": "a", "current": False, "lagMs": "9"}, {"name": "b", "current": True}]
    assert policies.sees(obj("ConnectionPool", status={"members": more}))


def test_nobody_looks_at_another_namespace(policies: Watcher, rollouts: Watcher) -> None:
    assert not policies.sees(obj("ConnectionPool", namespace="elsewhere"))
    assert not rollouts.sees(action(phase="Claimed", namespace="elsewhere"))


def test_policies_look_when_an_action_goes_on_and_when_it_is_answered(policies: Watcher) -> None:
    assert policies.sees(action())
    assert policies.sees(action(phase="AwaitingApproval"))
    assert not policies.sees(action(phase="AwaitingApproval", status={"message": "of ann"}))
    assert policies.sees(action(phase="AwaitingApproval", metadata={"generation": 2}))
    assert policies.sees(action(phase="Succeeded", metadata={"generation": 2}))
    assert policies.sees(action(phase="Succeeded", metadata={"generation": 2}, status={"verified": "Helped"}))
    assert policies.sees(action(phase="Succeeded", metadata={"generation": 2}), gone=True)


def test_policies_look_when_another_one_changes_or_sees_a_storm_but_not_at_what_it_decided(policies: Watcher) -> None:
    assert policies.sees(policy())
    symptom = {"kind": "ConnectionPool", "name": "orders", "symptom": "ConnectionLost"}
    assert not policies.sees(policy(status={"targets": 3, "symptoms": [symptom]}))
    assert policies.sees(policy(status={"targets": 3, "storm": {"since": "2026-03-01T12:00:00Z"}}))
    assert policies.sees(policy(status={"targets": 3}))


def test_policies_look_when_a_release_begins_to_move_gets_traffic_and_ends(policies: Watcher) -> None:
    assert not policies.sees(obj("Release", status={"state": "Pending"}))
    assert policies.sees(obj("Release", status={"state": "Provisioning"}))
    assert not policies.sees(obj("Release", status={"state": "Shifting", "stage": {"weightPercent": 10}}))
    assert policies.sees(obj("Release", status={"state": "Shifting", "weights": {"wantedPercent": 10}}))
    assert not policies.sees(obj("Release", status={"state": "Shifting", "weights": {"wantedPercent": 25}}))
    assert policies.sees(obj("Release", status={"state": "Promoted", "weights": {"wantedPercent": 100}}))
    assert not policies.sees(obj("Release", status={"state": "Promoted"}))


def pod(restarts: int = 0, state: dict[str, Any] | None = None, label: str = "pool") -> dict[str, Any]:
    container = {"name": "app", "restartCount": restarts, "state": state or {"running": {}}}
    found = obj("Pod", "orders-x", status={"phase": "Running", "containerStatuses": [container]})
    found["metadata"]["labels"] = {f"sophia.ai/{label}": "orders"}
    return found


@pytest.mark.parametrize("label", ["pool", "cache", "service"])
def test_policies_look_when_a_container_ends_and_when_it_is_held_back(label: str, policies: Watcher) -> None:
    held = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert not policies.sees(pod(label=label))
    assert policies.sees(pod(1, label=label))
    assert not policies.sees(pod(1, label=label) | {"spec": {"nodeName": "n"}})
    assert policies.sees(pod(1, held, label=label))
    assert not policies.sees(pod(1, held, label=label) | {"spec": {"nodeName": "m"}})
    assert policies.sees(pod(1, label=label))
    assert policies.sees(pod(1, label=label), gone=True)


def test_a_pod_of_nobody_is_nothing_to_policies(policies: Watcher) -> None:
    assert not policies.sees(pod(3, label="other"))


def test_rollouts_look_when_an_act_begins_and_ends(rollouts: Watcher) -> None:
    assert not rollouts.sees(action())
    assert not rollouts.sees(action(phase="Waiting"))
    assert rollouts.sees(action(phase="Claimed"))
    assert not rollouts.sees(action(phase="Running"))
    assert not rollouts.sees(action(phase="Verifying"))
    assert rollouts.sees(action(phase="Succeeded"))


def test_rollouts_look_when_a_storm_or_a_symptom_begins_and_ends(rollouts: Watcher) -> None:
    symptom = {"kind": "ConnectionPool", "name": "orders", "symptom": "ConnectionLost", "verdict": "Wait"}
    assert not rollouts.sees(policy(status={"targets": 3}))
    assert rollouts.sees(policy(status={"symptoms": [{**symptom, "reason": "SymptomIsNew"}]}))
    assert rollouts.sees(policy(status={"symptoms": [{**symptom, "reason": "LeftToRelease"}]}))
    assert not rollouts.sees(policy(status={"symptoms": [{**symptom, "reason": "LeftToRelease", "value": "7"}]}))
    assert rollouts.sees(policy(status={}))
    assert rollouts.sees(policy(status={"storm": {"since": "2026-03-01T12:00:00Z", "targets": 3}}))
    assert not rollouts.sees(policy(status={"storm": {"since": "2026-03-01T12:00:00Z", "targets": 4}}))
    assert rollouts.sees(policy(status={}))
    assert not rollouts.sees(obj("ConnectionPool"))


def test_a_policy_and_an_action_wake_their_own_loops_alone() -> None:
    policies, actions = Wakeups(), Wakeups()
    feed = Feed(ObjectStore(), Wakeups(), policies=policies, actions=actions)
    mine, other = policies.event(("shop", "pools")), policies.event(("shop", "act"))
    act = actions.event(("shop", "act"))
    feed.seen(policy())
    assert (mine.is_set(), other.is_set(), act.is_set()) == (True, False, False)
    mine.clear()
    feed.seen(action())
    assert (mine.is_set(), other.is_set(), act.is_set()) == (False, False, True)
