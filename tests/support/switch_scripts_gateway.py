"""Ways that the right planner of switches gets through, step by step, by how a gateway follows."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.model_route_status import SwitchPhase
from tests.support.switch_parts import Mood, Replica
from tests.support.switch_world import Make, rest

DOWN: Final = Mood.DOWN
UP: Final = Mood.UP


def replicas_lag(make: Make) -> None:
    """A failover waits for the last replica, and names it; a failback that not all follow is taken back."""
    world = make()
    world.run(3)
    late = world.replicas["gw-1"]
    late.stuck = True
    world.mood(a=DOWN)
    world.run(20)
    assert world.status.switch is not None
    assert world.status.switch.overdue
    assert world.status.proved_revision < world.status.revision
    assert world.reasons().count("ReplicaLags") == 1
    late.stuck = False
    world.run(3)
    assert world.kinds[-1] == "Failover b Switched"
    world.mood(a=UP)
    world.run(10)
    late.stuck = True
    world.run(40)
    assert (world.kinds[2:], world.status.failed_failbacks) == (["Failback a Reverted"], 1)
    assert (world.shares, world.status.switch is not None) == ({"b": 100}, True)
    late.stuck = False
    rest(world, 140)
    assert world.shares == {"a": 100}


def nobody_takes_it_over(make: Make) -> None:
    """Without a replica nothing is proved."""
    world = make(replicas=0)
    world.run(30)
    assert (world.status.active, world.kinds, world.status.proved_revision) == ("a", [], 0)
    assert world.reasons().count("ReplicaLags") == 1
    world.replicas["gw-0"] = Replica("gw-0")
    world.run(3)
    assert world.kinds == ["First a Switched"]


def another_replica_comes(make: Make) -> None:
    """It was not there when the others were asked, and does not follow yet."""
    world = make()
    world.run(3)
    late = world.replicas["gw-0"]
    late.stuck = True
    world.mood(a=DOWN)
    world.run(5)
    late.stuck = False
    world.now += 1
    world._gateways()
    assert world.look()
    world.replicas["gw-2"] = Replica("gw-2", stuck=True)
    world.act()
    world.run(4)
    assert world.status.switch is not None
    world.replicas["gw-2"].stuck = False
    rest(world)


def a_replica_hangs_in_a_stage(make: Make) -> None:
    """It did follow, and is not seen any more: the stage does not pass."""
    world = make(failback={"stageSeconds": 8})
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    while world.status.switch is None or world.status.switch.phase is not SwitchPhase.OBSERVING:
        world.run(0.5)
    world.replicas["gw-0"].hangs = True
    world.run(30)
    assert world.kinds[-2:] == ["Failover b Switched", "Failback a Reverted"]
    world.replicas["gw-0"].hangs = False
    rest(world, 140)


def a_replica_forgets_in_a_stage(make: Make) -> None:
    """It starts anew by an old table, and says so."""
    world = make()
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    old = world.told
    world.mood(a=UP)
    while world.status.switch is None or world.status.switch.phase is not SwitchPhase.OBSERVING:
        world.run(0.5)
    replica = world.replicas["gw-0"]
    replica.serves, replica.lag = old, 60
    world.kept = type(world.kept)(probes=world.kept.probes)
    world.run(1)
    assert [r.revision for r in world.status.replicas] != [world.status.revision] * 2
    assert world.status.model_dump(include={"switch": {"phase"}}) == {"switch": {"phase": SwitchPhase.PROVING}}
    world.run(15)
    assert world.kinds[-1] in ("Failback a Reverted", "Failover b Switched")
    assert "Failback a Reverted" in world.kinds


def falls_behind_in_calm(make: Make) -> None:
    """A replica that starts anew by an old table is told of once, and no failback begins until it follows."""
    world = make()
    world.run(3)
    old = world.told
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    replica = world.replicas["gw-0"]
    replica.serves, replica.coming, replica.stuck = old, [], True
    world.restart()
    world.run(60)
    assert (world.shares, world.reasons().count("ReplicaLags")) == ({"b": 100}, 1)
    replica.stuck = False
    rest(world)
    assert world.shares == {"a": 100}


def evidence_is_missing(make: Make) -> None:
    """The operator forgets what it saw, each second: no stage passes."""
    world = make()
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    while world.shares.get("a") != 10:
        world.run(1)
    for _ in range(20):
        world.restart()
        world.run(1)
    assert world.shares == {"a": 10, "b": 90}
    rest(world)


def is_told_something_else(make: Make) -> None:
    """Other endpoints and another gateway have a revision of their own; in mid switch too."""
    world = make()
    world.run(3)
    first = world.status.revision
    world.move("c")
    world.run(2)
    assert world.status.revision == world.status.proved_revision == first + 1
    world.replicas["gw-0"].lag = 2
    world.mood(a=DOWN)
    world.run(3)
    assert world.status.switch is not None
    world.move("b")
    world.run(1)
    assert world.status.switch is not None
    assert world.status.switch.revision == world.status.revision == first + 3
    world.run(4)
    assert world.kinds[-1] == "Failover b Switched"
    world.use("portkey")
    world.run(1)
    assert world.status.revision == first + 4
    rest(world)


def ranks_change(make: Make) -> None:
    """Ranks of models that only stand by change with each probe: the gateway is told nothing new."""
    world = make("abcd")
    world.run(3)
    revision = world.status.revision
    for index in range(12):
        world.models["c"].quality, world.models["d"].quality = (0.5, 0.4) if index % 2 else (0.4, 0.5)
        world.spec = world._spec()
        world.run(1)
    assert (world.status.revision, world.shares) == (revision, {"a": 100})
    world.mood(c=DOWN)
    world.run(3)
    assert (world.status.revision, world.status.fallbacks) == (revision + 1, ["b", "d", "c"])


def a_fallback_answers(make: Make) -> None:
    """The model that serves fails at the moment of the proof: a replica is proved by its revision."""
    world = make(dryRun=True)
    world.run(3)
    world.mood(a=DOWN)
    world.move("c")
    world.run(3)
    assert world.status.proved_revision == world.status.revision
    assert {r.model for r in world.kept.replicas.values()} == {"b"}


SCRIPTS: Final = (
    replicas_lag,
    nobody_takes_it_over,
    another_replica_comes,
    a_replica_hangs_in_a_stage,
    a_replica_forgets_in_a_stage,
    falls_behind_in_calm,
    evidence_is_missing,
    is_told_something_else,
    ranks_change,
    a_fallback_answers,
)
