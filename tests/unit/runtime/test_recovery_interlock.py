"""What a rollout sees of recovery in its namespace."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.recovery_values import Action, Symptom, TargetKind
from sophia_operator.core.recovery.seen import ActSeen, RecoverySeen
from sophia_operator.runtime.recovery.interlock import seen_in
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import RECOVERY, Dependency
from tests.support.recovery_objects import NAMESPACE, action, policy

SINCE = "2026-03-01T12:00:00Z"
SYMPTOM = {"kind": "ConnectionPool", "name": "orders", "symptom": "ConnectionLost", "since": SINCE, "message": "lost"}


def seen(*objects: dict[str, Any]) -> tuple[RecoverySeen, set[Dependency]]:
    store, depends = ObjectStore(), set[Dependency]()
    for number, obj in enumerate(objects, start=1):
        obj["metadata"]["resourceVersion"] = str(number)
        store.put(obj)
    return seen_in(store, NAMESPACE, depends), depends


def left(reason: str = "LeftToRelease", **changes: Any) -> dict[str, Any]:
    return {"symptoms": [SYMPTOM | {"verdict": "Wait", "reason": reason} | changes]}


def test_nothing_is_seen_where_there_is_no_policy() -> None:
    assert seen() == (RecoverySeen(), {(RECOVERY, "", NAMESPACE)})


@pytest.mark.parametrize("phase", ["Claimed", "Running", "Verifying"])
def test_acts_under_way_are_seen(phase: str) -> None:
    found, _ = seen(action("one", phase), action("over", "Succeeded"), action("waits", "Waiting"))
    assert [(act.name, act.action) for act in found.acts] == [("one", Action.RECONNECT)]
    assert found.acts[0].target[0] is TargetKind.CONNECTION_POOL


def test_message_to_people_is_no_act() -> None:
    told = action("one", "Claimed")
    told["spec"]["action"] = "Notify"
    assert seen(told)[0].acts == ()


def test_storm_is_seen_with_what_it_is() -> None:
    stormy = policy("all", status={"storm": {"since": SINCE, "targets": 3, "of": 4}})
    found, _ = seen(policy("calm"), stormy)
    assert found.storm == ("all", "3 of 4 objects showed symptoms at its worst")
    stormy["metadata"]["deletionTimestamp"] = SINCE
    assert seen(stormy)[0].storm is None


def test_symptom_that_is_left_to_a_release_is_seen() -> None:
    (found,) = seen(policy("all", status=left()))[0].left
    assert (found.policy, found.symptom, found.message) == ("all", Symptom.CONNECTION_LOST, "lost")
    assert found.target == (TargetKind.CONNECTION_POOL, "orders")


@pytest.mark.parametrize(
    "status", [left("SymptomIsNew"), left(goneSince=SINCE), left(symptom="SlowQueries"), left(kind="Nothing")]
)
def test_other_symptoms_are_none_of_a_release(status: dict[str, Any]) -> None:
    assert seen(policy("all", status=status))[0].left == ()


@pytest.mark.parametrize(("mode", "counts"), [("Auto", 1), ("Approve", 1), ("DryRun", 0), ("Off", 0), (None, 1)])
def test_policy_that_would_do_nothing_rolls_nothing_back(mode: str | None, counts: int) -> None:
    obj = policy("all", status=left())
    if mode is not None:
        obj["spec"]["mode"] = mode
    assert len(seen(obj)[0].left) == counts


def test_acts_name_is_what_people_look_up() -> None:
    assert (
        ActSeen("one", Action.RECONNECT, (TargetKind.CONNECTION_POOL, "orders"))
        in seen(action("one", "Running"))[0].acts
    )
