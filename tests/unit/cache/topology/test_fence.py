"""When a node is known to accept no write any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.cache_tier_status import FailoverPhase, NodeRole
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NodeCommandResult
from sophia_operator.core.cache.topology.fence import Fence, Suspect, ended, fence
from sophia_operator.core.cache.topology.sight import sight
from tests.support.cache_topology_scene import REFUSED, SILENT, Scene, at, name, node, replica

OLD = Suspect(name(0), "run0", True)


def cut_off(nodes: int = 2, **more: Any) -> Scene:
    """The primary answers nobody, and its replicas do not hear from it."""
    scene = Scene(nodes).says(0, SILENT)
    for index in range(1, nodes):
        scene.says(index, replica(index, link_idle_seconds=6))
    return scene.failover(FailoverPhase.FENCING, **more)


def fenced(scene: Scene, candidate: int = 1) -> Fence:
    assert scene.status.failover is not None
    return fence(scene.sight(), scene.status.failover, name(candidate))


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"ended": True}, SILENT),
        ({"address": None}, SILENT),
        ({}, REFUSED),
        ({}, replica(0, 1)),
        ({}, replica(0, None, run_id="another")),
        ({}, node(0, NodeRole.PRIMARY, run_id="another")),
    ],
)
def test_a_process_that_ended_or_says_so_accepts_no_writes(change: dict[str, Any], answer: Any) -> None:
    scene = cut_off().change(0, **change).says(0, answer)
    assert ended(scene.sight(), OLD)
    assert fenced(scene).up


@pytest.mark.parametrize(
    "answer",
    [
        SILENT,
        CacheFailure(CacheFault.LOADING, "LOADING"),
        node(0, NodeRole.PRIMARY),
        replica(0, 1, failover_state="failover-in-progress"),
    ],
)
def test_any_other_may_still_accept_writes(answer: Any) -> None:
    scene = cut_off().says(0, answer)
    assert not ended(scene.sight(), OLD)
    assert not fenced(scene).up


def test_a_pod_that_is_gone_has_ended() -> None:
    scene = cut_off()
    del scene.views[0]
    assert ended(scene.sight(), OLD)


def test_a_new_pod_tells_that_the_process_of_the_one_before_ended() -> None:
    tier, observed = cut_off().parts()
    anew = replace(observed, nodes=(replace(observed.nodes[0], uid="new"), *observed.nodes[1:]))
    assert ended(sight(tier, anew, at(100), 0.5), OLD)
    assert not ended(sight(tier, anew, at(100), 0.5), Suspect(name(0), "another", True))


def test_a_refusal_counts_only_while_no_replica_hears() -> None:
    scene = cut_off().says(0, REFUSED).says(1, replica(1))
    assert not ended(scene.sight(), OLD)


def test_what_may_hand_over_still_can_make_its_heir_a_primary() -> None:
    heir = Suspect(name(1), None, True, heir_of=name(0))
    assert not ended(cut_off().sight(), heir)
    assert ended(cut_off().says(0, replica(0, 1)).sight(), heir)
    assert ended(cut_off().change(0, ended=True).sight(), heir)


def test_replicas_stop_following_and_then_some_time_goes_by() -> None:
    scene = cut_off(3)
    first = fenced(scene)
    assert [(c.node, c.verb.value, c.target) for c in first.commands] == [
        (name(1), "Follow", None),
        (name(2), "Follow", None),
    ]
    assert not first.up
    assert first.detached_at is None

    scene.says(1, replica(1, None)).says(2, replica(2, None))
    second = fenced(scene)
    assert (second.up, second.detached_at, second.commands) == (False, scene.now, ())

    for seconds, up in ((7.9, False), (8.0, True)):
        scene.failover(FailoverPhase.FENCING, detached_at=at(100 - seconds))
        assert fenced(scene).up is up


def test_it_is_said_what_keeps_a_replica_from_being_told() -> None:
    scene = cut_off(3)
    scene.told[name(2), "Follow"] = NodeCommandResult(at(99), CacheFailure(CacheFault.NO_PERMISSION, "NOPERM"))
    why = fenced(scene).why
    assert why == (Reason.FENCING, f"nodes stop following {name(0)}; {name(2)} does not yet: NOPERM")


def test_one_that_follows_again_starts_the_time_anew() -> None:
    scene = cut_off(detached_at=at(50))
    assert fenced(scene).detached_at is None
    assert not fenced(scene).up


def test_a_node_that_cannot_be_reached_may_follow_it() -> None:
    scene = cut_off(3, detached_at=at(50)).says(1, replica(1, None)).says(2, SILENT)
    out = fenced(scene)
    assert not out.up
    assert out.why is not None
    assert out.why[0] is Reason.FENCING
    assert "kubectl delete pod shop-cache-2" in out.why[1]
    scene.change(2, ended=True)
    assert fenced(scene).up


def test_one_that_was_not_guarded_is_never_fenced_by_its_replicas() -> None:
    scene = cut_off(detached_at=at(1)).says(1, replica(1, None)).set(guarded=False)
    out = fenced(scene)
    assert not out.up
    assert out.commands == ()
    assert out.why is not None
    assert "kubectl delete pod shop-cache-0" in out.why[1]


def test_after_a_restart_of_the_operator_the_silence_counts_from_the_beginning() -> None:
    scene = cut_off(ago=1)
    scene.last.clear()
    assert fenced(scene).commands == ()
    scene.failover(FailoverPhase.FENCING, ago=3)
    assert fenced(scene).commands != ()


def test_one_that_was_told_to_become_the_primary_is_fenced_like_one() -> None:
    scene = cut_off(3).failover(FailoverPhase.PROMOTING, to_node=name(1), told_at=at(95), detached_at=at(50))
    scene.change(0, ended=True).says(1, SILENT).says(2, replica(2, None))
    assert fenced(scene, 2).up, "nobody follows it for long enough"
    scene.says(2, replica(2, 1, link_idle_seconds=9))
    assert not fenced(scene, 2).up
    scene.says(1, REFUSED)
    assert fenced(scene, 2).up


def test_what_says_that_it_is_a_primary_is_told_otherwise() -> None:
    scene = cut_off(3).says(2, node(2, NodeRole.PRIMARY)).change(0, ended=True)
    out = fenced(scene)
    assert not out.up
    assert [(c.node, c.verb.value) for c in out.commands] == [(name(2), "Follow"), (name(2), "DisconnectClients")]
