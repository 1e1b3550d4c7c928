"""What people decide: a model that is pinned serves, whatever it does; a dry run, and manual failbacks, only tell."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.e2e.models.conftest import Served
from tests.e2e.plugin import kubectl

Make = Callable[..., Served]
#: Longer than it takes to leave a model that fails.
STAYS_SECONDS = 8.0


def test_pinned_model_serves_whatever_it_does_until_it_is_unpinned(served: Make) -> None:
    world = served()
    route, (_, second) = world.route, world.models

    def plugin(*words: str, code: int = 0) -> str:
        return kubectl(route.namespace, "sophia", "model", *words, code=code)

    assert "primary" in plugin("list")
    assert "primary serves" in plugin("explain", "chat")
    assert "all requests go to second" in plugin("pin", "chat", "second", "--reason", "comparison")
    route.wait_serves("second")
    assert route.switches()[-1] == ("Pin", "second")
    assert "comparison" in plugin("chat")
    assert "comparison" in plugin("explain", "chat")
    route.wait_condition("OnBestModel", "False", "Pinned")
    route.wait_events("Pinned")
    assert "pinned to second already" in plugin("pin", "chat", "second", code=1)
    assert "it has primary, second" in plugin("pin", "chat", "third", code=2)

    second.control(error_rate=1.0)
    route.wait_states({"second": "Unhealthy"})
    time.sleep(STAYS_SECONDS)
    assert route.shares() == {"second": 100}
    assert route.switches()[-1] == ("Pin", "second")
    assert "Unhealthy" in plugin("status", "chat", code=1)

    plugin("unpin", "chat")
    assert "pin" not in route.object()["spec"]
    route.wait_serves("primary")
    assert route.switches()[-1] == ("Failover", "primary")


def test_dry_run_tells_once_what_it_would_do_and_then_does_it(served: Make) -> None:
    world = served(dryRun=True)
    route, (primary, _) = world.route, world.models
    revision = route.status()["revision"]
    primary.control(error_rate=1.0)
    route.wait_states({"primary": "Unhealthy"})
    (told,) = route.wait_events("WouldSwitch")
    assert "from primary to second" in told["message"]
    time.sleep(STAYS_SECONDS)
    assert (route.shares(), route.status()["revision"]) == ({"primary": 100}, revision)
    assert len(route.events("WouldSwitch")) == 1
    route.patch(dryRun=False)
    route.wait_serves("second")
    assert route.switches() == [("First", "primary"), ("Failover", "second")]


def test_manual_failback_waits_for_a_person(served: Make) -> None:
    world = served(failback={"manual": True})
    route, (primary, _) = world.route, world.models
    primary.control(error_rate=1.0)
    route.wait_serves("second")
    primary.control(error_rate=0.0)
    (told,) = route.wait_events("FailbackDue", seconds=60)
    assert "set spec.pin to primary" in told["message"]
    time.sleep(STAYS_SECONDS)
    assert route.shares() == {"second": 100}
    assert len(route.events("FailbackDue")) == 1
    kubectl(route.namespace, "sophia", "model", "pin", "chat", "primary")
    route.wait_serves("primary")
    kubectl(route.namespace, "sophia", "model", "unpin", "chat")
    time.sleep(STAYS_SECONDS)
    route.wait_serves("primary")
    assert [kind for kind, _ in route.switches()] == ["First", "Failover", "Pin"]
