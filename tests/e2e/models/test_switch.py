"""A model that serves fails: another one takes over, at every replica of the gateway, and gives the traffic back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hack.demo.figures import seconds_of
from hack.rig import envoys
from hack.rig.api import Json
from hack.rig.models import Route, shares_of
from tests.e2e.models.conftest import Asking, Served

Make = Callable[..., Served]
Users = Callable[..., Asking]
Proved = Callable[[Json], float]
#: What decides beside probes: what users' requests show at Envoy.
CONTOUR = {"preset": "Contour", "intervalSeconds": 1}
#: From the decision until every Envoy was seen to serve by it. Alone that takes less than a second.
PROVED_SECONDS = 10.0
#: So long must nothing move once it is over: several windows of probes, and every hold that a test has.
CALM_SECONDS = 12.0
#: A request may be sent that much later than it was due, where the machine is busy.
LATE_SECONDS = 1.0


def test_killed_model_is_replaced_everywhere_and_gets_its_traffic_back_by_stages(
    served: Make, asking: Users, proved: Proved
) -> None:
    # Stages that are long enough to be seen, each of them, on a busy machine.
    world = served(metrics=CONTOUR, failback={"stageSeconds": 4})
    route, (primary, _) = world.route, world.models
    users = asking(world)
    began = time.time()
    primary.kill()
    past = route.wait_past("Failover", began, seconds=40)
    status = route.wait_serves("second")
    assert (past["from"], past["to"], past["result"]) == ("primary", "second", "Switched")
    assert "primary is Unhealthy" in past["trigger"]
    assert "primary: " in past["evidence"]
    assert proved(past) < PROVED_SECONDS
    assert [(r["name"], r["revision"], r["model"]) for r in status["replicas"]] == [
        (address, status["revision"], "second") for address in envoys.addresses(route.api)
    ]
    assert (len(status["replicas"]), status["preferred"]) == (2, "primary")
    tells(route, "Switching", "from primary to second")
    tells(route, "Switched", "second serves instead of primary")
    # Only while nobody knew of it, and a switch was on its way.
    over = seconds_of(past["provedAt"])
    assert users.failed(until=began - LATE_SECONDS) == {}
    again = time.time()
    primary.revive()
    assert follow(route, "primary") == [5, 25, 100]
    back = route.wait_past("Failback", again)
    assert proved(back) < PROVED_SECONDS
    assert (back["from"], back["to"], back["result"]) == ("second", "primary", "Switched")
    route.wait_events("FailedBack")
    time.sleep(CALM_SECONDS)
    assert route.switches() == [("First", "primary"), ("Failover", "second"), ("Failback", "primary")]
    assert (route.condition("OnBestModel") or {}).get("reason") == "BestModelServes"
    assert (route.condition("MetricsAvailable") or {}).get("status") == "True"
    users.stop()
    assert users.failed(since=over) == {}
    assert users.answered_by(over, seconds_of(back["startedAt"]) - LATE_SECONDS) == {"second"}
    assert users.answered_by(seconds_of(back["endedAt"])) == {"primary"}


def test_model_that_fails_only_some_requests_is_left_for_what_users_got(
    served: Make, asking: Users, proved: Proved
) -> None:
    """Two of five fail, so that its probes hardly ever fail twice in a row: it is its share of errors that counts."""
    world = served(metrics=CONTOUR)
    route, (primary, _) = world.route, world.models
    users = asking(world)
    began = time.time()
    primary.control(error_rate=0.4)
    past = route.wait_past("Failover", began, seconds=60)
    assert "requests failed in 10 s" in past["evidence"]
    route.wait_serves("second")
    users.stop()
    assert users.failed(until=began - LATE_SECONDS) == {}
    assert users.failed(since=seconds_of(past["provedAt"])) == {}
    assert route.scoreboard()["primary"]["state"] == "Unhealthy"
    assert proved(past) < PROVED_SECONDS


def tells(route: Route, reason: str, words: str) -> None:
    """There is an Event with that reason and these words."""

    def told() -> bool:
        return any(words in event["message"] for event in route.events(reason))

    route.api.until(f"an Event {reason} that says {words!r}", told, seconds=40)


def follow(route: Route, name: str, *, seconds: float = 120) -> list[int]:
    """Shares of the model, one after the other, until it has all of the traffic and no switch goes on."""
    seen: list[int] = []

    def look(found: Json) -> bool:
        going: dict[str, Any] = found["status"].get("switch") or {}
        share = shares_of(found).get(name, 0)
        if going.get("kind") == "Failback" and share not in seen:
            seen.append(share)
        return bool(seen) and not going

    route.wait(f"to go back to {name}", look, seconds=seconds)
    return seen
