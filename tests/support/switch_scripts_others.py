"""Ways that the right planner of switches gets through, step by step, by what people wish and the status says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sophia_operator.api.model_route_status import ModelRouteStatus, Share, SwitchPhase
from tests.support.model_scene import at
from tests.support.switch_parts import Mood
from tests.support.switch_world import Make, rest

DOWN: Final = Mood.DOWN
UP: Final = Mood.UP


def are_pinned(make: Make) -> None:
    """What a person chose serves, and is not left, however it fails; not in mid failback either."""
    world = make()
    world.run(3)
    world.change(pin="c")
    world.run(1)
    assert (world.shares, world.reasons().count("Pinned")) == ({"c": 100}, 1)
    world.mood(c=DOWN)
    world.run(30)
    assert world.shares == {"c": 100}
    world.change(pin=None)
    world.run(1)
    assert (world.shares, world.status.preferred) == ({"a": 100}, "c")
    world.mood(a=DOWN, c=UP)
    world.run(4)
    world.mood(a=UP)
    while world.shares.get("a") != 50:
        world.run(1)
    world.change(pin="b")
    world.run(1)
    assert (world.shares, world.kinds[-2:]) == ({"b": 100}, ["Failback a Overtaken", "Pin b Switched"])
    world.run(20)
    rest(world)


def is_a_dry_run(make: Make) -> None:
    """Nothing moves, and what would be done is told once."""
    world = make(dryRun=True)
    world.run(3)
    revision = world.status.revision
    assert world.shares == {"a": 100}
    world.mood(a=DOWN)
    for quality in (0.72, 0.4, 0.72, 0.4):
        world.models["c"].quality = quality + 0.1
        world.change()
        world.run(10)
    assert (world.shares, world.status.revision) == ({"a": 100}, revision)
    assert world.reasons().count("WouldSwitch") == 1
    world.mood(a=UP)
    world.run(10)
    world.mood(a=DOWN)
    world.run(10)
    assert world.reasons().count("WouldSwitch") == 2
    world.only("b", "c")
    world.run(2)
    assert len(world.shares) == 1
    assert "a" not in world.shares


def a_person_moves_it(make: Make) -> None:
    """A failback is told of once, and done with a pin."""
    world = make(failback={"manual": True})
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    world.run(80)
    assert (world.shares, world.reasons().count("FailbackDue")) == ({"b": 100}, 1)
    world.change(pin="a")
    world.run(2)
    world.change(pin=None)
    rest(world)
    assert world.shares == {"a": 100}


def models_leave(make: Make) -> None:
    """Models are removed that serve, that are to serve, and that served."""
    world = make("abcd")
    world.run(3)
    world.only("b", "c", "d")
    world.run(1)
    assert (world.shares, world.status.preferred) == ({"b": 100}, None)
    world.mood(b=DOWN)
    world.run(4)
    world.mood(b=UP)
    while world.shares.get("b") != 10:
        world.run(1)
    world.only("c", "d")
    world.run(1)
    assert (world.shares, world.status.failed_failbacks) == ({"c": 100}, 0)
    assert world.kinds[-2:] == ["Failback b Reverted", "Revert c Switched"]
    world.only("c", "d", "b")
    while world.shares.get("b") != 10:
        world.run(1)
    world.only("b", "d")
    world.run(1)
    assert world.shares == {"b": 100}
    world.mood(b=DOWN, d=DOWN)
    world.run(4)
    world.only("d")
    world.run(1)
    assert world.shares == {"d": 100}
    world.mood(d=UP)
    rest(world)


def writes_get_lost(make: Make) -> None:
    """Each write but the third is lost, and the operator starts anew all the time."""
    world = make()
    for index in range(60):
        world.lost_writes = 2
        if index == 10:
            world.mood(a=DOWN)
        world.run(1)
        world.restart()
    world.lost_writes = 0
    rest(world)
    assert world.shares == {"b": 100}


def statuses_that_cannot_be(make: Make) -> None:
    """Whatever the status says, traffic goes somewhere, and it is proved."""
    world = make()
    world.run(3)
    wrong: tuple[dict[str, Any], ...] = (
        {"active": "x"},
        {"shares": [Share(name="x", percent=100)]},
        {"shares": [Share(name="b", percent=30), Share(name="c", percent=30)]},
        {"shares": []},
        {"active": None},
        {"active": None, "shares": []},
        {"config_hash": None},
        {"fallbacks": ["x", "a", "c"]},
        {"proved_revision": 99},
        {"preferred": "x", "better_since": at(99999)},
        {"hold_until": at(9e9)},
        {"revision_at": at(9e9)},
    )
    for changes in wrong:
        revision = world.status.revision
        world.status = world.status.model_copy(update=changes)
        world.run(4)
        assert sum(world.shares.values()) == 100
        assert world.status.proved_revision == world.status.revision, changes
        # A gateway may have been told what the status said.
        assert world.status.revision > revision or "shares" not in changes
        assert world.status.hold_until is None or world.status.hold_until <= at(world.now + 40)
    rest(world)


def a_clock_is_set_back(make: Make) -> None:
    """A stage that began in the future does not wait for that."""
    world = make()
    world.run(3)
    world.mood(a=DOWN)
    world.run(4)
    world.mood(a=UP)
    while world.status.switch is None or world.status.switch.phase is not SwitchPhase.OBSERVING:
        world.run(0.5)
    later = world.status.switch.phase_since + timedelta(days=1)
    world.status = world.status.model_copy(
        update={"switch": world.status.switch.model_copy(update={"phase_since": later})}
    )
    rest(world)
    assert world.shares == {"a": 100}


def the_status_is_lost(make: Make) -> None:
    """Replicas know of revisions that the status does not: their numbers are not used again."""
    world = make()
    world.run(3)
    for name in "ab":
        world.mood(**{name: DOWN})
        world.run(4)
        world.mood(**{name: UP})
    high = world.status.revision
    assert high > 2
    world.status = ModelRouteStatus()
    world.rules.contents, world.rules.revision, world.rules.was_all_down = {}, 0, False
    world.tick()
    assert world.status.revision > high
    rest(world)


SCRIPTS: Final = (
    are_pinned,
    is_a_dry_run,
    a_person_moves_it,
    models_leave,
    writes_get_lost,
    statuses_that_cannot_be,
    a_clock_is_set_back,
    the_status_is_lost,
)
