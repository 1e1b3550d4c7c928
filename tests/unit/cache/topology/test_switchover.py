"""A living primary hands over, nodes are replaced, and there are to be fewer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sophia_operator.api.cache_tier_status import FailoverPhase, PastFailover
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import NodeCommandResult
from sophia_operator.core.cache.topology import plan_topology
from tests.support.cache_topology_scene import (
    REFUSED,
    SILENT,
    Scene,
    at,
    guarding,
    head,
    name,
    replica,
    told,
)


def switching(nodes: int = 2, **more: object) -> Scene:
    scene = Scene(nodes).change(0, terminating=True)
    given = {"to_node": name(1), "told_at": at(99), "planned": True, **more}
    return scene.failover(FailoverPhase.SWITCHING, **given)  # type: ignore[arg-type]


def test_nothing_is_done_while_all_is_well() -> None:
    plan = Scene(3).plan()
    assert (plan.commands, plan.labels, plan.delete, plan.failover, plan.reason) == ((), {}, (), None, None)
    assert (plan.primary, plan.guarded, plan.scale, plan.wait) == (name(0), True, 3, None)


def test_a_primary_on_its_way_out_hands_over() -> None:
    plan = Scene().change(0, terminating=True).plan()
    assert told(plan) == ["0 HandOver 1"]
    assert plan.failover is not None
    assert (plan.failover.planned, plan.failover.told_at, plan.primary) == (True, at(100), name(0))


def test_with_several_replicas_it_is_braced_first() -> None:
    scene = Scene(3).change(0, terminating=True)
    assert told(scene.plan()) == ["0 Configure 2"]
    scene.says(0, head(0, (1, 2), settings=guarding(2)))
    assert told(scene.plan()) == ["0 HandOver 1"]


@pytest.mark.parametrize("why", ["not guarded", "not ready", "link down", "not online", "heir not guarded"])
def test_it_does_not_hand_over_to_what_cannot_take_over(why: str) -> None:
    scene = Scene().change(0, terminating=True)
    if why == "not guarded":
        scene.set(guarded=False)
    elif why == "not ready":
        scene.change(1, ready=False)
    elif why == "link down":
        scene.says(1, replica(1, link_up=False))
    elif why == "not online":
        scene.says(0, head(0, ()))
    else:
        scene.says(1, replica(1, settings=guarding(0)))
    plan = scene.plan()
    assert not any("HandOver" in t for t in told(plan))
    assert plan.failover is None
    assert plan.reason is not None
    assert plan.reason[0] is Reason.SYNCING


def test_once_the_roles_have_changed_clients_of_the_old_one_are_cut_off() -> None:
    scene = switching().says(0, replica(0, 1)).says(1, head(1, (0,)))
    plan = scene.plan()
    assert plan.past is not None
    assert (plan.past.planned, plan.past.lost_bytes, plan.primary) == (True, 0, name(1))
    assert "0 DisconnectClients" in told(plan)
    assert plan.labels == {name(0): None, name(1): None}
    scene.change(0, role_label=None).change(1, role_label=None)
    assert scene.plan().labels[name(1)] == "primary"


def test_clients_are_cut_off_until_that_is_known_to_be_done() -> None:
    past = PastFailover(cause="x", planned=True, from_node=name(1), to_node=name(0), started_at=at(90), ended_at=at(95))
    scene = Scene().set(failovers=[past])
    assert told(scene.plan()) == ["1 DisconnectClients"]
    scene.told[name(1), "DisconnectClients"] = NodeCommandResult(at(96))
    assert told(scene.plan()) == []
    scene.told.clear()
    scene.set(failovers=[past.model_copy(update={"ended_at": at(30)})])
    assert told(scene.plan()) == []


def test_a_try_that_came_to_nothing_is_repeated_ever_more_seldom() -> None:
    assert told(switching(told_at=at(99)).plan()) == []
    plan = switching(told_at=at(98.5)).plan()
    assert told(plan) == ["0 HandOver 1"]
    assert plan.failover is not None
    assert plan.failover.attempt == 2
    assert told(switching(told_at=at(97), attempt=4).plan()) == ["0 HandOver 1"], "its pod is soon gone"
    patient = switching(told_at=at(95), attempt=4).change(0, terminating=False, current=False)
    assert told(patient.plan()) == []


@pytest.mark.parametrize(("ago", "cancels"), [(14, False), (15, True)])
def test_one_that_takes_too_long_is_called_off(ago: float, cancels: bool) -> None:
    scene = switching(told_at=at(100 - ago)).says(0, head(failover_state="waiting-for-sync"))
    assert told(scene.plan()) == (["0 CancelHandOver"] if cancels else [])


def test_one_whose_heir_ended_is_called_off_at_once() -> None:
    scene = switching().says(0, replica(0, 1, failover_state="failover-in-progress")).says(1, REFUSED)
    assert told(scene.plan()) == ["0 CancelHandOver"]


def test_of_two_primaries_the_new_one_stays() -> None:
    plan = switching().says(1, head(1, ())).plan()
    assert plan.primary == name(1)
    assert told(plan)[:2] == ["0 Follow 1", "0 DisconnectClients"]


def test_a_primary_that_is_lost_meanwhile_is_fenced_and_its_heir_takes_over() -> None:
    scene = switching(3).says(0, SILENT)
    for index in (1, 2):
        scene.says(index, replica(index, link_idle_seconds=6, offset=100 if index == 1 else 900))
    plan = scene.plan()
    assert plan.failover is not None
    assert (plan.failover.phase, plan.failover.to_node, plan.failover.planned) == ("Fencing", name(1), False)
    assert told(plan) == ["1 Follow", "2 Follow"]


def test_an_heir_that_does_not_answer_is_fenced_before_the_old_one_goes_on() -> None:
    plan = switching().says(1, SILENT).plan()
    assert plan.failover is not None
    assert (plan.failover.phase, plan.failover.to_node) == ("Fencing", name(1))


def rolling(nodes: int = 2) -> Scene:
    scene = Scene(nodes)
    for index in range(nodes):
        scene.change(index, current=False)
    return scene


def test_replicas_go_first_and_the_highest_of_them() -> None:
    plan = rolling(3).plan()
    assert [(d.name, d.uid) for d in plan.delete] == [(name(2), "u2")]
    assert plan.reason is not None
    assert plan.reason[0] is Reason.ROLLING


def test_the_last_replica_goes_once_the_primary_does_without() -> None:
    scene = rolling()
    plan = scene.plan()
    assert (plan.delete, told(plan), plan.guarded) == ((), ["0 Configure 0"], False)
    scene.says(0, head(settings=guarding(0)))
    assert scene.plan().delete == (), "the status still says that it is guarded"
    assert [d.name for d in scene.set(guarded=False).plan().delete] == [name(1)]


@pytest.mark.parametrize("why", ["not ready", "not in sync", "terminating", "missing", "not caught up", "paused"])
def test_no_node_goes_while_another_is_not_well(why: str) -> None:
    scene = rolling(3).change(1, current=True)
    if why == "not ready":
        scene.change(1, ready=False)
    elif why == "not in sync":
        scene.says(1, replica(1, link_up=False))
    elif why == "terminating":
        scene.change(1, terminating=True)
    elif why == "missing":
        del scene.views[1]
    elif why == "not caught up":
        scene.caught_up = False
    else:
        scene.paused = True
    assert scene.plan().delete == ()


def test_a_broken_node_is_replaced_when_it_is_outdated_itself() -> None:
    scene = rolling(3).change(1, ready=False).says(1, REFUSED)
    assert [d.name for d in scene.plan().delete] == [name(1)]
    assert scene.change(1, current=True).plan().delete == ()


def test_the_primary_hands_over_once_all_replicas_are_current() -> None:
    scene = Scene().change(0, current=False)
    assert told(scene.plan()) == ["0 HandOver 1"]
    scene.change(1, ready=False)
    plan = scene.plan()
    assert told(plan) == []
    assert plan.reason is not None
    assert name(1) in plan.reason[1]
    scene.change(1, ready=True).paused = True
    assert told(scene.plan()) == []


def test_a_single_node_is_replaced_with_its_keys() -> None:
    scene = Scene(1).says(0, head(0, (), settings=guarding(0))).change(0, current=False)
    assert [d.name for d in scene.plan().delete] == [name(0)]


def test_there_are_fewer_only_once_the_primary_stays() -> None:
    scene = Scene(3)
    scene.managed["replicas"] = 1
    assert scene.plan().scale == 2
    scene.paused = True
    assert scene.plan().scale == 3
    moved = Scene(3).set(primary=name(2), primary_run_id="run2")
    moved.managed["replicas"] = 1
    moved.says(2, head(2, (0, 1), settings=guarding(2))).says(0, replica(0, 2)).says(1, replica(1, 2))
    plan = moved.plan()
    assert plan.scale == 3
    assert told(plan) == ["2 HandOver 0"]


def test_the_last_replica_is_taken_away_once_the_primary_does_without() -> None:
    scene = Scene()
    scene.managed["replicas"] = 0
    plan = scene.plan()
    assert (plan.scale, told(plan), plan.guarded) == (2, ["0 Configure 0"], False)
    scene.says(0, head(settings=guarding(0))).set(guarded=False)
    assert scene.plan().scale == 1


def test_a_replica_that_comes_into_sync_guards_the_primary_again() -> None:
    scene = Scene().says(0, head(settings=guarding(0))).set(guarded=False)
    plan = scene.plan()
    assert (told(plan), plan.guarded) == (["0 Configure 1"], False)
    seen = scene.says(0, head()).plan()
    assert (told(seen), seen.guarded) == ([], True)
    scene.told[name(0), "Configure"] = NodeCommandResult(at(99), SILENT)
    assert not scene.plan().guarded, "it may be carried out yet"


def test_replicas_that_want_another_number_are_told() -> None:
    assert told(Scene().says(1, replica(1, settings=guarding(2))).plan()) == ["1 Configure 1"]


def test_labels_of_replicas() -> None:
    scene = Scene(3).change(1, role_label=None).says(2, replica(2, link_up=False, link_down_seconds=31))
    assert scene.plan().labels == {name(1): "replica", name(2): None}
    scene.says(2, replica(2, link_up=False, link_down_seconds=30)).says(1, replica(1, link_up=False))
    assert scene.plan().labels == {}
    assert scene.says(2, replica(2, loading=True)).plan().labels == {name(2): None}
    assert scene.says(2, SILENT).plan().labels == {}, "its readiness says the rest"


def test_an_adopted_redis_is_only_looked_at() -> None:
    scene = Scene(1)
    tier, observed = scene.parts()
    external = type(tier.spec).model_validate({"level": "Redis", "redis": {"external": {"host": "redis.example"}}})
    plan = plan_topology(replace(tier, spec=external), observed, scene.now, 0.5)
    assert (plan.primary, plan.primary_run_id, plan.commands, plan.labels) == (name(0), "run0", (), {})


def test_what_the_heir_said_before_the_old_one_stepped_down_counts_for_nothing() -> None:
    scene = switching().says(0, replica(0, of=1))
    waiting = scene.plan()
    assert told(waiting) == []
    assert waiting.reason is not None
    assert waiting.reason[0] is Reason.SWITCHING_OVER
    assert waiting.failover is not None
    assert (waiting.failover.planned, waiting.failover.detached_at) == (True, at(100))
    # Looked at once more, it says the same: then nobody is the primary.
    again = switching(detached_at=at(99.5)).says(0, replica(0, of=1)).plan()
    assert again.failover is not None
    assert again.failover.planned is False
