"""The table of models that a status shows: how each is, its rank, its score and what that was taken from.

With probes each second, requests, latencies and scores are others each second, and models that are about as good
change places. The table is written anew when something in it matters, and else now and then, when it says something
else than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sophia_operator.api.model_route_status import ModelRouteStatus, ModelStatus
from sophia_operator.core.model.plan_values import ModelHealth, ModelScore, Ranking, SwitchPlan
from sophia_operator.core.model.views import ModelRouteView
from sophia_operator.core.steady import differs

#: What changes all the time is written down no more often than that.
FIGURES_SECONDS: Final = 30.0
#: A score says something else when it differs by so much.
_SCORE_STEP: Final = Decimal("0.02")
_DIGITS: Final = Decimal("0.001")
_FIGURES: Final = ("p95_ms", "first_token_ms", "tokens_per_second", "requests", "failures")
_MESSAGE: Final = 512
_WHY: Final = 256


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """Parts of a status."""

    models: list[ModelStatus]
    best: str | None
    figures_at: datetime | None


def scoreboard(route: ModelRouteView, ranking: Ranking, plan: SwitchPlan, now: datetime) -> Scoreboard:
    """The table, in the order of the spec."""
    before = route.status
    fresh = [_row(name.name, ranking) for name in route.spec.models]
    if _matters(before, fresh, plan) or (_is_due(before, now) and _says_else(before, fresh)):
        return Scoreboard(fresh, ranking.best, now)
    known = {m.name: m for m in before.models}
    return Scoreboard([_with_times(known[m.name], m) for m in fresh], before.best, before.figures_at)


def _row(name: str, ranking: Ranking) -> ModelStatus:
    health, score = ranking.health.get(name), ranking.scores.get(name)
    rank = ranking.order.index(name) + 1 if name in ranking.order else None
    if health is None:
        return ModelStatus(name=name, rank=rank, **_score(score))
    return ModelStatus(
        name=name,
        state=health.state,
        eligible=health.eligible,
        reason=health.reason.value if health.reason is not None else None,
        message=health.message[:_MESSAGE] or None,
        rank=rank,
        healthy_since=health.healthy_since,
        failing_since=health.failing_since,
        paused_until=health.paused_until,
        **_figures(health),
        **_score(score),
    )


def _figures(health: ModelHealth) -> dict[str, Any]:
    return {
        "p95_ms": _whole(health.p95_ms),
        "first_token_ms": _whole(health.first_token_ms),
        "tokens_per_second": _whole(health.tokens_per_second),
        "requests": _whole(health.requests) or 0,
        "failures": _whole(health.failures) or 0,
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else max(0, round(value))


def _score(score: ModelScore | None) -> dict[str, Any]:
    if score is None:
        return {}
    parts = [p.model_copy(update={"why": p.why[:_WHY]}) for p in score.parts]
    return {"score": fraction(score.score), "score_parts": parts}


def fraction(value: Decimal) -> str:
    """From 0 to 1, as the API writes it."""
    rounded = min(Decimal(1), max(Decimal(0), value)).quantize(_DIGITS)
    return f"{rounded.normalize():f}"


def _matters(before: ModelRouteStatus, fresh: Sequence[ModelStatus], plan: SwitchPlan) -> bool:
    """Whether something else than figures changed: people look at the table then, and at what it was decided by."""
    known = {m.name: m for m in before.models}
    if known.keys() != {m.name for m in fresh} or before.figures_at is None:
        return True
    if before.active != plan.active or (before.switch is None) != (plan.switch is None) or plan.past is not None:
        return True
    return any(_sort(known[m.name]) != _sort(m) for m in fresh)


def _sort(row: ModelStatus) -> tuple[object, ...]:
    # A status that was read has them in another order.
    weights = sorted((p.name, p.weight) for p in row.score_parts)
    return row.state, row.eligible, row.reason, row.score is None, row.p95_ms is None, weights


def _is_due(before: ModelRouteStatus, now: datetime) -> bool:
    # One that is yet to come was written by a clock that was set back since.
    return before.figures_at is None or abs(now - before.figures_at) >= timedelta(seconds=FIGURES_SECONDS)


def _says_else(before: ModelRouteStatus, fresh: Sequence[ModelStatus]) -> bool:
    known = {m.name: m for m in before.models}
    return any(_differ(known[m.name], m) for m in fresh)


def _differ(old: ModelStatus, new: ModelStatus) -> bool:
    if old.rank != new.rank or abs(_decimal(old.score) - _decimal(new.score)) >= _SCORE_STEP:
        return True
    pairs = [(getattr(old, name), getattr(new, name)) for name in _FIGURES]
    return any((a is None) != (b is None) or (a is not None and differs(a, b)) for a, b in pairs)


def _decimal(score: str | None) -> Decimal:
    return Decimal(score) if score is not None else Decimal(0)


def _with_times(old: ModelStatus, new: ModelStatus) -> ModelStatus:
    """What decisions go by after a restart is always exact."""
    times = ("healthy_since", "failing_since", "paused_until")
    return old.model_copy(update={name: getattr(new, name) for name in times})
