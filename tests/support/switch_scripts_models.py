"""Ways that the right planner of switches gets through, step by step, by how models are."""

from __future__ import annotations

import itertools
from typing import Final

from tests.support.model_scene import at
from tests.support.switch_parts import Mood
from tests.support.switch_world import Make, rest

DOWN: Final = Mood.DOWN
UP: Final = Mood.UP
FLAKY: Final = Mood.FLAKY


def fails_and_is_back(make: Make) -> None:
    """The best model fails, and gets its traffic back step by step."""
    world = make()
    world.run(3)
    world.mood(a=DOWN)
    world.run(3)
    assert (world.shares, world.status.preferred) == ({"b": 100}, "a")
    world.mood(a=UP)
    seen: list[tuple[float, int]] = []
    for _ in range(60):
        world.run(1)
        share = world.shares.get("a", 0)
        if share and share not in [s for _, s in seen]:
            seen.append((world.now, share))
    assert [s for _, s in seen] == [10, 50, 100]
    assert all(b - a >= 4 for (a, _), (b, _) in itertools.pairwise(seen))
    assert world.kinds == ["First a Switched", "Failover b Switched", "Failback a Switched"]
    assert world.status.preferred is None
    assert world.reasons().count("FailedBack") == 1
    rest(world)


def names_its_own_fallbacks(make: Make) -> None:
    """The one that fails says who is next, and a model that breaks a limit already is asked last."""
    world = make()
    world.orders["a"] = ["c", "b"]
    world.change()
    world.run(3)
    assert world.status.fallbacks == ["c", "b"]
    world.mood(a=DOWN)
    world.run(3)
    assert world.shares == {"c": 100}
    other = make()
    other.run(3)
    other.mood(a=DOWN)
    other.run(1)
    other.mood(b=DOWN)
    other.run(2)
    assert (other.shares, other.kinds) == ({"c": 100}, ["First a Switched", "Failover c Switched"])
    rest(other)


def a_chain_of_failures(make: Make) -> None:
    """Two fail in turn: traffic goes back to the first one that was left."""
    world = make()
    world.run(3)
    for name in "ab":
        world.mood(**{name: DOWN})
        world.run(4)
    assert (world.shares, world.status.preferred) == ({"c": 100}, "a")
    world.mood(a=UP, b=UP)
    world.run(60)
    assert world.kinds[-1] == "Failback a Switched"
    rest(world)


def comes_and_goes(make: Make) -> None:
    """The best model fails again and again, each time as it serves: it is left alone for longer and longer."""
    world = make(failback={"maxHoldSeconds": 240})
    world.run(3)
    tries: list[float] = []
    for _ in range(1500):
        world.mood(a=DOWN if world.shares.get("a", 0) >= 10 else UP)
        before = world.shares.get("a", 0)
        world.run(1)
        if world.shares.get("a", 0) and not before:
            tries.append(world.now)
    gaps = [b - a for a, b in itertools.pairwise(tries)]
    assert len(tries) >= 5
    assert all(b >= 1.5 * a for a, b in itertools.pairwise(gaps[:4])), gaps
    assert gaps[-1] <= 260
    world.mood(a=UP)
    world.run(300)
    assert (world.shares, world.status.failed_failbacks) == ({"a": 100}, 0)


def fails_soon_after_a_failback(make: Make) -> None:
    """A failback that ends well and does not last is one that failed."""
    world = make()
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    while world.kinds[-1] != "Failback a Switched":
        world.run(1)
    assert world.status.failed_failbacks == 0
    world.mood(a=DOWN)
    world.run(4)
    assert (world.shares, world.status.failed_failbacks) == ({"b": 100}, 1)


def all_fail(make: Make) -> None:
    """No model may be chosen: traffic stays, unless one is far less bad, and then for the time of a hold."""
    world = make()
    world.run(20)
    world.mood(a=DOWN, b=DOWN, c=DOWN)
    world.run(40)
    assert (world.shares, world.reasons().count("AllModelsDown")) == ({"a": 100}, 1)
    began = world.now
    world.mood(c=FLAKY)
    world.run(4)
    assert world.shares == {"c": 100}
    world.mood(b=FLAKY, c=DOWN)
    world.run(10)
    assert world.shares == {"c": 100}
    world.run(10)
    assert (world.shares, world.now - began >= 15) == ({"b": 100}, True)
    world.mood(a=UP)
    world.run(2)
    assert world.shares == {"a": 100}
    assert world.reasons().count("AllModelsDown") == 1
    rest(world)


def all_fail_alike(make: Make) -> None:
    """One that is a little less bad is not worth a move."""
    world = make()
    world.run(20)
    world.mood(a=FLAKY, b=FLAKY, c=FLAKY)
    world.run(30)
    assert world.shares == {"a": 100}


def the_new_one_fails_in_a_stage(make: Make) -> None:
    """At its share of a stage it breaks a limit: the stage does not pass, and then all goes back."""
    world = make()
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    while world.shares.get("a") != 10:
        world.run(1)
    world.run(3)
    world.mood(a=DOWN)
    world.run(1.5)
    assert world.shares == {"a": 10, "b": 90}
    world.run(2)
    assert (world.shares, world.status.failed_failbacks, world.status.preferred) == ({"b": 100}, 1, "a")
    assert world.reasons().count("FailbackFailed") == 1
    world.mood(a=UP)
    rest(world)


def both_fail_in_a_failback(make: Make) -> None:
    """The one that served fails: traffic goes on to the new one at once. That fails as well: to the third."""
    world = make()
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    while world.shares.get("a") != 10:
        world.run(1)
    world.mood(b=DOWN)
    world.run(3)
    assert (world.shares, world.kinds[-1]) == ({"a": 100}, "Failover a Switched")
    world.mood(a=DOWN)
    world.run(3)
    assert world.shares == {"c": 100}


def all_fail_in_a_failback(make: Make) -> None:
    """At a stage, traffic goes back to where most of it is; at the last one, it stays. The failback is over."""
    for percent, left in ((10, {"b": 100}), (100, {"a": 100})):
        world = make()
        world.run(3)
        world.mood(a=DOWN)
        world.run(4)
        world.mood(a=UP)
        while world.shares.get("a") != percent:
            world.run(1)
        world.mood(a=DOWN, b=DOWN, c=DOWN)
        world.run(10)
        assert (world.shares, world.status.failed_failbacks) == (left, 1)
        rest(world)
        world.mood(c=UP)
        world.run(2)
        assert world.shares == {"c": 100}


def is_better(make: Make) -> None:
    """Another model leads by enough, for long enough."""
    world = make()
    world.run(20)
    world.models["b"].quality = 0.97
    world.change()
    world.run(60)
    assert world.shares == {"a": 100}
    world.models["b"].quality = 1.0
    world.change()
    world.run(10)
    assert world.shares == {"a": 100}
    world.run(40)
    assert (world.shares, world.kinds[-1]) == ({"b": 100}, "Better b Switched")
    rest(world)


def a_hold_ends(make: Make) -> None:
    """Nothing but the hold keeps traffic from going back."""
    world = make(failback={"healthySeconds": 0, "holdSeconds": 30})
    world.run(3)
    world.mood(a=DOWN)
    world.run(3)
    world.mood(a=UP)
    world.run(28)
    assert world.shares == {"b": 100}
    world.run(5)
    assert set(world.shares) == {"a", "b"}
    rest(world)


def is_asked_too_often(make: Make) -> None:
    """Its provider asks to wait: traffic goes elsewhere at once, and comes back."""
    world = make()
    world.run(3)
    world.mood(a=Mood.LIMITED)
    world.run(1)
    assert world.shares == {"b": 100}
    world.mood(a=UP)
    rest(world)
    assert world.shares == {"a": 100}


def the_first_one_is_the_best(make: Make) -> None:
    """Not the one that answers first; nor is one that hangs waited for without end."""
    world = make(real=True)
    world.kept = type(world.kept)(under_way={"probe/a": at(0)})
    world.run(1)
    assert world.status.active is None
    world.kept = type(world.kept)(probes=world.kept.probes)
    world.run(1)
    assert world.shares == {"a": 100}
    other = make(real=True)
    for _ in range(6):
        other.kept = type(other.kept)(probes=other.kept.probes, under_way={"probe/a": at(0)})
        other.run(1)
    assert other.shares == {"b": 100}


def nothing_is_known_of_it(make: Make) -> None:
    """The model that serves is one of which nothing is known: that is no reason to leave it."""
    world = make(real=True)
    world.run(3)
    world.status = world.status.model_copy(update={"models": world.status.models[1:]})
    world.kept = type(world.kept)(under_way={"probe/a": at(0)}, asked_at=None)
    world.tick()
    world.run(1)
    assert world.shares == {"a": 100}


SCRIPTS: Final = (
    fails_and_is_back,
    names_its_own_fallbacks,
    a_chain_of_failures,
    comes_and_goes,
    fails_soon_after_a_failback,
    all_fail,
    all_fail_alike,
    the_new_one_fails_in_a_stage,
    both_fail_in_a_failback,
    all_fail_in_a_failback,
    is_better,
    a_hold_ends,
    is_asked_too_often,
    the_first_one_is_the_best,
    nothing_is_known_of_it,
)
