"""Ways that the right planner of switches gets through, step by step, by what RecoveryActions ask for."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.model_route_status import ModelRouteStatus
from tests.support.switch_parts import Mood
from tests.support.switch_world import Make, World, rest

DOWN: Final = Mood.DOWN
UP: Final = Mood.UP


def _did(world: World, name: str) -> list[str]:
    return next(a.did for a in world.status.acts if a.name == name)


def _said(world: World, name: str) -> str:
    return next(a.message for a in world.status.acts if a.name == name)


def an_act_leaves_one_that_only_fails(make: Make) -> None:
    """All traffic moves at once, before the model has failed for long enough to be left; it is proved, and traffic goes
    back only once the model is well for long, and the hold is over."""
    world = make(switch={"forSeconds": 60})
    world.orders["a"] = ["c", "b"]
    world.change()
    world.run(3)
    world.mood(a=DOWN)
    world.run(1)
    assert world.shares == {"a": 100}
    act = world.ask(ago=1)
    world.run(1)
    assert (world.shares, world.phase(act), world.status.preferred) == ({"c": 100}, "Done", "a")
    assert world.kinds[-1] == "Recovery c Switched"
    assert _did(world, act) == [
        "Recovery from a to c: all requests to c by revision 2",
        "asked 2 replicas: each serves by revision 2",
    ]
    moved = world.now
    world.run(3)
    world.mood(a=UP)
    well = world.now
    while "a" not in world.shares:
        world.run(1)
    assert world.now >= max(moved + 15, well + 12)
    rest(world)
    assert world.kinds[-2:] == ["Recovery c Switched", "Failback a Switched"]
    assert world.reasons().count("Switching") == 1


def an_act_follows_a_failover(make: Make) -> None:
    """One that goes on, and one that ended since the incident began: nothing is done twice. One that ended before is
    nothing to follow."""
    world = make()
    world.run(3)
    world.replicas["gw-1"].lag = 3
    world.mood(a=DOWN)
    world.run(2)
    assert world.status.switch is not None
    act = world.ask(ago=4)
    world.run(1)
    assert (world.phase(act), world.shares) == ("Running", {"b": 100})
    world.run(4)
    assert (world.phase(act), world.kinds[-1]) == ("Done", "Failover b Switched")
    revision = world.status.revision
    late = world.ask(ago=20)
    world.run(1)
    assert (world.phase(late), world.status.revision, world.rules.began) == ("Done", revision, 2)
    other = world.ask(ago=0)
    world.run(5)
    assert (world.phase(other), world.kinds[-1], world.shares) == ("Done", "Recovery c Switched", {"c": 100})


def an_act_goes_on_when_the_next_fails_too(make: Make) -> None:
    """A failover that ended since the incident began is no answer while its model fails as well."""
    world = make(switch={"forSeconds": 60})
    world.run(3)
    world.mood(a=DOWN)
    world.run(1)
    first = world.ask(ago=1)
    world.run(2)
    world.mood(b=DOWN)
    world.run(1)
    second = world.ask(ago=4)
    world.run(1)
    assert (world.phase(first), world.phase(second), world.shares) == ("Done", "Done", {"c": 100})
    assert world.kinds[-2:] == ["Recovery b Switched", "Recovery c Switched"]


def a_person_names_a_model(make: Make) -> None:
    """Another one than what goes on; none that the route has not, that may not be chosen, or that serves."""
    world = make()
    world.run(3)
    none, own = world.ask("d"), world.ask("a")
    world.run(1)
    assert (world.phase(none), world.phase(own), world.rules.began) == ("Refused", "Refused", 1)
    assert "has no model d" in _said(world, none)
    assert "serves already" in _said(world, own)
    world.mood(a=DOWN, b=DOWN)
    world.run(4)
    assert world.shares == {"c": 100}
    unfit = world.ask("b")
    world.run(1)
    assert (world.phase(unfit), world.shares) == ("Refused", {"c": 100})
    assert "b may not be chosen: b is Unhealthy" in _said(world, unfit)
    world.mood(a=UP, b=UP)
    world.run(3)
    for replica in world.replicas.values():
        replica.lag = 2
    world.mood(c=DOWN)
    world.run(2.2, step=0.2)
    assert world.status.switch is not None
    assert world.status.switch.to == "a"
    act = world.ask("b")
    world.run(1, step=0.2)
    assert (world.phase(act), world.shares) == ("Running", {"b": 100})
    world.run(4)
    assert (world.phase(act), world.kinds[-2:]) == ("Done", ["Failover a Overtaken", "Recovery b Switched"])


def an_act_is_refused(make: Make) -> None:
    """A pin wins, a dry run moves nothing, and there must be another model."""
    world = make()
    pinned = world.ask()
    world.change(pin="b")
    world.run(3)
    assert (world.phase(pinned), world.shares) == ("Refused", {"b": 100})
    assert "spec.pin" in _said(world, pinned)
    world.change(pin=None, dryRun=True)
    world.mood(b=DOWN)
    world.run(3)
    dry = world.ask()
    world.run(1)
    assert (world.phase(dry), world.shares) == ("Refused", {"b": 100})
    world.change(dryRun=False)
    world.mood(a=DOWN, c=DOWN)
    world.run(20)
    alone = world.ask()
    world.run(1)
    assert (world.phase(alone), "no other model may be chosen" in _said(world, alone)) == ("Refused", True)


def an_act_is_overtaken(make: Make) -> None:
    """The model that is to serve fails before it is proved, and somebody pins another one."""
    world = make(switch={"forSeconds": 1})
    world.run(3)
    world.replicas["gw-1"].stuck = True
    act = world.ask("b")
    world.run(1)
    assert world.phase(act) == "Running"
    world.mood(b=DOWN)
    world.run(4)
    assert (world.phase(act), world.shares) == ("Failed", {"a": 100})
    assert "overtaken" in _said(world, act)
    again = world.ask("c")
    world.run(1)
    world.change(pin="a")
    world.run(1)
    assert (world.phase(again), world.shares) == ("Failed", {"a": 100})


def an_act_in_a_failback(make: Make) -> None:
    """The model that gets its traffic back fails in its last stage: the failback has failed, and the hold is longer."""
    world = make(switch={"forSeconds": 60})
    world.run(3)
    world.mood(a=DOWN)
    world.run(1)
    world.ask(ago=1)
    world.run(2)
    world.mood(a=UP)
    while world.shares != {"a": 100}:
        world.run(1)
    world.mood(a=DOWN)
    world.run(1)
    assert world.status.switch is not None
    act = world.ask(ago=1)
    world.run(2)
    assert (world.phase(act), world.shares, world.status.failed_failbacks) == ("Done", {"b": 100}, 1)
    assert world.kinds[-2:] == ["Failback a Overtaken", "Recovery b Switched"]
    world.mood(a=UP)
    back = world.now
    while "a" not in world.shares:
        world.run(1)
    assert world.now - back >= 25


def an_act_outlives_the_operator(make: Make) -> None:
    """Writes get lost and the operator starts anew: the act is begun once, and ends."""
    world = make()
    world.run(3)
    world.replicas["gw-1"].lag = 4
    act = world.ask("c")
    for index in range(12):
        world.lost_writes = (index + 1) % 2
        world.run(1)
        world.restart()
    world.lost_writes = 0
    world.run(2)
    assert (world.phase(act), world.kinds.count("Recovery c Switched")) == ("Done", 1)
    world.requests.clear()
    world.run(2)
    assert world.status.acts == []


def acts_wait_for_each_other(make: Make) -> None:
    """One after the other, in the order in which they were claimed."""
    world = make("abcd")
    world.run(3)
    for replica in world.replicas.values():
        replica.lag = 2
    world.ask("b")
    world.now += 0.1
    world.ask("c")
    world.run(1, step=0.2)
    assert (world.phase("act-1"), world.phase("act-2")) == ("Running", None)
    world.run(6, step=0.2)
    assert world.kinds[-2:] == ["Recovery b Switched", "Recovery c Switched"]
    assert (world.phase("act-1"), world.phase("act-2")) == ("Done", "Done")


def a_status_is_lost_in_an_act(make: Make) -> None:
    """What was moved is found by its shares again, and nothing says that an act is under way."""
    world = make()
    world.run(3)
    world.replicas["gw-1"].stuck = True
    act = world.ask("b")
    world.run(1)
    switch = world.status.switch
    world.status = world.status.model_copy(update={"switch": None})
    world.run(1)
    assert switch is not None
    assert (world.phase(act), "edited or lost" in _said(world, act)) == ("Failed", True)
    world.status = ModelRouteStatus()
    world.replicas["gw-1"].stuck = False
    world.run(2)
    assert (world.status.acts, world.status.active) == ([], "a")


SCRIPTS: Final = (
    an_act_leaves_one_that_only_fails,
    an_act_follows_a_failover,
    an_act_goes_on_when_the_next_fails_too,
    a_person_names_a_model,
    an_act_is_refused,
    an_act_is_overtaken,
    an_act_in_a_failback,
    an_act_outlives_the_operator,
    acts_wait_for_each_other,
    a_status_is_lost_in_an_act,
)
