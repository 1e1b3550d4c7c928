"""What recovery sees of a namespace: objects, policies, actions, crashing pods, and releases that move."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_values import Mode, TargetKind
from sophia_operator.core.recovery.views import CrashingPod
from sophia_operator.runtime.recovery import observe
from sophia_operator.runtime.recovery import parsed as parsing
from sophia_operator.runtime.store import ObjectStore
from tests.support import bound_tiers
from tests.support.recovery_objects import CREATED, NAMESPACE, action, meta, policy

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
EXAMPLES = Path(__file__).resolve().parents[2] / "api/valid"
LABELS = {
    TargetKind.CONNECTION_POOL: "sophia.ai/pool",
    TargetKind.CACHE_TIER: "sophia.ai/cache",
    TargetKind.MANAGED_SERVICE: "sophia.ai/service",
}


def store_of(*objects: dict[str, Any]) -> ObjectStore:
    store = ObjectStore()
    for number, obj in enumerate(objects, start=1):
        obj["metadata"] = meta(obj["metadata"]["name"], number) | obj["metadata"] | {"resourceVersion": str(number)}
        store.put(obj)
    return store


def example(file: str, **metadata: Any) -> dict[str, Any]:
    # Times as JSON has them.
    found: dict[str, Any] = json.loads(
        json.dumps(yaml.safe_load((EXAMPLES / f"{file}.yaml").read_text()), default=lambda at: at.isoformat())
    )
    found["metadata"] |= {"namespace": NAMESPACE} | metadata
    return found


def test_targets_are_seen_by_kind_and_name_with_their_status() -> None:
    labelled = example("pool-full", labels={"team": "a"})
    objects = [labelled, example("ctier-full"), example("mroute-full"), example("service-full")]
    store = store_of(*objects, example("pool-minimal", name="far", namespace="elsewhere"), bound_tiers.tier("cold"))
    found = observe.targets_of(store, NAMESPACE, TargetKind, NOW)
    assert [target.key for target in found] == [
        (TargetKind.CACHE_TIER, "cold"),
        (TargetKind.CACHE_TIER, "hot"),
        (TargetKind.CONNECTION_POOL, "orders"),
        (TargetKind.MANAGED_SERVICE, "shop"),
        (TargetKind.MODEL_ROUTE, "chat"),
    ]
    pool = found[2]
    assert (pool.labels, pool.uid, pool.generation, pool.deleting) == ({"team": "a"}, "uid-orders", 1, False)
    assert {c.type: c.status for c in pool.status.conditions}["Healthy"] == "True"
    assert isinstance(found[0].spec, CacheTierSpec)
    assert all(target.spec is not None and target.crashing == () for target in found)
    only = observe.targets_of(store, NAMESPACE, [TargetKind.MODEL_ROUTE], NOW)
    assert [target.name for target in only] == ["chat"]
    assert observe.target_of(store, NAMESPACE, TargetKind.MODEL_ROUTE, "chat", NOW) == only[0]
    assert observe.target_of(store, NAMESPACE, TargetKind.MODEL_ROUTE, "other", NOW) is None


def test_a_target_that_breaks_a_rule_is_seen_without_its_spec() -> None:
    broken = bound_tiers.tier(level="Paper")
    broken["metadata"]["deletionTimestamp"] = CREATED
    (target,) = observe.targets_of(store_of(broken), NAMESPACE, [TargetKind.CACHE_TIER], NOW)
    assert target.spec is None
    assert target.deleting


def pod(
    name: str, restarts: int, label: str, *, state: dict[str, Any] | None = None, ended: timedelta | None = None
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "app", "restartCount": restarts, "state": state or {"running": {}}}
    if ended is not None:
        at = (NOW - ended).isoformat().replace("+00:00", "Z")
        container["lastState"] = {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": at}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, labels={label: "near"}),
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


HELD = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}


@pytest.mark.parametrize(("kind", "label"), LABELS.items())
def test_pods_that_crash_are_told_the_worst_first(kind: TargetKind, label: str) -> None:
    target = {"apiVersion": "v1", "kind": kind.value, "metadata": meta("near"), "spec": {}}
    other = next(found for found in LABELS.values() if found != label)
    store = store_of(
        target,
        pod("held", 1, label, state=HELD, ended=timedelta(hours=1)),
        pod("often", 7, label, ended=timedelta(minutes=9)),
        pod("not-lately", 7, label, ended=timedelta(minutes=11)),
        pod("twice", 2, label, ended=timedelta(minutes=1)),
        pod("healthy", 0, label),
        pod("of-another", 9, other, state=HELD),
    )
    (seen,) = observe.targets_of(store, NAMESPACE, [kind], NOW)
    assert seen.crashing == (
        CrashingPod("often", "uid-often", 7, "pod often, container app: ended 7 times, last with code 3 (Error)"),
        CrashingPod("held", "uid-held", 1, "pod held, container app: ended once, last with code 3 (Error)"),
    )


def test_a_pod_that_goes_anyhow_does_not_crash() -> None:
    label = LABELS[TargetKind.CACHE_TIER]
    going, failed = pod("going", 9, label, state=HELD), pod("failed", 9, label, state=HELD)
    going["metadata"]["deletionTimestamp"] = CREATED
    failed["status"]["phase"] = "Failed"
    (seen,) = observe.targets_of(store_of(bound_tiers.tier(), going, failed), NAMESPACE, [TargetKind.CACHE_TIER], NOW)
    assert seen.crashing == ()


def test_policies_that_can_be_read_are_seen_with_their_timers() -> None:
    first = {"kind": "ConnectionPool", "symptom": "ConnectionLost", "since": CREATED}
    timers = {"symptoms": [{**first, "name": "b"}, {**first, "name": "a"}]}
    broken = policy("broken", rules=[])
    going = policy("going")
    going["metadata"]["deletionTimestamp"] = CREATED
    store = store_of(policy("b", status=timers, mode="Auto"), policy("a"), broken, going)
    found = observe.policies_of(store, NAMESPACE)
    assert [(p.name, p.spec.mode) for p in found] == [("a", None), ("b", Mode.AUTO)]
    assert [s.name for s in found[1].status.symptoms] == ["a", "b"], "in one order, whatever the API server's is"
    with pytest.raises(ValidationError):
        observe.policy_view(broken)


def test_a_status_of_a_policy_that_cannot_be_read_begins_anew_and_one_of_an_action_does_not() -> None:
    assert observe.policy_view(policy(status={"symptoms": [{"kind": "Rain"}]})).status.symptoms == []
    with pytest.raises(ValidationError):
        observe.action_view(action(phase="Later"))


def test_actions_are_seen_the_oldest_first_and_those_that_cannot_be_read_are_not() -> None:
    late, early = "2026-03-01T12:00:09Z", "2026-03-01T12:00:03Z"
    store = store_of(
        action("a", "Claimed", metadata={"creationTimestamp": late}),
        action("b", "Succeeded", metadata={"creationTimestamp": early}),
        action("c", metadata={"creationTimestamp": early}),
        action("broken", does="Explode"),
    )
    found = observe.actions_of(store, NAMESPACE)
    assert [(a.name, a.status.phase) for a in found] == [
        ("b", ActionPhase.SUCCEEDED),
        ("c", ActionPhase.PENDING),
        ("a", ActionPhase.CLAIMED),
    ]
    assert found[0].target == (TargetKind.CONNECTION_POOL, "orders")
    assert observe.actions_of(store, "elsewhere") == ()
    assert [a.name for a in observe.acting_in(store, NAMESPACE)] == ["a"]


@pytest.mark.parametrize(
    ("phase", "acting"),
    [(p, p in ("Claimed", "Running", "Verifying")) for p in ActionPhase],
)
def test_what_is_claimed_and_not_over_is_under_way(phase: ActionPhase, acting: bool) -> None:
    store = store_of(action("act", phase.value))
    assert bool(observe.acting_in(store, NAMESPACE)) is acting
    assert observe.acting_in(store, "elsewhere") == ()


def claimed(name: str, ago: timedelta, namespace: str = "elsewhere", **more: Any) -> dict[str, Any]:
    at = (NOW - ago).isoformat().replace("+00:00", "Z")
    return action(name, "Succeeded", namespace=namespace, status={"claimedAt": at}, **more)


def test_acts_of_other_namespaces_in_the_last_hour_count() -> None:
    store = store_of(
        claimed("recent", timedelta(minutes=1, milliseconds=250)),
        claimed("old", timedelta(minutes=59, seconds=59), "third"),
        claimed("too-old", timedelta(hours=1)),
        claimed("own", timedelta(minutes=5), NAMESPACE),
        claimed("dry", timedelta(minutes=5), dryRun=True),
        claimed("told", timedelta(minutes=5), does="Notify"),
        action("never", "Skipped", namespace="elsewhere"),
    )
    assert observe.acts_elsewhere(store, NAMESPACE, NOW) == (
        NOW - timedelta(minutes=59, seconds=59),
        NOW - timedelta(minutes=1, milliseconds=250),
    )
    assert observe.acts_elsewhere(store, "third", NOW) == (
        NOW - timedelta(minutes=5),
        NOW - timedelta(minutes=1, milliseconds=250),
    )


def test_an_act_of_a_clock_that_runs_ahead_counts() -> None:
    store = store_of(claimed("ahead", timedelta(minutes=-31)))
    assert observe.acts_elsewhere(store, NAMESPACE, NOW) == (NOW + timedelta(minutes=31),)


def test_an_act_that_is_deleted_does_not_count_any_more() -> None:
    act = claimed("gone", timedelta(minutes=5))
    store = store_of(act)
    assert len(observe.acts_elsewhere(store, NAMESPACE, NOW)) == 1
    assert store.discard(act | {"metadata": act["metadata"] | {"resourceVersion": "9"}})
    assert observe.acts_elsewhere(store, NAMESPACE, NOW) == ()
    assert observe.actions_of(store, "elsewhere") == ()


def moving(**status: Any) -> dict[str, Any]:
    release = example("release-full")
    release["status"] |= status
    return release


def test_a_release_that_moves_stands_on_its_service_and_all_of_its_bindings() -> None:
    (found,) = observe.moving_of(store_of(moving()), NAMESPACE)
    assert (found.service, found.name, found.revision) == ("shop", "shop-7", 7)
    assert found.started_at == datetime(2030, 1, 2, 3, 0, tzinfo=UTC)
    assert found.has_traffic
    assert found.bound == {
        (TargetKind.MANAGED_SERVICE, "shop"),
        (TargetKind.CACHE_TIER, "embeddings"),
        (TargetKind.CACHE_TIER, "far"),
        (TargetKind.CONNECTION_POOL, "orders"),
        (TargetKind.MODEL_ROUTE, "chat"),
    }


@pytest.mark.parametrize(
    ("state", "moves"),
    [
        *((state, True) for state in ("Provisioning", "SmokeTesting", "Shifting", "RollingBack")),
        *((state, False) for state in ("Pending", "Promoted", "RolledBack", "Failed", "Superseded")),
    ],
)
def test_a_release_moves_while_its_rollout_is_under_way(state: str, moves: bool) -> None:
    store = store_of(moving(state=state))
    assert bool(observe.moving_of(store, NAMESPACE)) is moves
    assert observe.moving_of(store, "elsewhere") == ()


def test_a_release_has_traffic_as_soon_as_it_may_have_some_and_until_it_has_none() -> None:
    for weights, expected in (
        ({"wantedPercent": 0}, False),
        ({"wantedPercent": 5}, True),
        ({"wantedPercent": 0, "writtenPercent": 5}, True),
        ({"wantedPercent": 0, "writtenPercent": 0, "observedPercent": 5}, True),
    ):
        (found,) = observe.moving_of(store_of(moving(weights=weights)), NAMESPACE)
        assert found.has_traffic is expected


def test_a_release_without_a_time_began_when_it_was_made_and_one_that_goes_is_none() -> None:
    release = moving(startedAt=None, stateSince=None)
    (found,) = observe.moving_of(store_of(release), NAMESPACE)
    assert found.started_at == datetime.fromisoformat(CREATED)
    release["metadata"]["deletionTimestamp"] = CREATED
    assert observe.moving_of(store_of(release), NAMESPACE) == ()


def test_what_did_not_change_is_not_parsed_again_and_what_changed_is(monkeypatch: pytest.MonkeyPatch) -> None:
    store, looked = store_of(action("a"), action("b"), bound_tiers.tier()), list[str]()
    get = store.get

    def noted(kind: str, namespace: str, name: str) -> Any:
        looked.append(name)
        return get(kind, namespace, name)

    monkeypatch.setattr(store, "get", noted)

    def look() -> tuple[list[str], list[ActionPhase], bool | None]:
        looked.clear()
        actions = observe.actions_of(store, NAMESPACE)
        target = observe.target_of(store, NAMESPACE, TargetKind.CACHE_TIER, "near", NOW)
        return list(looked), [a.status.phase for a in actions], target.deleting if target is not None else None

    assert look() == (["a", "b", "near"], [ActionPhase.PENDING, ActionPhase.PENDING], False)
    assert look() == ([], [ActionPhase.PENDING, ActionPhase.PENDING], False)
    store.put(action("b", "Claimed", version=8))
    assert look() == (["b"], [ActionPhase.PENDING, ActionPhase.CLAIMED], False)
    tier = bound_tiers.tier()
    tier["metadata"] = meta("near", 9, deletionTimestamp=CREATED)
    store.put(tier)
    assert look() == (["near"], [ActionPhase.PENDING, ActionPhase.CLAIMED], True)
    store.discard(action("b", version=10))
    assert look() == ([], [ActionPhase.PENDING], True)
    store.put(action("b", version=11))
    assert look() == (["b"], [ActionPhase.PENDING, ActionPhase.PENDING], True)


def test_only_so_much_is_kept_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MOST", 2)
    store, made = store_of(action("a"), action("b"), action("c")), list[str]()

    def make(obj: Any) -> str:
        made.append(obj["metadata"]["name"])
        return made[-1]

    for name in ("a", "b", "a", "c", "a", "b"):
        assert parsing.parsed(store, "RecoveryAction", NAMESPACE, name, make) == name
    assert made == ["a", "b", "c", "b"], "what was asked for last stays"
    assert parsing.parsed(store, "RecoveryAction", NAMESPACE, "d", make) is None
