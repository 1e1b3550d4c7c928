"""Models that are none, a ModelRoute for each test, and somebody who asks it for completions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hack.load import Load, Report
from hack.rig import envoys
from hack.rig.api import Api, Json
from hack.rig.models import MODEL_HEADER, Route, completion, model, seconds_to_proof
from hack.rig.simulators import Simulator
from hack.rig.waiting import until

#: From the best to the worst, so far apart that nothing but a failure changes their order.
_QUALITIES = ("0.9", "0.6", "0.3")
_RATE = 50.0
_IN_A_ROW = 5


@dataclass
class Served:
    """A route that serves its best model, and the models, the best one first."""

    route: Route
    models: list[Simulator]
    #: Where the Gateway is reached.
    url: str


class Asking:
    """Users who ask for completions all the time."""

    def __init__(self, load: Load) -> None:
        self.load = load

    def failed(self, since: float = 0.0, until: float = float("inf")) -> dict[str, int]:
        """Requests that were due between these moments (seconds since the epoch) and gave nothing, by why."""
        report = self.load.report(since, until)
        errors = {f"an error of {name}": count for name, count in report.app_errors_by_release.items()}
        return {**report.lost_reasons, **errors}

    def answered_by(self, since: float, until: float = float("inf")) -> set[str]:
        """Models that answered requests that were due between these moments."""
        return set(self.load.report(since, until).releases)

    def stop(self) -> Report:
        """End, and tell what came of it."""
        self.load.stop()
        return self.load.report()


@pytest.fixture(scope="session")
def two_envoys(cluster: Api) -> None:
    """A second Envoy, so that what one of them does proves nothing."""
    envoys.ensure_second(cluster)


@pytest.fixture
def simulated(cluster: Api, namespace: str) -> Callable[..., list[Simulator]]:
    """Start models of these names, and wait until they answer. Settings are as of tests/support/openai_server.py."""

    def make(*names: str, **settings: Any) -> list[Simulator]:
        made = [Simulator(cluster, namespace, name) for name in names]
        for simulator in made:
            simulator.up(**settings)
        for simulator in made:
            simulator.wait_ready()
        return made

    return make


@pytest.fixture
def served(
    cluster: Api, namespace: str, gateway: str, two_envoys: None, simulated: Callable[..., list[Simulator]]
) -> Callable[..., Served]:
    """Start models, the best one first, and a route that serves it. Options are as of `hack.rig.models.route`."""

    def make(*names: str, **spec: Any) -> Served:
        simulators = simulated(*(names or ("primary", "second")))
        route = Route(cluster, namespace)
        route.apply([model(s.name, quality) for s, quality in zip(simulators, _QUALITIES, strict=False)], **spec)
        route.wait_serves(simulators[0].name)
        wait_answers(route, gateway)
        return Served(route, simulators, gateway)

    return make


@pytest.fixture
def asking(request: pytest.FixtureRequest) -> Iterator[Callable[..., Asking]]:
    """Start users of a route; they leave at the end at the latest. Options are as of `hack.load.Load`."""
    started: list[Asking] = []

    def start(world: Served, **options: Any) -> Asking:
        usual = {"rate": _RATE, "body": completion(), "named_by": MODEL_HEADER}
        load = Load(f"{world.url}v1/chat/completions", world.route.host, **{**usual, **options})
        load.start()
        users = Asking(load)
        started.append(users)
        until("a second's answers", lambda: load.report().ok >= options.get("rate", _RATE), seconds=30, every=0.1)
        return users

    yield start
    for users in started:
        report = users.stop()
        request.node.user_properties += [
            ("model_requests", report.sent),
            ("model_failed", report.lost + report.app_errors),
        ]


@pytest.fixture
def proved(request: pytest.FixtureRequest) -> Callable[[Json], float]:
    """Add a switch that ended to the books; seconds from its decision until every replica was seen to follow."""

    def note(past: Json) -> float:
        seconds = seconds_to_proof(past)
        request.node.user_properties.append(("seconds_to_proof", seconds))
        return seconds

    return note


def wait_answers(route: Route, url: str, *, seconds: float = 30) -> None:
    """Wait until the Gateway's listener leads to the route, several times in a row: each thread of it learns of a new
    host by itself. Raises TimeoutError."""
    until(
        f"the gateway at {url} to lead to {route.host}",
        lambda: all(route.ask(url).status_code == 200 for _ in range(_IN_A_ROW)),
        seconds=seconds,
        every=0.2,
    )
