"""What is forgotten, tampered with, or refused: what serves goes on serving."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import Color, Intent
from sophia_operator.core.decision import RequeueAfter
from tests.support.sim import promoted_twice, settled, until


@pytest.mark.parametrize("after_seconds", [5, 400])
@pytest.mark.parametrize("service_too", [False, True])
def test_stable_release_whose_status_is_lost_keeps_all_traffic(after_seconds: int, service_too: bool) -> None:
    world = promoted_twice()
    world.run(after_seconds)
    kept = world.sizes["app-1"]
    world.lose_status("app-2")
    if service_too:
        world.service = replace(world.service, status=ManagedServiceStatus())
    if service_too and kept:
        # Nothing says which of two that stand ready is the stable one but the status that is still there.
        world.run(60)
        assert world.state("app-1") == "Promoted"
        return
    for _ in range(30):
        world.run(1)
        assert world.weights == {Color.BLUE: 0, Color.GREEN: 100}
        assert world.sizes["app-2"] == 2
    assert world.stable == "app-2"
    assert set(world.releases) == {"app-1", "app-2"}


def test_stable_release_whose_status_is_lost_in_the_next_rollout_is_not_mixed_up_with_the_one_before() -> None:
    world = promoted_twice()
    world.run(400)
    world.change(image="app:3")
    until(world, "app-3", "Shifting", 0)
    world.lose_status("app-2")
    for _ in range(5):
        world.step()
        assert world.weight_of("app-3") == 25
        assert world.weight_of("app-2") == 75
    assert world.stable == "app-2"
    world.run(120)
    assert world.stable == "app-3"


def test_while_nothing_is_known_to_serve_nothing_is_scaled_down() -> None:
    world = promoted_twice()
    world.lose_status()
    world.service = replace(world.service, status=ManagedServiceStatus())
    world.weights = None
    world.selects = dict.fromkeys(Color)
    sizes = dict(world.sizes)
    assert sizes == {"app-1": 2, "app-2": 2}
    world.step()
    assert {n: world.sizes[n] for n in sizes} == sizes


def test_release_behind_a_service_that_somebody_pointed_at_it_drains_before_it_goes() -> None:
    world = promoted_twice()
    promoted = world.releases["app-2"].status.promoted_at
    assert promoted is not None
    world.run(298 - (world.now - promoted).total_seconds())
    world.selects[Color.GREEN] = "app-1"
    world.run(4)
    assert world.sizes["app-1"] == 2
    assert world.selects[Color.GREEN] == "app-2"
    world.run(15)
    assert world.sizes["app-1"] == 0


def test_release_keeps_its_pods_while_the_gateway_refuses_the_route_that_takes_its_traffic() -> None:
    world = settled(rollout={"routeDeadlineSeconds": 20, "abortKeepSeconds": 5})
    world.change(image="app:2", rollout={"routeDeadlineSeconds": 20, "abortKeepSeconds": 5})
    until(world, "app-2", "Shifting", 0)
    world.refused_route = True
    world.intend("app-2", Intent.ABORT)
    world.run(120)
    assert world.state("app-2") == "RollingBack"
    assert world.sizes["app-2"] == 2
    stalled = find(world.service.status.conditions, ConditionType.STALLED)
    assert stalled is not None
    assert stalled.reason == "RouteRefused"
    world.refused_route = False
    world.run(60)
    assert world.state("app-2") == "RolledBack"
    assert world.sizes["app-2"] == 0


def test_stable_release_that_lost_its_status_and_its_service_gets_both_back() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.lose_status("app-1")
    world.selects[Color.BLUE] = "app-2"
    world.run(2)
    assert world.state("app-1") == "Promoted"
    assert world.selects == {Color.BLUE: "app-1", Color.GREEN: "app-2"}
    assert world.weights == {Color.BLUE: 75, Color.GREEN: 25}


def test_release_with_traffic_is_the_stable_one_when_nothing_else_is_known_to_be() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.lose_status("app-1")
    world.selects[Color.BLUE] = "app-2"
    world.service = replace(world.service, status=ManagedServiceStatus())
    world.run(5)
    assert world.state("app-2") == "Promoted"
    assert world.weight_of("app-2") == 100


def test_service_with_weights_at_nobody_and_every_status_lost_finds_what_stands_ready() -> None:
    world = settled()
    world.lose_status()
    world.service = replace(world.service, status=ManagedServiceStatus())
    world.weights = {Color.BLUE: 0, Color.GREEN: 100}
    world.run(2)
    assert world.state("app-1") == "Promoted"
    assert world.weight_of("app-1") == 100
    assert set(world.releases) == {"app-1"}


def test_release_that_lost_its_status_with_its_place_drains_before_it_is_scaled_down() -> None:
    world = promoted_twice()
    world.change(image="app:3", rollout={"drainSeconds": 20})
    until(world, "app-3", "Shifting", 0)
    world.intend("app-3", Intent.ABORT)
    until(world, "app-3", "RolledBack")
    assert world.selects[Color.BLUE] == "app-1"
    world.lose_status("app-3")
    for _ in range(19):
        world.run(1)
        assert world.sizes["app-3"] == 2
    world.run(3)
    assert world.sizes["app-3"] == 0


def test_colour_that_still_selects_the_stable_release_is_left_alone_until_it_is_drained() -> None:
    """Somebody pointed both colours at the new release, and its status was lost: it serves all users."""
    world = settled(rollout={"drainSeconds": 20})
    world.change(image="app:2", rollout={"drainSeconds": 20})
    until(world, "app-2", "Shifting", 0)
    world.selects[Color.BLUE] = "app-2"
    world.lose_status("app-2")
    world.step()
    assert world.state("app-2") == "Promoted"
    assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}
    world.change(image="app:3", rollout={"drainSeconds": 20})
    for _ in range(19):
        world.run(1)
        assert world.selects[Color.GREEN] == "app-2"
    assert world.state("app-3") == "Pending"
    world.run(120)
    assert world.state("app-3") == "Promoted"


def test_release_that_lost_its_status_does_not_take_the_colour_of_the_stable_one() -> None:
    """Somebody pointed blue at the new release and took the route away: the stable release stays what it is."""
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.selects[Color.BLUE] = "app-2"
    world.weights = None
    world.broken.add("app-2")
    world.lose_status("app-2")
    for _ in range(60):
        world.run(1)
        assert world.sizes["app-1"] == 2
        assert world.selects[Color.BLUE] == "app-1"
    assert world.weight_of("app-1") == 100
    assert world.stable == "app-1"


def test_rollout_that_lost_its_status_keeps_its_colour_while_it_has_traffic() -> None:
    """Blue is also the colour of the release before the stable one, which is kept, and has no pods behind it yet."""
    world = promoted_twice()
    world.change(image="app:3")
    until(world, "app-3", "Shifting", 1)
    assert world.weight_of("app-3") == 100
    world.lose_status("app-2", "app-3")
    for _ in range(60):
        served = dict(world.selects), dict(world.weights or {})
        world.step()
        moved = {c for c in Color if world.selects[c] != served[0][c] and served[1][c] > 0}
        assert not moved
        world.run(1)
    world.run(120)
    assert world.state("app-3") == "Promoted"
    assert world.weight_of("app-3") == 100


def test_release_is_not_drained_while_the_route_that_replaces_a_missing_one_has_not_settled() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.weights = None
    world.refused_route = True
    world.intend("app-2", Intent.ABORT)
    world.run(200)
    assert world.state("app-2") == "RollingBack"
    assert world.releases["app-2"].status.without_traffic_since is None
    assert world.sizes["app-2"] == 2


def test_abort_of_a_release_that_lost_its_status_waits_until_its_traffic_is_gone() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.lose_status("app-2")
    world.lagging = True
    world.step()
    world.intend("app-2", Intent.ABORT)
    world.run(30)
    assert world.state("app-2") == "RollingBack"
    world.lagging = False
    world.run(30)
    assert world.state("app-2") == "RolledBack"


def test_colour_of_a_release_that_lost_its_status_and_its_pods_is_taken_once_it_is_drained() -> None:
    world = settled(rollout={"drainSeconds": 20})
    world.change(image="app:2", rollout={"drainSeconds": 20})
    until(world, "app-2", "Shifting", 0)
    world.sizes["app-2"] = 0
    world.lose_status("app-2")
    world.change(image="app:3", rollout={"drainSeconds": 20})
    for _ in range(19):
        world.run(1)
        assert world.selects[Color.GREEN] == "app-2"
    world.run(5)
    assert world.selects[Color.GREEN] == "app-3"


@pytest.mark.parametrize("state", ["stage 0", "stage 1"])
def test_stable_release_is_known_again_when_its_service_the_route_and_every_word_about_it_are_gone(state: str) -> None:
    world = promoted_twice()
    world.change(image="app:3")
    until(world, "app-3", "Shifting", int(state[-1]))
    world.lose_status("app-1", "app-2")
    world.service = replace(world.service, status=ManagedServiceStatus())
    world.weights = None
    del world.selects[Color.GREEN]
    for _ in range(5):
        world.run(1)
        assert world.sizes["app-2"] == 2
    assert world.weight_of("app-2") + world.weight_of("app-3") == 100
    assert world.stable == "app-2"


def test_rollout_serves_when_there_is_neither_a_stable_release_nor_a_route() -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.lose_status("app-1")
    world.service = replace(world.service, status=ManagedServiceStatus())
    world.weights = None
    del world.selects[Color.BLUE]
    world.sizes["app-1"] = 0
    world.run(30)
    assert world.stable == "app-2"
    assert world.weight_of("app-2") == 100


@pytest.mark.parametrize("after_seconds", [0, 120])
def test_failed_release_that_lost_its_status_stays_failed(after_seconds: int) -> None:
    world = settled()
    world.change(image="app:2")
    until(world, "app-2", "Shifting", 0)
    world.intend("app-2", Intent.ABORT)
    until(world, "app-2", "RolledBack")
    world.intend("app-2", Intent.RETRY)
    world.releases["app-2"] = replace(
        world.releases["app-2"],
        status=world.releases["app-2"].status.model_copy(
            update={"handled_generation": world.releases["app-2"].generation}
        ),
    )
    world.run(after_seconds)
    world.lose_status("app-2")
    world.run(200)
    assert world.state("app-2") == "RolledBack"
    assert world.weight_of("app-2") == 0
    world.intend("app-2", Intent.PROCEED)
    world.run(1)
    world.intend("app-2", Intent.RETRY)
    until(world, "app-2", "Promoted")


def test_release_that_is_deleted_serves_until_another_can() -> None:
    world = promoted_twice()
    world.run(400)
    del world.releases["app-2"]
    world.broken.add("app-1")
    for _ in range(10):
        world.run(1)
        assert world.selects[Color.GREEN] == "app-2"
        assert world.weights == {Color.BLUE: 0, Color.GREEN: 100}
    world.broken.clear()
    world.run(5)
    assert world.weight_of("app-1") >= 75  # and what the spec asks for is rolled out again


def test_only_release_that_is_deleted_serves_until_another_can() -> None:
    world = settled()
    del world.releases["app-1"]
    world.broken.add("app-2")
    for _ in range(10):
        world.run(1)
        assert world.selects[Color.BLUE] == "app-1"
        assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}
    world.broken.clear()
    world.run(10)
    assert world.weight_of("app-2") == 100


@pytest.mark.parametrize("lag_seconds", [0, 30])
def test_release_that_is_deleted_is_drained_once_the_gateway_follows(lag_seconds: int) -> None:
    """Nobody keeps a status of it; its colour is neither emptied nor taken while requests may be under way to it."""
    world = settled(rollout={"drainSeconds": 20})
    world.change(image="app:2", rollout={"drainSeconds": 20})
    until(world, "app-2", "Promoted")
    world.run(400)
    del world.releases["app-2"]
    world.broken.add("app-1")
    world.run(3)
    world.broken.clear()
    world.lagging = lag_seconds > 0
    world.run(lag_seconds)
    world.lagging = False
    for _ in range(20):
        world.run(1)
        assert world.weights == {Color.BLUE: 100, Color.GREEN: 0}
        assert world.selects[Color.GREEN] == "app-2"
        assert world.sizes["app-2"] == 2
    world.run(5)
    assert world.selects[Color.GREEN] == "app-3"
    assert "app-2" not in world.sizes
    assert world.releases["app-1"].status.deleted_drain_since is None


def test_settled_service_wakes_when_a_release_that_was_deleted_is_drained() -> None:
    world = settled(rollout={"drainSeconds": 20})
    world.selects[Color.GREEN] = "app-0"
    world.step()
    assert world.step().next == RequeueAfter(20.0)
    world.now += timedelta(seconds=20)
    world.step()
    assert world.selects[Color.GREEN] is None


def test_colour_of_a_release_that_lost_its_status_and_its_pods_is_not_taken_until_it_is_drained() -> None:
    """What its gateway says of the route may be ahead of what it does."""
    world = settled(rollout={"drainSeconds": 20})
    world.change(image="app:2", rollout={"drainSeconds": 20})
    until(world, "app-2", "Shifting", 0)
    world.lose_status("app-2")
    del world.sizes["app-2"]
    world.change(image="app:3", rollout={"drainSeconds": 20})
    for _ in range(19):
        world.run(1)
        assert world.selects[Color.GREEN] == "app-2"
    world.run(5)
    assert world.selects[Color.GREEN] == "app-3"


def test_release_of_which_nothing_is_known_drains_once_another_serves() -> None:
    """Until then it may have had all traffic, as behind a plain Service."""
    world = settled(rollout={"drainSeconds": 20})
    world.change(image="app:2", rollout={"drainSeconds": 20})
    world.broken.add("app-2")
    world.lose_status()
    world.selects = dict.fromkeys(Color)
    world.weights = None
    world.service = replace(world.service, status=ManagedServiceStatus())
    world.run(30)
    assert world.state("app-2") == "Provisioning"
    world.broken.clear()
    until(world, "app-2", "Promoted")
    for _ in range(18):
        world.run(1)
        assert world.sizes["app-1"] == 2
    world.run(5)
    assert world.sizes["app-1"] == 0
