"""How rollouts end, and what must hold then: who is stable, what the route says, and who answers the users."""

from __future__ import annotations

import time
from typing import Any

from hack.load import Load
from hack.rig.waiting import until
from tests.e2e.conftest import Loaded

_OTHER = {"blue": "green", "green": "blue"}


def goes_forward(world: Loaded, revision: int = 2, *, seconds: float = 120) -> dict[str, Any]:
    """The release is promoted: the service is Ready with it, nothing goes on, and it alone serves."""
    release = world.service.wait_state(revision, "Promoted", seconds=seconds)
    settles(world, revision)
    return release


def settles(world: Loaded, revision: int, *, seconds: float = 60) -> None:
    """The service is Ready with that release, nothing goes on, and it alone serves."""
    status = world.service.wait_settled(revision, seconds=seconds)
    assert status["observedGeneration"] == world.service.object()["metadata"]["generation"]
    assert not {"Reconciling", "Stalled"} & {c["type"] for c in status["conditions"]}
    assert "rollout" not in status
    serves_alone(world, revision)


def goes_back(world: Loaded, *states: str, revision: int = 2, to: int = 1, seconds: float = 120) -> dict[str, Any]:
    """The release ends in one of the states, RolledBack if none is named: the one before serves alone, and says so."""
    release = world.service.wait_state(revision, *(states or ("RolledBack",)), seconds=seconds)
    # The service's own status is written after the release's.
    stalled = world.service.api.until("Stalled", lambda: world.service.condition("Stalled"), seconds=30)
    assert stalled["reason"] == "ReleaseLatched"
    assert f"{world.service.name}-{to} keeps serving" in stalled["message"]
    conditions = {c["type"]: c["status"] for c in world.service.status()["conditions"]}
    assert (conditions["Ready"], conditions["Available"]) == ("False", "True")
    assert "Reconciling" not in conditions
    serves_alone(world, to)
    return release


def serves_alone(world: Loaded, revision: int) -> None:
    """The release is the stable one, its colour has all the weight, and nobody else answers the users."""
    stable = world.service.status()["stable"]
    assert stable["revision"] == revision
    assert world.service.weights() == {stable["color"]: 100, _OTHER[stable["color"]]: 0}
    assert who_answers(world) == {f"{world.service.name}-{revision}"}


def who_answers(world: Loaded) -> set[str]:
    """Releases that answer the users of one second from now on."""
    if not world.load.running:
        # Nobody asks any more, so we do.
        with Load(world.url, world.service.host, rate=20, duration=1.0) as asking:
            asking.wait()
        return set(asking.report().releases)
    since = time.time()
    # Requests end out of order: some that were sent within the second may end after one that was sent later.
    until(
        "a second's answers",
        lambda: any(r.scheduled >= since + 1 and r.release for r in world.load.records[-100:]),
        seconds=45,
    )
    return set(world.load.report(since, since + 1).releases)
