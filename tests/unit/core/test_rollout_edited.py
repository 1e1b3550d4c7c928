"""What people edit by hand in the middle of a rollout: nobody loses their users, and nothing passes by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sophia_operator.api.release import Color, Intent
from sophia_operator.core.advance import advance
from sophia_operator.core.placement import placement
from tests.support.sim import promoted_twice, settled, spec, until


def test_users_whom_somebody_sends_to_a_colour_as_it_is_taken_are_led_away_first() -> None:
    world = promoted_twice()
    world.run(400)
    world.change(image="app:3")
    until(world, "app-3", "Pending")
    while world.state("app-3") == "Pending":
        world.persist(advance(world.service, world.observed(), world.now))
    world.weights = {Color.BLUE: 100, Color.GREEN: 0}
    for lagging in (False, True):
        world.lagging = lagging
        world.carry_out(placement(world.service, world.observed(), world.now))
        assert world.weights == {Color.BLUE: 0, Color.GREEN: 100}
        assert world.selects[Color.BLUE] == "app-1"
    world.lagging = False
    world.carry_out(placement(world.service, world.observed(), world.now))
    assert world.selects[Color.BLUE] == "app-3"


def test_release_that_waits_to_be_tried_again_is_not_scaled_down_while_somebody_sends_users_to_it() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.intend("app-2", Intent.ABORT)
    until(world, "app-2", "RolledBack")
    world.service = replace(world.service, spec=spec(image="app:2", paused=True))
    world.intend("app-2", Intent.RETRY)
    until(world, "app-2", "Pending")
    world.run(60)
    world.change(image="app:3", paused=True)
    world.weights, world.lagging = {Color.BLUE: 0, Color.GREEN: 100}, True
    world.step()
    assert world.sizes["app-2"] == 2
    world.run(60)
    assert world.sizes["app-2"] == 2
    world.lagging = False
    world.run(60)
    assert world.sizes["app-2"] == 0


def test_drain_begins_again_when_the_route_is_missing_and_somebody_pointed_a_colour_elsewhere() -> None:
    world = settled(rollout={"drainSeconds": 20})
    world.change(image="app:2", rollout={"drainSeconds": 20})
    until(world, "app-2", "Shifting", 0)
    world.intend("app-2", Intent.ABORT)
    until(world, "app-2", "RolledBack")
    world.run(15)
    world.weights, world.selects[Color.BLUE] = None, "app-2"
    world.step()
    began = world.now
    while world.sizes["app-2"] > 0:
        world.run(1)
    assert (world.now - began).total_seconds() >= 20


def test_old_release_without_pods_gets_none_when_the_route_is_deleted() -> None:
    world = promoted_twice()
    world.run(400)
    assert world.sizes["app-1"] == 0
    world.weights = None
    for _ in range(30):
        world.run(1)
        assert world.sizes["app-1"] == 0


def test_stage_does_not_pass_while_somebody_has_pointed_the_stable_colour_at_the_new_release() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.now += timedelta(seconds=31)
    world.selects[Color.BLUE] = "app-2"
    world.step()
    stage = world.releases["app-2"].status.stage
    assert stage is not None
    assert stage.index == 0
    assert world.selects[Color.BLUE] == "app-1"
    world.step()
    assert world.weight_of("app-2") == 100


def test_drain_does_not_begin_while_the_colour_is_pointed_elsewhere_by_hand() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.intend("app-2", Intent.ABORT)
    world.selects[Color.GREEN] = "app-1"
    world.step()
    assert world.state("app-2") == "RollingBack"
    assert world.selects[Color.GREEN] == "app-2"
    world.lagging = True
    world.step()
    assert world.releases["app-2"].status.without_traffic_since is None
