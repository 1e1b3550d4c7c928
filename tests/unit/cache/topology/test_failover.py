"""The primary is lost, comes back, or there was none yet."""

from __future__ import annotations

import pytest

from sophia_operator.api.cache_tier_status import CacheTierStatus, FailoverPhase
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommandResult
from tests.support.cache_topology_scene import (
    REFUSED,
    SILENT,
    Scene,
    address,
    at,
    guarding,
    head,
    name,
    replica,
    told,
    view,
)


def fresh(nodes: int = 2, **managed: object) -> Scene:
    """Nodes that were just started, and a tier that knows nothing."""
    scene = Scene(nodes, **managed)
    scene.status = CacheTierStatus()
    for index in range(nodes):
        scene.change(index, role_label=None).says(index, replica(index, None))
    return scene


def test_the_first_primary_is_the_lowest_of_the_same() -> None:
    plan = fresh(3).plan()
    assert told(plan) == ["0 Promote"]
    assert plan.failover is not None
    assert (plan.failover.phase, plan.failover.from_node, plan.failover.to_node) == ("Promoting", None, name(0))
    assert plan.primary is None


def test_the_first_primary_is_the_one_with_the_longest_history() -> None:
    assert told(fresh(3).says(1, replica(1, None, offset=50)).plan()) == ["1 Promote"]


def test_once_it_says_so_it_is_the_primary_and_the_others_follow() -> None:
    scene = fresh().says(0, head(0, ()))
    scene.failover(FailoverPhase.PROMOTING, from_node=None, to_node=name(0), told_at=at(99))
    plan = scene.plan()
    assert (plan.primary, plan.primary_run_id, plan.failover, plan.past) == (name(0), "run0", None, None)
    assert told(plan) == ["1 Follow 0", "0 Configure 0"]
    assert plan.labels == {name(0): "primary"}
    assert not plan.guarded, "taken back before it is told 0"


@pytest.mark.parametrize(("storage", "waits"), [(None, False), ({"sizeMegabytes": 10}, True)])
def test_one_that_does_not_run_yet_is_waited_for_only_with_a_volume(storage: object, waits: bool) -> None:
    more = {"storage": storage, "persistence": "Snapshot"} if storage else {}
    scene = fresh(2, **more).says(1, REFUSED)
    plan = scene.plan()
    assert (told(plan) == []) is waits
    if waits:
        assert plan.reason is not None
        assert plan.reason[0] is Reason.NO_PRIMARY
        assert name(1) in plan.reason[1]
        assert "spec.redis.managed.replicas" in plan.reason[1]
    del scene.views[1]
    assert (told(scene.plan()) == []) is waits


def test_one_that_cannot_be_reached_may_be_the_primary() -> None:
    plan = fresh().says(1, SILENT).plan()
    assert told(plan) == []
    assert plan.reason is not None
    assert name(1) in plan.reason[1]


def test_without_a_status_the_one_that_says_so_is_the_primary() -> None:
    scene = Scene().set(primary=None, primary_run_id=None, guarded=False)
    plan = scene.plan()
    assert (plan.primary, plan.primary_run_id, plan.guarded) == (name(0), "run0", True)
    assert plan.labels == {}
    assert told(plan) == []
    held = scene.says(1, SILENT).plan()
    assert (held.primary, held.labels) == (None, {}), "labels stay as they are meanwhile"


def test_without_a_status_the_labelled_of_two_stays() -> None:
    scene = Scene().set(primary=None, primary_run_id=None).says(1, head(1, (), offset=900))
    plan = scene.plan()
    assert plan.primary == name(0)
    assert told(plan)[:2] == ["1 Follow 0", "1 DisconnectClients"]
    assert plan.reason is not None
    assert plan.reason[0] is Reason.TWO_PRIMARIES


@pytest.mark.parametrize("ended", [True, False])
def test_a_process_that_ended_is_replaced_at_once(ended: bool) -> None:
    scene = Scene(3).says(0, SILENT if ended else REFUSED, seconds_ago=0.5).change(0, ended=ended)
    for index in (1, 2):
        scene.says(index, replica(index, link_up=False, link_idle_seconds=None, link_down_seconds=0))
    plan = scene.plan()
    assert told(plan) == ["1 Promote"]
    assert plan.labels == {name(0): None}
    assert plan.primary is None
    assert [n.reason for n in plan.notices] == ["PrimaryLost"]


def test_the_one_with_more_of_it_takes_over_and_what_is_missing_is_counted() -> None:
    scene = Scene(3).says(0, REFUSED, head(0, (1, 2), offset=130))
    scene.says(1, replica(1, offset=110, link_up=False)).says(2, replica(2, offset=120, link_up=False))
    plan = scene.plan()
    assert told(plan) == ["2 Promote"]
    assert plan.failover is not None
    assert plan.failover.lost_bytes == 10


def test_another_history_counts_less_than_a_shorter_one() -> None:
    scene = Scene(3).says(0, REFUSED).says(1, replica(1, None, offset=900)).says(2, replica(2, link_up=False))
    assert told(scene.plan()) == ["2 Promote"]


def test_a_candidate_is_guarded_before_it_is_told() -> None:
    scene = Scene().says(0, REFUSED).says(1, replica(1, link_up=False, settings=guarding(0)))
    plan = scene.plan()
    assert told(plan) == ["1 Configure 1"]
    assert plan.failover is not None
    assert plan.failover.told_at is None
    late = Scene().says(0, REFUSED).says(1, replica(1, link_up=False, settings=guarding(1, 60)))
    assert told(late.plan()) == ["1 Configure 1"], "a longer lag guards for less long than is waited"


def test_the_new_primary_is_written_down() -> None:
    scene = Scene(3).says(0, REFUSED).says(1, head(1, (), run_id="run1")).says(2, replica(2, link_up=False))
    scene.failover(FailoverPhase.PROMOTING, to_node=name(1), told_at=at(99), lost_bytes=7).change(0, role_label=None)
    plan = scene.plan()
    assert plan.past is not None
    assert (plan.past.from_node, plan.past.to_node, plan.past.planned, plan.past.lost_bytes) == (
        name(0),
        name(1),
        False,
        7,
    )
    assert (plan.primary, plan.primary_run_id, plan.failover) == (name(1), "run1", None)
    assert told(plan) == ["2 Follow 1", "1 Configure 0"]
    assert plan.labels[name(1)] == "primary"


def test_one_that_was_told_and_does_not_say_so_is_told_again_after_a_second() -> None:
    scene = Scene().says(0, REFUSED).says(1, replica(1, link_up=False))
    assert told(scene.failover(FailoverPhase.PROMOTING, to_node=name(1), told_at=at(99.5)).plan()) == []
    plan = scene.failover(FailoverPhase.PROMOTING, to_node=name(1), told_at=at(99)).plan()
    assert told(plan) == ["1 Promote"]
    assert plan.failover is not None
    assert plan.failover.attempt == 2


@pytest.mark.parametrize("seconds_ago", [1.0, 2.9])
def test_a_short_silence_means_nothing(seconds_ago: float) -> None:
    scene = Scene().says(0, SILENT, seconds_ago=seconds_ago).says(1, replica(1, link_idle_seconds=6))
    plan = scene.plan()
    assert (plan.primary, plan.failover, told(plan), plan.labels) == (name(0), None, [], {})


@pytest.mark.parametrize(
    "answer",
    [
        SILENT,
        REFUSED,
        CacheFailure(CacheFault.AUTHENTICATION_FAILED, "WRONGPASS"),
        CacheFailure(CacheFault.LOADING, ""),
    ],
)
def test_one_that_only_the_operator_cannot_reach_stays(answer: CacheFailure) -> None:
    plan = Scene().says(0, answer, seconds_ago=60).plan()
    assert (plan.primary, plan.failover, plan.labels) == (name(0), None, {})
    assert plan.reason is not None
    assert plan.reason[0] is Reason.NODE_UNREACHABLE


def test_while_no_node_answers_nothing_is_done() -> None:
    plan = Scene(3).says(0, SILENT).says(1, SILENT).says(2, SILENT).plan()
    assert (plan.primary, plan.failover, told(plan), plan.labels) == (name(0), None, [], {})
    assert plan.reason is not None
    assert plan.reason[0] is Reason.NODE_UNREACHABLE


def test_looks_that_are_old_say_nothing() -> None:
    scene = Scene().says(0, SILENT).says(1, replica(1, link_idle_seconds=6))
    scene.looked = at(90)
    assert scene.plan().failover is None


def test_it_is_called_off_when_the_primary_answers_again() -> None:
    scene = Scene().failover(FailoverPhase.FENCING, detached_at=at(97)).says(1, replica(1, None, replication_id="h1"))
    plan = scene.says(0, head(0, ())).plan()
    assert (plan.primary, plan.failover, plan.past) == (name(0), None, None)
    assert told(plan) == ["1 Follow 0", "0 Configure 0"]


def test_it_is_not_called_off_once_another_was_told() -> None:
    scene = Scene().failover(FailoverPhase.PROMOTING, to_node=name(1), told_at=at(99)).says(1, head(1, ()))
    plan = scene.plan()
    assert plan.primary == name(1)
    assert told(plan)[:2] == ["0 Follow 1", "0 DisconnectClients"]


def test_without_a_history_the_others_are_waited_for() -> None:
    scene = Scene(3, persistence="AppendOnly", storage={"sizeMegabytes": 10})
    scene.says(0, REFUSED, seconds_ago=1).says(1, replica(1, None)).says(2, SILENT).change(2, ended=True)
    scene.last.clear()
    scene.failover(FailoverPhase.FENCING, ago=29)
    plan = scene.plan()
    assert told(plan) == []
    assert plan.reason is not None
    assert name(0) in plan.reason[1]
    assert told(scene.failover(FailoverPhase.FENCING, ago=30).plan()) == ["1 Promote"]


@pytest.mark.parametrize(("persistence", "commands"), [("None", ["1 Promote"]), ("Snapshot", [])])
def test_an_operator_that_forgot_the_primary_knows_a_history_that_no_disk_can_have_held(
    persistence: str, commands: list[str]
) -> None:
    scene = Scene(2, persistence=persistence).says(0, SILENT).says(1, replica(1, None, offset=100))
    scene.last.clear()
    scene.failover(FailoverPhase.FENCING, ago=15, detached_at=at(91))
    assert told(scene.plan()) == commands


def test_alone_it_is_promoted_again() -> None:
    scene = Scene(1).says(0, replica(0, None, run_id="another"))
    assert told(scene.plan()) == ["0 Promote"]
    reading = Scene(1).says(0, replica(0, None, run_id="another", loading=True)).plan()
    assert told(reading) == []
    assert reading.reason is not None
    assert reading.reason[1] == f"{name(0)} is no primary any more, and {name(0)} still reads its data from disk"
    nothing = Scene(1).says(0, REFUSED).plan()
    assert told(nothing) == []
    assert nothing.reason is not None
    assert nothing.reason[0] is Reason.NO_PRIMARY


def test_a_primary_that_somebody_else_made_is_taken_over() -> None:
    plan = Scene().says(0, replica(0, 1)).says(1, head(1, (0,))).plan()
    assert (plan.primary, plan.primary_run_id, plan.failover) == (name(1), "run1", None)
    assert plan.labels == {name(0): None, name(1): None}, "the new one gets its label once the old one lost it"


def test_a_failover_goes_on_in_a_paused_tier() -> None:
    scene = Scene().says(0, REFUSED).says(1, replica(1, link_up=False))
    scene.paused = True
    assert told(scene.plan()) == ["1 Promote"]


def test_a_new_pod_of_that_name_is_none_that_is_followed() -> None:
    scene = Scene().says(1, replica(1, primary_host="10.9.9.9"))
    assert told(scene.plan())[0] == "1 Follow 0"
    scene.told[name(1), "Follow"] = NodeCommandResult(at(100))
    assert "1 Follow 0" not in told(scene.plan()), "not before it is seen what came of it"
    assert view(1).address == address(1)
