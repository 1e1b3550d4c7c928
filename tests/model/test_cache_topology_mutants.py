"""Planners that are wrong on purpose: each breaks a rule on a way that the right one gets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from sophia_operator.api.cache_tier_status import FailoverPhase
from sophia_operator.core.cache.decision import NodeToDelete
from sophia_operator.core.cache.findings import NodeVerb
from sophia_operator.core.cache.topology import failover, fence, guard, labels, plan, roll, sight, switchover
from sophia_operator.core.cache.topology.fence import Fence, Suspect
from sophia_operator.core.cache.topology.guard import Guard
from sophia_operator.core.cache.topology.roll import Roll
from tests.support.cache_nodes import BrokenError
from tests.support.cache_topology_world import World


def _rest(world: World, seconds: float = 120) -> None:
    world.heal()
    world.run(seconds)
    world.judge_rest()


def _begun(nodes: int, *, keeps: bool = False) -> World:
    world = World(nodes, keeps)
    world.run(12)
    world.judge_rest()
    return world


def dies(world: World) -> None:
    """The primary's process ends."""
    world.kill(world.primary())
    world.run(4)
    assert [p.to_node for p in world.status.failovers] == ["shop-cache-1"]
    _rest(world)


def dies_alone(world: World) -> None:
    """The only node's process ends."""
    world.kill(world.primary())
    _rest(world)


def is_cut_off(world: World) -> None:
    """The primary is cut off from everybody but its clients, and comes back; and so on."""
    for index in range(8):
        world.cut(index % 2, operator=True, nodes=True)
        world.run(25)
        assert world.status.primary == f"shop-cache-{1 - index % 2}"
        _rest(world, 20.5 + index / 10)


def is_cut_off_from_the_operator(world: World) -> None:
    """Only the operator cannot reach it: it stays what it is."""
    world.cut(0, operator=True, nodes=False)
    world.run(25)
    assert world.status.primary == "shop-cache-0"
    assert not world.status.failovers
    _rest(world)


def is_cut_off_with_a_replica(world: World) -> None:
    """The primary is cut off with one of its two replicas, which follows it still."""
    for index in (0, 2):
        world.cut(index, operator=True, nodes=True)
    world.net.cuts.discard(frozenset(("machine-0", "machine-2")))
    world.run(40)
    _rest(world)


def is_cut_off_and_a_replica_could_come_back(world: World) -> None:
    """The primary is cut off; as another is promoted, a replica reaches it again, and the operator does not."""
    world.cut(0, operator=True, nodes=True)
    while not any(c.verb is NodeVerb.PROMOTE for t, c in world.given if t > 12):
        world.run(0.1)
    world.cut(2, operator=True, nodes=True)
    world.net.cuts.discard(frozenset(("machine-0", "machine-2")))
    world.run(20)
    _rest(world)


def is_alone_and_cut_off(world: World) -> None:
    """The last replica goes, and comes back as the primary is cut off, so that nothing was told to be guarded."""
    world.kill(world.pod(1))
    world.run(1)
    world.cut(0, operator=True, nodes=True)
    world.run(40)
    _rest(world)


def is_alone_as_the_operator_dies(world: World) -> None:
    """The operator dies as it tells the primary to do without replicas, which that does."""
    world.kill(world.pod(1))
    told = len(world.given)
    while len(world.given) == told:
        world.run(0.1)
    world.restart()
    world.cut(0, operator=True, nodes=True)
    world.run(40)
    _rest(world)


def a_command_is_not_answered(world: World) -> None:
    """A replica is promoted, and the answer gets lost, as it is cut off with a node that follows it."""
    world.kill(world.primary())
    while not any(c.verb is NodeVerb.PROMOTE for t, c in world.given if t > 12):
        world.run(0.1)
    world.cut(1, operator=True, nodes=True)
    world.run(30)
    _rest(world)


def rolls(world: World) -> None:
    """A new template."""
    world.template += 1
    world.run(80)
    assert sum(p.planned for p in world.status.failovers) == 1
    assert not any(not p.planned for p in world.status.failovers)
    _rest(world)


def a_label_stays(world: World) -> None:
    """A label cannot be taken away for a while."""
    world.lost_labels = 3
    world.kill(world.primary())
    world.run(20)
    _rest(world)


def rolls_slowly(world: World) -> None:
    """A new template, and replicas that trail behind."""
    for process in world.net.processes:
        process.slow = True
    rolls(world)


def hands_over_and_the_answer_is_lost(world: World) -> None:
    """As the primary hands over the answer of its heir gets lost, so that both are primaries."""
    world.net.lose_takeovers = 1
    world.template += 1
    while not any(c.verb is NodeVerb.HAND_OVER for _, c in world.given):
        world.run(0.1)
    for _ in range(30):
        world.tick()  # the operator is slow
    world.run(80)
    _rest(world)


def drains(world: World) -> None:
    """The primary's pod is to go."""
    world.delete(world.primary())
    world.run(20)
    assert [p.planned for p in world.status.failovers] == [True]
    _rest(world)


def shrinks(world: World) -> None:
    """The primary is among the nodes that are to go."""
    world.kill(world.pod(0))
    world.run(20)
    assert world.status.primary == "shop-cache-1"
    world.faulted = False
    for process in world.net.processes:
        process.slow = True
    world.run(15)
    world.replicas = 0
    world.run(30)
    assert [p.planned for p in world.status.failovers] == [False, True]
    world.judge_rest()
    assert not set(world.net.acked[-200:]) - set(world.pods["shop-cache-0"].process.log)  # type: ignore[union-attr]


def a_template_is_broken(world: World) -> None:
    """A template of which nodes never get in sync stops the roll at the first."""
    world.template += 1
    while not any(p.template == 2 and p.process is not None for p in world.pods.values()):
        world.run(0.1)
    process = world.pods["shop-cache-2"].process
    assert process is not None
    process.frozen = True
    world.run(30)
    assert [p.template for p in world.pods.values()].count(1) == 2, "the roll went on"
    _rest(world)


def all_die(world: World) -> None:
    """Every process ends, and all but the best node are back first."""
    for pod in world.pods.values():
        world.kill(pod)
    best, other = world.pods["shop-cache-0"], world.pods["shop-cache-1"]
    best.starts_at += 6
    other.disk = other.disk[:10]
    world.run(30)
    head = world.primary()
    assert head is not None
    assert head.process is not None
    assert set(best.disk) <= set(head.process.log), "what was on disk was thrown away"
    _rest(world)


def statuses_get_lost(world: World) -> None:
    """The operator starts anew with no status, and cannot reach the primary, which does without a replica."""
    world.kill(world.pod(1))
    world.run(1.2)
    world.cut(0, operator=True, nodes=False)
    world.status = type(world.status)()
    world.restart()
    world.run(20)
    _rest(world)


@dataclass(frozen=True)
class Mutant:
    what: str
    script: Callable[[World], None]
    module: Any
    name: str
    wrong: Any
    says: str
    nodes: int = 1
    keeps: bool = False


def _no_fence(*_: Any) -> Any:
    return Fence(True)


def _always_guarded(seen: Any, state: Any) -> Any:
    return tuple(Suspect(s.name, s.run_id, True, s.heir_of) for s in _suspects(seen, state))


def _unknown_do_not_follow(others: Any, suspect: Any) -> Any:
    return _followers(others, suspect)[0], []


def _lets_follow(others: Any, suspect: Any) -> Any:
    return [], _followers(others, suspect)[1]


def _guarded_too_long(seen: Any, primary: Any, guarded: bool, wanted: int) -> Any:
    out = _guard(seen, primary, guarded, wanted)
    return Guard(guarded or out.guarded, out.command)


def _deletes_the_primary(seen: Any, primary: Any) -> Any:
    if not primary.view.current:
        return Roll(primary, (NodeToDelete(primary.name, primary.view.uid),))
    return _plan_roll(seen, primary)


def _promotes_instead(seen: Any, primary: Any) -> Any:
    out = _begin(seen, primary)
    if out is None or out.failover is None:
        return out
    state = out.failover.model_copy(update={"phase": FailoverPhase.PROMOTING, "told_at": seen.now})
    return replace(out, failover=state, commands=())


def _labels_at_once(seen: Any, label: Any, outcome: Any, *, others: bool) -> Any:
    return "primary"


_suspects, _followers, _guard = fence.suspects, fence._followers, guard.guard
_plan_roll, _begin = roll.plan_roll, switchover.begin

MUTANTS: Final = (
    Mutant("fences nobody", is_cut_off, failover, "fence", _no_fence, "after another did"),
    Mutant("waits too short", is_cut_off, fence, "FENCE_SECONDS", 0.0, "after another did"),
    Mutant("takes all for guarded", is_alone_and_cut_off, fence, "suspects", _always_guarded, "after another did"),
    Mutant(
        "guarded is written too late", is_alone_as_the_operator_dies, plan, "guard", _guarded_too_long, "after another"
    ),
    Mutant(
        "takes who cannot be reached for detached",
        is_cut_off_with_a_replica,
        fence,
        "_followers",
        _unknown_do_not_follow,
        "after another did",
        nodes=2,
    ),
    Mutant(
        "lets replicas follow the old primary",
        is_cut_off_and_a_replica_could_come_back,
        fence,
        "_followers",
        _lets_follow,
        "after another did",
        nodes=2,
    ),
    Mutant("asks no replica", is_cut_off_from_the_operator, sight, "hears", lambda *_: False, ""),
    Mutant("does not brace", hands_over_and_the_answer_is_lost, switchover, "_may_follow", lambda *_: False, "", 2),
    Mutant("deletes the primary in a roll", rolls, plan, "plan_roll", _deletes_the_primary, ""),
    Mutant("promotes where a hand-over would do", rolls_slowly, switchover, "begin", _promotes_instead, ""),
    Mutant("does not wait for sync in a roll", a_template_is_broken, roll, "_fine", lambda *_: True, "", 2),
    Mutant("does not hand over before a drain", drains, switchover, "cause", lambda *_: None, ""),
    Mutant("shrinks at once", shrinks, plan, "plan_scale", lambda seen, _: seen.wanted, ""),
    Mutant("labels the new one at once", a_label_stays, labels, "_of_primary", _labels_at_once, "labelled primary"),
    Mutant("waits for no other node", all_die, failover, "waits_for", lambda *_: None, "on disk", keeps=True),
    Mutant("elects without asking all", statuses_get_lost, failover, "unaccounted", lambda *_: None, ""),
    Mutant("forgets to let replicas follow", dies, plan, "follow", lambda *_: (), "not in sync"),
    Mutant("keeps wanting a replica", dies_alone, plan, "wanted_replicas", lambda *_: 1, "", 0),
)
_ALSO: Final = ((a_command_is_not_answered, 2, False), (rolls, 2, True), (rolls, 3, False), (drains, 3, False))
SCRIPTS: Final = tuple(dict.fromkeys((*((m.script, m.nodes, m.keeps) for m in MUTANTS), *_ALSO)))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s[0].__name__)
def test_the_planner_gets_through(script: tuple[Callable[[World], None], int, bool]) -> None:
    run, nodes, keeps = script
    world = _begun(nodes, keeps=keeps)
    run(world)
    assert world.status.failover is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_wrong_planner_breaks_a_rule(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _begun(mutant.nodes, keeps=mutant.keeps)
    monkeypatch.setattr(mutant.module, mutant.name, mutant.wrong)
    with pytest.raises((BrokenError, AssertionError)) as broken:
        mutant.script(world)
    assert mutant.says in str(broken.value)
