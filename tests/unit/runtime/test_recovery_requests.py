"""RecoveryActions as their target sees them: what was claimed, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action, Symptom
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.runtime.recovery.requests import requests_for
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Dependency, Feed, Wakeups
from tests.support.recovery_objects import action

CLAIMED = "2026-03-01T12:00:05Z"
TRIGGER = {
    "policy": "pools",
    "symptom": "SlowQueries",
    "since": "2026-03-01T11:59:00Z",
    "step": 1,
    "timeoutSeconds": 60,
}


def requests(*actions: dict[str, Any]) -> tuple[ActRequest, ...]:
    store = ObjectStore()
    for one in actions:
        store.put(one)
    return requests_for(store, "ConnectionPool", "shop", "orders", set())


def test_one_that_is_claimed_may_begin_and_says_all_that_it_takes() -> None:
    made = action(
        "act",
        "Claimed",
        does="CancelStatement",
        parameters={"minSeconds": 60},
        trigger=TRIGGER,
        status={"claimedAt": CLAIMED},
    )
    assert requests(made) == (
        ActRequest(
            name="act",
            uid="uid-act",
            action=Action.CANCEL_STATEMENT,
            parameters=Parameters(min_seconds=60),
            claimed_at=datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC),
            may_begin=True,
            symptom=Symptom.SLOW_QUERIES,
            since=datetime(2026, 3, 1, 11, 59, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize("phase", [None, "Pending", "Waiting", "AwaitingApproval", "Skipped", "Refused", "Later"])
def test_what_was_not_claimed_is_not_asked_for(phase: str | None) -> None:
    assert requests(action("act", phase)) == ()


@pytest.mark.parametrize("phase", ["Running", "Verifying", "Succeeded", "Failed", "Unknown"])
def test_what_was_acted_on_is_known_and_does_not_begin(phase: str) -> None:
    (request,) = requests(action("act", phase, status={"claimedAt": CLAIMED}))
    assert (request.name, request.may_begin) == ("act", False)


def test_a_dry_run_never_begins() -> None:
    (request,) = requests(action("act", "Claimed", dryRun=True))
    assert not request.may_begin


def test_one_that_is_being_deleted_is_not_there() -> None:
    gone = {"deletionTimestamp": "2026-03-01T12:01:00Z"}
    assert requests(action("act", "Claimed", metadata=gone)) == ()


def test_only_those_about_the_target_are_seen_and_by_name() -> None:
    found = requests(
        action("b", "Claimed"),
        action("a", "Succeeded"),
        action("other-name", "Claimed", target=("ConnectionPool", "invoices")),
        action("other-kind", "Claimed", target=("CacheTier", "orders")),
        action("other-namespace", "Claimed", namespace="elsewhere"),
    )
    assert [request.name for request in found] == ["a", "b"]


def test_one_that_names_another_namespace_is_nobodys() -> None:
    made = action("act", "Claimed")
    made["spec"]["target"]["namespace"] = "elsewhere"
    assert requests(made) == ()
    made["spec"]["target"]["namespace"] = "shop"
    assert [request.name for request in requests(made)] == ["act"]


@pytest.mark.parametrize(
    "broken",
    [
        action("broken", "Claimed", does="Explode"),
        action("broken", "Claimed", does="CancelStatement", parameters={"minSeconds": 0}),
        action("broken", "Claimed", trigger={"symptom": "Rain"}),
    ],
    ids=["action", "parameters", "symptom"],
)
def test_one_that_cannot_be_read_is_left_out_alone(broken: dict[str, Any]) -> None:
    assert [request.name for request in requests(broken, action("whole", "Claimed"))] == ["whole"]


@pytest.mark.parametrize("does", ["RestartPod", "Notify"])
def test_what_the_loop_of_the_action_does_itself_is_not_asked_of_the_target(does: str) -> None:
    assert requests(action("act", "Claimed", does=does)) == ()


def test_the_target_is_woken_when_one_is_claimed_changes_or_goes_and_for_nothing_else() -> None:
    store, pools, key = ObjectStore(), Wakeups(), ("shop", "orders")
    feed = Feed(store, Wakeups(), pools)
    depends: set[Dependency] = set()
    requests_for(store, "ConnectionPool", *key, depends)
    pools.depend(key, frozenset(depends))
    event = pools.event(key)

    def woken(obj: dict[str, Any], *, gone: bool = False) -> bool:
        event.clear()
        (feed.gone if gone else feed.seen)(obj)
        return event.is_set()

    assert not woken(action(version=1))
    assert not woken(action(phase="Waiting", version=2))
    assert woken(action(phase="Claimed", version=3, status={"claimedAt": CLAIMED}))
    assert not woken(action(phase="Claimed", version=4, status={"claimedAt": CLAIMED, "message": "soon"}))
    assert not woken(action("else", "Claimed", version=5, target=("ConnectionPool", "invoices")))
    assert woken(action(phase="Running", version=6, status={"claimedAt": CLAIMED}))
    ending = {"deletionTimestamp": "2026-03-01T12:01:00Z"}
    assert woken(action(phase="Running", version=7, status={"claimedAt": CLAIMED}, metadata=ending))
    assert woken(action(phase="Running", version=8, status={"claimedAt": CLAIMED}), gone=True)
