"""The release before the stable one, which is kept for an instant way back."""

from __future__ import annotations

from sophia_operator.api.conditions import ConditionType, find
from tests.support.sim import settled


def test_kept_release_that_is_short_of_pods_gets_its_users_back_once_it_has_them() -> None:
    world = settled(replicas=4)
    world.change(image="app:2", replicas=4)
    while world.state_or("app-2") != "Promoted":
        world.run(1)
    world.short["app-1"] = 1
    world.change(image="app:1", replicas=4)
    world.run(20)
    assert world.weight_of("app-2") == 100
    ready = find(world.service.status.conditions, ConditionType.READY)
    assert ready is not None
    assert "1 of 4 pods of app-1 are ready, 4 needed to go back to it" in ready.message
    world.short.clear()
    world.run(5)
    assert world.weight_of("app-1") == 100
