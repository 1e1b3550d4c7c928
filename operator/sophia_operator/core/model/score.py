"""How good a model is, from 0 to 1, in four parts that each say what they were taken from.

Models are compared by probes alone, since these ask each of them for the same: users' requests to the model that serves
are longer than a probe, and counting them would make every model look slow as soon as it serves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Final

from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_route import ScoreWeights
from sophia_operator.api.model_route_status import ModelScorePart, ModelStatus
from sophia_operator.core.model.evidence import Evidence
from sophia_operator.core.model.findings import QualityFinding
from sophia_operator.core.model.plan_values import ModelScore
from sophia_operator.core.model.wording import milliseconds

_DIGITS: Final = Decimal("0.000001")
_MIDDLE: Final = Decimal("0.5")
#: As if each model had been asked ten times before, and had failed once: a few requests prove nothing.
_BEFORE, _BEFORE_WELL = 10.0, 9.0
_WHY: Final = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """A model to score."""

    model: Model
    eligible: bool
    evidence: Evidence
    #: As it was written down last.
    before: ModelStatus | None = None
    #: What its `qualityQuery` gave last.
    quality: QualityFinding | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    value: Decimal
    why: str


def fraction(value: Decimal) -> str:
    """A number from 0 to 1 as the API has it, with at most six digits behind the point."""
    return f"{_round(value).normalize():f}"


def scores_of(entries: Sequence[Entry], weights: ScoreWeights, window_seconds: int) -> dict[str, ModelScore]:
    """The score of each model, by its name. Only eligible models set what the best is."""
    latencies, costs = _latencies(entries), _costs(entries)
    out = {}
    for entry in entries:
        name = entry.model.name
        parts = (
            ("latency", weights.latency, latencies[name]),
            ("quality", weights.quality, _quality(entry)),
            ("reliability", weights.reliability, _reliability(entry.evidence, window_seconds)),
            ("cost", weights.cost, costs[name]),
        )
        total = sum((Decimal(weight) * part.value for _, weight, part in parts), Decimal(0))
        out[name] = ModelScore(
            _round(total),
            tuple(
                ModelScorePart(name=title, value=fraction(part.value), weight=weight, why=part.why[:_WHY])
                for title, weight, part in parts
            ),
        )
    return out


def _round(value: Decimal) -> Decimal:
    return min(Decimal(1), max(Decimal(0), value)).quantize(_DIGITS)


def _latencies(entries: Sequence[Entry]) -> dict[str, _Part]:
    known = {
        e.model.name: Decimal(str(round(e.evidence.probe_p95_ms, 3)))
        for e in entries
        if e.evidence.probe_p95_ms is not None
    }
    best = _best(entries, known)
    whys = {
        n: f"p95 of probes {milliseconds(float(own))}, the lowest {milliseconds(float(best))}"
        for n, own in known.items()
    }
    return _compared(entries, known, best, whys)


def _costs(entries: Sequence[Entry]) -> dict[str, _Part]:
    declared = {e.model.name: e.model.cost_per_1k_tokens for e in entries}
    known = {name: Decimal(cost) for name, cost in declared.items() if cost is not None}
    best = _best(entries, known)
    whys = {
        n: f"{declared[n]} for 1,000 tokens, the lowest {best.normalize():f}" if own else "free"
        for n, own in known.items()
    }
    return _compared(entries, known, best, whys)


def _best(entries: Sequence[Entry], known: Mapping[str, Decimal]) -> Decimal:
    """The lowest of eligible models; of all when there is none of them. 0 while nothing is known."""
    eligible = [known[e.model.name] for e in entries if e.eligible and e.model.name in known]
    return min(eligible or known.values(), default=Decimal(0))


def _compared(
    entries: Sequence[Entry], known: Mapping[str, Decimal], best: Decimal, whys: Mapping[str, str]
) -> dict[str, _Part]:
    """1 for the lowest figure, and for lower ones of models that are not eligible; half of that for twice as much."""
    values = {name: _round(Decimal(1) if own <= best else best / own) for name, own in known.items()}
    return {
        name: _Part(values[name], whys[name]) if name in values else _unknown(name, entries, values)
        for name in (e.model.name for e in entries)
    }


def _unknown(name: str, entries: Sequence[Entry], values: Mapping[str, Decimal]) -> _Part:
    others = [e for e in entries if e.model.name != name and e.model.name in values]
    chosen = [e for e in others if e.eligible] or others
    if not chosen:
        return _Part(_MIDDLE, "not known")
    return _Part(_round(median(values[e.model.name] for e in chosen)), "not known: the middle of the others")


def _reliability(found: Evidence, window_seconds: int) -> _Part:
    requests, failures = found.requests, found.failures
    value = (requests - failures + _BEFORE_WELL) / (requests + _BEFORE)
    return _Part(
        _round(Decimal(str(value))), f"{round(failures):,} of {round(requests):,} requests failed in {window_seconds} s"
    )


def _quality(entry: Entry) -> _Part:
    """As declared or measured. What was measured stays while Prometheus says nothing: that is no fault of the model."""
    if entry.model.quality is not None:
        return _Part(_round(Decimal(entry.model.quality)), "as declared")
    if entry.model.quality_query is None:
        return _Part(_MIDDLE, "nothing says how good it is")
    answer = entry.quality.answer if entry.quality is not None else "not asked yet"
    if isinstance(answer, str):
        missing = answer
    elif math.isfinite(answer):
        return _Part(_round(Decimal(str(answer))), "as qualityQuery says")
    else:
        missing = "qualityQuery gives no number"
    parts = entry.before.score_parts if entry.before is not None else []
    measured = next((p for p in parts if p.name == "quality"), None)
    if measured is None or Decimal(measured.value) == _MIDDLE:
        return _Part(_MIDDLE, f"not known: {missing}")
    return _Part(_round(Decimal(measured.value)), f"as before: {missing}")
