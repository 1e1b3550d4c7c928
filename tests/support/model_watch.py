"""A ModelRoute that is watched: probes in short words, and what is judged of its models from pass to pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus, ModelState, ModelStatus
from sophia_operator.core.model.evidence import remember
from sophia_operator.core.model.findings import (
    Completion,
    ModelFailure,
    ModelFault,
    ModelFinding,
    PassiveFinding,
    PassiveTally,
    QualityFinding,
)
from sophia_operator.core.model.plan_values import Ranking
from sophia_operator.core.model.rank import judge
from sophia_operator.core.model.score import fraction
from sophia_operator.core.model.views import ModelKept, ModelRouteObserved, ModelRouteView
from sophia_operator.core.views import Blocker

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FAST_MS, SLOW_MS = 200.0, 5000.0
#: How a probe ends, in one letter.
FAULTS: Final = {
    "F": ModelFault.UNREACHABLE,
    "T": ModelFault.TIMEOUT,
    "X": ModelFault.SERVER_ERROR,
    "E": ModelFault.INVALID_ANSWER,
    "B": ModelFault.TRUNCATED,
    "W": ModelFault.UNEXPECTED_ANSWER,
    "4": ModelFault.RATE_LIMITED,
    "C": ModelFault.CREDENTIALS_REFUSED,
}
LETTERS: Final = {
    ModelState.UNKNOWN: "?",
    ModelState.HEALTHY: "H",
    ModelState.FAILING: "F",
    ModelState.UNHEALTHY: "U",
    ModelState.PAUSED: "P",
    ModelState.REFUSED: "R",
    ModelState.INELIGIBLE: "I",
}


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def answer(ms: float = FAST_MS) -> Completion:
    """A whole answer."""
    return Completion(first_token_ms=ms / 4, total_ms=ms, tokens=8, tokens_per_second=40.0)


def failure(letter: str = "F", message: str = "", retry_after: float | None = None) -> ModelFailure:
    """A probe that gave nothing."""
    return ModelFailure(FAULTS[letter], message, retry_after)


def result(letter: str) -> Completion | ModelFailure:
    """How a probe ended: `S` is well, `L` is late, the rest fail."""
    if letter in "SL":
        return answer(FAST_MS if letter == "S" else SLOW_MS)
    return failure(letter)


def found(letters: str, every: float = 10, since: float = 0) -> tuple[ModelFinding, ...]:
    """Findings of probes, the first one at `since`."""
    return tuple(ModelFinding(at(since + every * i), result(c)) for i, c in enumerate(letters) if c != ".")


def tally(requests: float, failures: float = 0, p95_ms: float | None = None) -> PassiveTally:
    """Users' requests."""
    return PassiveTally(requests, failures, p95_ms)


def model(name: str, **changes: Any) -> dict[str, Any]:
    """A model as users write it."""
    return {"name": name, "model": f"{name}-1", "endpoint": {"url": f"https://{name}.example/v1"}, **changes}


def spec(*models: dict[str, Any], **changes: Any) -> ModelRouteSpec:
    """Of a route of the models; of one, `a`, without any."""
    gateway = {"liteLLM": {"selector": {"app": "litellm"}}}
    return ModelRouteSpec.model_validate({"models": models or [model("a")], "gateway": gateway, **changes})


@dataclass
class Watch:
    """Passes over a route. What is judged is written down, and read back in the next pass."""

    spec: ModelRouteSpec = field(default_factory=spec)
    judge: Callable[[ModelRouteView, ModelRouteObserved, datetime], Ranking] = judge
    remember: Callable[..., tuple[ModelFinding, ...]] = remember
    seconds: float = 0
    models: list[ModelStatus] = field(default_factory=list)
    probes: dict[str, tuple[ModelFinding, ...]] = field(default_factory=dict)
    passive: PassiveFinding | None = None
    qualities: dict[str, QualityFinding] = field(default_factory=dict)
    missing: dict[str, Blocker] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The time of the next pass."""
        return at(self.seconds)

    @property
    def view(self) -> ModelRouteView:
        """The route, with what was written down last."""
        return ModelRouteView(
            namespace="demo",
            name="chat",
            uid="u",
            generation=1,
            resource_version="1",
            created_at=START,
            spec=self.spec,
            status=ModelRouteStatus(models=self.models),
        )

    @property
    def observed(self) -> ModelRouteObserved:
        """What the next pass sees."""
        kept = ModelKept(probes=self.probes, passive=self.passive, qualities=self.qualities)
        return ModelRouteObserved(missing=self.missing, kept=kept)

    def look(self) -> Ranking:
        """A pass."""
        ranking = self.judge(self.view, self.observed, self.now)
        self.models = [_row(m.name, ranking) for m in self.spec.models]
        return ranking

    def put(self, name: str, what: Completion | ModelFailure) -> None:
        """A probe ends now."""
        rows = (*self.probes.get(name, ()), ModelFinding(self.now, what))
        self.probes[name] = self.remember(rows, self.now, self.spec.switch.window_seconds)

    def count(self, **tallies: PassiveTally) -> None:
        """Users' requests are counted now."""
        self.passive = PassiveFinding(self.now, tallies)

    def play(self, letters: str, name: str = "a", every: float | None = None, **others: str) -> str:
        """A pass after each probe of the model, in the time of its interval; how it is after each of them. Others are
        probed in the same moments. A dot is a pass without a probe."""
        states = ""
        for index, letter in enumerate(letters):
            for who, which in {name: letter, **{n: c[index] for n, c in others.items()}}.items():
                if which != ".":
                    self.put(who, result(which))
            states += LETTERS[self.look().health[name].state]
            self.seconds += self.spec.probe.interval_seconds if every is None else every
        return states

    def restart(self) -> None:
        """The operator starts anew, and has forgotten what is not in the status."""
        self.probes, self.passive, self.qualities = {}, None, {}

    def state(self, name: str = "a") -> ModelState:
        """As written down last."""
        return next(m.state for m in self.models if m.name == name)


def _row(name: str, ranking: Ranking) -> ModelStatus:
    health, score = ranking.health[name], ranking.scores[name]
    return ModelStatus(
        name=name,
        state=health.state,
        eligible=health.eligible,
        reason=health.reason.value if health.reason is not None else None,
        message=health.message or None,
        rank=ranking.order.index(name) + 1 if name in ranking.order else None,
        score=fraction(score.score),
        score_parts=list(score.parts),
        healthy_since=health.healthy_since,
        failing_since=health.failing_since,
        paused_until=health.paused_until,
    )


def values(ranking: Ranking, name: str = "a") -> Mapping[str, str]:
    """Parts of a model's score, by their names."""
    return {p.name: p.value for p in ranking.scores[name].parts}
