"""Which releases are history that need not be kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sophia_operator.api.release import Intent, ReleaseState
from sophia_operator.core.placement import Placement, placement
from sophia_operator.core.roles import select
from sophia_operator.core.views import ReleaseView
from sophia_operator.runtime.prune import beyond_history
from tests.support.sim import Sim, settled


def history() -> Sim:
    """A service with six promoted releases, the newest of which serves."""
    world = settled()
    for revision in range(2, 7):
        world.change(image=f"app:{revision}")
        world.run(150)
        world.now += timedelta(seconds=400)
        world.run(30)
        assert world.stable == f"app-{revision}"
    return world


@pytest.fixture(scope="module")
def six() -> Sim:
    return history()


def beyond(world: Sim, limit: int, shape: Placement | None = None) -> list[str]:
    observed = world.observed()
    roles = select(world.service, observed, world.now)
    shape = shape or placement(world.service, observed, world.now)
    return [r.name for r in beyond_history(observed, roles, shape, limit)]


def test_the_oldest_beyond_the_limit_go(six: Sim) -> None:
    assert beyond(six, 2) == ["app-1", "app-2"]
    assert beyond(six, 1) == ["app-1", "app-2", "app-3"]
    assert beyond(six, 10) == []


def test_what_is_placed_stays(six: Sim) -> None:
    shape = placement(six.service, six.observed(), six.now)
    assert "app-1" not in beyond(six, 1, replace(shape, replicas={**shape.replicas, "app-1": 2}))


@pytest.mark.parametrize("state", [ReleaseState.PENDING, ReleaseState.SHIFTING, ReleaseState.ROLLING_BACK])
def test_what_is_not_over_stays(six: Sim, state: ReleaseState) -> None:
    world = Sim(six.service, six.now, dict(six.releases), six.weights, dict(six.selects), dict(six.sizes))
    world.releases["app-1"] = _in(world.releases["app-1"], state)
    assert "app-1" not in beyond(world, 1)


def test_a_failure_of_what_the_spec_asks_for_stays(six: Sim) -> None:
    world = Sim(six.service, six.now, dict(six.releases), six.weights, dict(six.selects), dict(six.sizes))
    wanted = select(world.service, world.observed(), world.now).wanted_hash
    assert wanted is not None
    old = _in(world.releases["app-1"], ReleaseState.FAILED)
    world.releases["app-1"] = replace(old, spec=old.spec.model_copy(update={"hash": wanted, "intent": Intent.PROCEED}))
    assert "app-1" not in beyond(world, 1)


def test_what_lost_its_status_stays_until_it_is_known_what_it_did(six: Sim) -> None:
    world = Sim(six.service, six.now, dict(six.releases), six.weights, dict(six.selects), dict(six.sizes))
    world.releases["app-1"] = replace(world.releases["app-1"], status_lost=True)
    assert "app-1" not in beyond(world, 1)


def _in(release: ReleaseView, state: ReleaseState) -> ReleaseView:
    return replace(release, status=release.status.model_copy(update={"state": state}))
