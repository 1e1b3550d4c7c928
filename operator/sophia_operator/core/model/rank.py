"""All models of a route, judged and put into an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.model_route_status import ModelState, ModelStatus
from sophia_operator.core.model.evidence import LONGEST_PAUSE_SECONDS, gather
from sophia_operator.core.model.health import Case, health_of
from sophia_operator.core.model.plan_values import ModelHealth, Ranking
from sophia_operator.core.model.score import Entry, scores_of
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

#: Of these nothing is known that says whether they work.
_NOT_KNOWN: Final = frozenset({ModelState.UNKNOWN, ModelState.INELIGIBLE})


def judge(route: ModelRouteView, observed: ModelRouteObserved, now: datetime) -> Ranking:
    """How each model is, its score, and the eligible ones, the best first."""
    spec, kept = route.spec, observed.kept
    before = {m.name: _in_time(m, now) for m in route.status.models}
    evidence = {m.name: gather(m.name, kept.probes.get(m.name, ()), kept.passive, spec, now) for m in spec.models}
    health = {
        m.name: health_of(
            Case(
                spec=spec,
                model=m,
                before=before.get(m.name) or ModelStatus(name=m.name),
                evidence=evidence[m.name],
                now=now,
                missing=observed.missing.get(m.name),
            )
        )
        for m in spec.models
    }
    health = _with_unknown(health, observed)
    entries = [
        Entry(m, health[m.name].eligible, evidence[m.name], before.get(m.name), kept.qualities.get(m.name))
        for m in spec.models
    ]
    scores = scores_of(entries, spec.weights, spec.switch.window_seconds)
    order = sorted((m.name for m in spec.models if health[m.name].eligible), key=lambda n: -scores[n].score)
    return Ranking(health=health, scores=scores, order=tuple(order))


def _in_time(row: ModelStatus, now: datetime) -> ModelStatus:
    """The model as it was written down. A clock that was set back must not hold anything up until it has caught up."""
    latest = {
        "failing_since": now,
        "healthy_since": now,
        "paused_until": now + timedelta(seconds=LONGEST_PAUSE_SECONDS),
    }
    late = {name: most for name, most in latest.items() if (moment := getattr(row, name)) is not None and moment > most}
    return row.model_copy(update=late) if late else row


def _with_unknown(health: Mapping[str, ModelHealth], observed: ModelRouteObserved) -> dict[str, ModelHealth]:
    """Models of which nothing is known may be chosen as long as that is so of all of them. A probe that failed is
    something: the others are asked in the same moment, and one of them may answer."""
    asked = any(observed.kept.probes.get(name) for name, h in health.items() if h.state is not ModelState.INELIGIBLE)
    if asked or any(h.state not in _NOT_KNOWN for h in health.values()):
        return dict(health)
    return {name: replace(h, eligible=h.state is ModelState.UNKNOWN) for name, h in health.items()}
