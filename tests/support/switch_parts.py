"""Models and replicas of a gateway as they are in `tests.support.switch_world`, and a stand-in for their judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sophia_operator.api.model_route_status import ModelState
from sophia_operator.core.model.findings import (
    Completion,
    ModelFailure,
    ModelFault,
    ModelFinding,
    ReplicaFinding,
)
from sophia_operator.core.model.plan_values import ModelHealth, ModelScore, Ranking
from sophia_operator.core.model.views import ModelRouteView
from tests.support.model_scene import at


class Mood(StrEnum):
    """How a model is."""

    UP = "up"
    SLOW = "slow"
    DOWN = "down"
    FLAKY = "flaky"  # answers two of three
    LIMITED = "limited"
    REFUSED = "refused"


@dataclass
class Endpoint:
    """A model."""

    mood: Mood = Mood.UP
    quality: float = 0.5
    asked: int = 0
    #: As the stand-in judges it.
    since: float = 0.0

    def answer(self, now: datetime) -> ModelFinding:
        """A probe."""
        self.asked += 1
        mood = self.mood
        if mood is Mood.FLAKY:
            mood = Mood.DOWN if self.asked % 3 == 0 else Mood.UP
        if mood in (Mood.UP, Mood.SLOW):
            return ModelFinding(now, Completion(50.0, 100.0 if mood is Mood.UP else 5000.0, 8, 40.0))
        if mood is Mood.LIMITED:
            return ModelFinding(now, ModelFailure(ModelFault.RATE_LIMITED, "429", 4.0))
        fault = ModelFault.TIMEOUT if mood is Mood.DOWN else ModelFault.CREDENTIALS_REFUSED
        return ModelFinding(now, ModelFailure(fault, "no answer"))

    @property
    def serves(self) -> bool:
        """Whether a request that is sent to it now is answered."""
        return self.mood in (Mood.UP, Mood.SLOW, Mood.FLAKY)


@dataclass(frozen=True)
class Told:
    """What a gateway is told by one revision."""

    revision: int
    shares: Mapping[str, int]
    fallbacks: tuple[str, ...]
    #: Name, model and endpoint of each, and the kind of the gateway.
    models: tuple[tuple[str, str, str | None], ...]
    kind: str


@dataclass
class Replica:
    """A process of the gateway."""

    name: str
    lag: float = 0.0
    stuck: bool = False
    hangs: bool = False
    ready: bool = True
    serves: Told | None = None
    coming: list[tuple[float, Told]] = field(default_factory=list)
    requests: int = 0

    def see(self, told: Told | None, now: float) -> None:
        """What is applied comes to it after a while."""
        newest = self.coming[-1][1] if self.coming else self.serves
        if told is not None and told != newest and not self.stuck:
            self.coming.append((now + self.lag, told))
        while self.coming and self.coming[0][0] <= now:
            self.serves = self.coming.pop(0)[1]

    def ask(self, models: Mapping[str, Endpoint], now: datetime) -> ReplicaFinding:
        """A marked request."""
        if self.hangs:
            return ReplicaFinding(now, self.name, None, None, ModelFailure(ModelFault.TIMEOUT, "no answer"))
        if self.serves is None:
            return ReplicaFinding(now, self.name, None, None, ModelFailure(ModelFault.SERVER_ERROR, "no table"))
        self.requests += 1
        place, first = (self.requests * 37) % 100, None
        for name, percent in self.serves.shares.items():
            if place < percent:
                first = name
                break
            place -= percent
        chain = [n for n in (first, *self.serves.fallbacks) if n is not None and n in models]
        answers = next((n for n in chain if models[n].serves), None)
        return ReplicaFinding(now, self.name, self.serves.revision, answers)


def stand_in(view: ModelRouteView, models: Mapping[str, Endpoint], seconds: float) -> Ranking:
    """Knows how each model is, and forgives at once."""
    before, now = {m.name: m for m in view.status.models}, at(seconds)
    names = [m.name for m in view.spec.models]
    health = {}
    for name in names:
        endpoint, old = models[name], before.get(name)
        fails = ModelState.UNHEALTHY if seconds - endpoint.since >= 2 else ModelState.FAILING
        known = {Mood.UP: ModelState.HEALTHY, Mood.LIMITED: ModelState.PAUSED, Mood.REFUSED: ModelState.REFUSED}
        state = known.get(endpoint.mood, fails)
        is_well = state is ModelState.HEALTHY
        was_well = old is not None and old.state is ModelState.HEALTHY
        share = {Mood.DOWN: 1.0, Mood.FLAKY: 1 / 3}.get(endpoint.mood, 0.0)
        health[name] = ModelHealth(
            state,
            state in (ModelState.HEALTHY, ModelState.FAILING),
            healthy_since=(old.healthy_since if old is not None and was_well else now) if is_well else None,
            failing_since=at(endpoint.since) if state is fails else None,
            requests=6.0,
            failures=6.0 * share,
            evidence=f"is {endpoint.mood.value}",
        )
    scores = {n: ModelScore(Decimal(f"{models[n].quality:.2f}"), ()) for n in names}
    order = sorted((n for n in names if health[n].eligible), key=lambda n: -scores[n].score)
    return Ranking(health, scores, tuple(order))
