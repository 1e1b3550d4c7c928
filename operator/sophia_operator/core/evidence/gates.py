"""What a look at a gate says, and what the looks of a stage say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import Final

from sophia_operator.api.common import decimal
from sophia_operator.api.gates import Gate
from sophia_operator.api.release import GateStatus, Verdict
from sophia_operator.core.evidence import comparison
from sophia_operator.core.evidence.queries import BASELINE, CEILING, DISPERSION, ERRORS, TOTAL, VALUE
from sophia_operator.core.evidence.wording import exact, text
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, QueryRefused

_LONGEST_QUERY: Final = 16_384
_LONGEST_MESSAGE: Final = 2_048


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look says, before it is counted."""

    verdict: Verdict
    message: str
    value: str | None = None
    baseline: str | None = None
    requests: int | None = None


class StageVerdictKind(StrEnum):
    """What the gates of a stage say together."""

    PASS = "Pass"  # noqa: S105 - a verdict
    FAIL = "Fail"
    HOLD = "Hold"
    EXHAUSTED = "Exhausted"


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """What the gates of a stage say together; `gate` names the one that decided, if one did."""

    kind: StageVerdictKind
    gate: str | None
    message: str


def judge(
    gate: Gate,
    answer: MetricsAnswer | None,
    previous: GateStatus | None,
    *,
    query: str,
    now: datetime,
    next_look_at: datetime,
) -> GateStatus:
    """The gate's status after a look. `previous` is its status in the same stage; None at the first look.

    Pass only on positive evidence: without an answer, without a number, or on fewer than minRequests requests the
    verdict is Inconclusive.
    """
    found = _find(gate, answer)
    failed, unsure = found.verdict is Verdict.FAIL, found.verdict is Verdict.INCONCLUSIVE
    return GateStatus(
        name=gate.name,
        verdict=found.verdict,
        value=found.value,
        baseline=found.baseline,
        requests=found.requests,
        message=_cut(found.message, _LONGEST_MESSAGE),
        query=_cut(query, _LONGEST_QUERY),
        failures=(previous.failures if previous else 0) + failed,
        inconclusives=(previous.inconclusives if previous else 0) + 1 if unsure else 0,
        looks=(previous.looks if previous else 0) + 1,
        looked_at=now,
        next_look_at=next_look_at,
        dry_run=gate.dry_run,
    )


def stage_verdict(gates: Sequence[GateStatus], specs: Sequence[Gate]) -> StageVerdict:
    """What the gates of a stage say together: Fail before Exhausted before Hold; gates on dry run have no say."""
    status = {g.name: g for g in gates}
    binding = [(spec, status.get(spec.name)) for spec in specs if not spec.dry_run]
    for spec, seen in binding:
        if seen is not None and seen.failures > spec.failure_limit:
            return StageVerdict(StageVerdictKind.FAIL, spec.name, seen.message)
    for spec, seen in binding:
        if seen is not None and seen.inconclusives > spec.inconclusive_limit:
            message = f"{seen.inconclusives} looks in a row were inconclusive: {seen.message}"
            return StageVerdict(StageVerdictKind.EXHAUSTED, spec.name, message)
    for spec, seen in binding:
        if seen is None or seen.looks == 0:
            return StageVerdict(StageVerdictKind.HOLD, spec.name, f"gate {spec.name} was not looked at yet")
        if seen.verdict is not Verdict.PASS:
            message = f"gate {spec.name} is {seen.verdict.value}: {seen.message}"
            return StageVerdict(StageVerdictKind.HOLD, spec.name, message)
    return StageVerdict(StageVerdictKind.PASS, None, "every gate passed at its last look")


def _cut(words: str, longest: int) -> str:
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def _unsure(message: str, requests: int | None = None) -> Finding:
    return Finding(Verdict.INCONCLUSIVE, message, requests=requests)


def _find(gate: Gate, answer: MetricsAnswer | None) -> Finding:
    if answer is None:
        return _unsure("no answer from Prometheus")
    if isinstance(answer, MetricsOutage):
        return _unsure(f"no answer from Prometheus: {answer.message}")
    if isinstance(answer, QueryRefused):
        return _unsure(f"Prometheus refuses the query: {answer.message}")
    samples = {name: value for name, value in answer.values.items() if isfinite(value)}
    judged_by: Callable[[Gate, Mapping[str, float], int], Finding]
    if gate.success_rate is not None:
        judged_by = _success_rate
    elif gate.latency is not None:
        judged_by = _latency
    else:
        judged_by = _promql
        if gate.min_requests == 0:
            return _promql(gate, samples, None)
    total = samples.get(TOTAL)
    if total is None:
        return _unsure("Prometheus has no series that count the release's requests in the window")
    # Extrapolated counts have fractions; half a request is none.
    requests = max(0, int(total + 1e-6))
    if requests < gate.min_requests:
        return _unsure(f"{requests} requests in the window, {gate.min_requests} needed", requests)
    return judged_by(gate, samples, requests)


@dataclass(frozen=True, slots=True)
class _Comparison:
    verdict: Verdict
    message: str
    baseline: str | None = None


def _joined(shown: str, requests: int, bound: tuple[bool, str] | None, other: _Comparison | None) -> Finding:
    """Both an absolute bound and a comparison must hold; the worse one decides."""
    verdicts, words = [], []
    if bound is not None:
        verdicts.append(Verdict.PASS if bound[0] else Verdict.FAIL)
        words.append(bound[1])
    if other is not None:
        verdicts.append(other.verdict)
        words.append(other.message)
    worst = next((v for v in (Verdict.FAIL, Verdict.INCONCLUSIVE) if v in verdicts), Verdict.PASS)
    baseline = other.baseline if other is not None else None
    return Finding(worst, "; ".join(words), shown, baseline, requests)


def _success_rate(gate: Gate, samples: Mapping[str, float], requests: int) -> Finding:
    assert gate.success_rate is not None
    total, errors = samples[TOTAL], samples.get(ERRORS)
    if errors is None or errors < 0:
        return _unsure("Prometheus has no count of the release's errors in the window", requests)
    if total <= 0:
        return _unsure("no requests in the window", requests)
    rate = _success_percent(total, errors)
    least = gate.success_rate.min_percent
    if least is None:
        shown, bound = text(rate), None
    else:
        shown = text(rate, decimal(least))
        good = rate >= decimal(least)
        relation = f"meets {least} %" if good else f"is below {least} %"
        bound = (good, f"success rate {shown} % of {requests} requests {relation}")
    other = _compared_errors(gate, samples, requests) if gate.max_ratio is not None else None
    return _joined(shown, requests, bound, other)


def _success_percent(total: float, errors: float) -> Decimal:
    return 100 * (1 - exact(min(errors, total)) / exact(total))


def _compared_errors(gate: Gate, samples: Mapping[str, float], requests: int) -> _Comparison:
    assert gate.max_ratio is not None
    total, errors = samples.get(BASELINE + TOTAL), samples.get(BASELINE + ERRORS)
    if total is None or errors is None or errors < 0:
        return _Comparison(Verdict.INCONCLUSIVE, "Prometheus has no counts of the stable release to compare with")
    compared = int(total + 1e-6)
    if compared < max(1, gate.min_requests):
        message = f"{compared} requests of the stable release to compare with, {max(1, gate.min_requests)} needed"
        return _Comparison(Verdict.INCONCLUSIVE, message)
    baseline = text(_success_percent(total, errors))
    own_errors, its_errors = min(round(samples[ERRORS]), requests), min(round(errors), compared)
    facts = f"{own_errors} errors in {requests} requests, stable {its_errors} in {compared}"
    # Errors that come in bursts are fewer pieces of evidence than errors.
    size = max(1.0, samples.get(BASELINE + DISPERSION, 1.0))
    if size >= 2:
        facts += f", which come about {size:.0f} at a time"
    p = comparison.p_value(
        round(own_errors / size), requests, round(its_errors / size), compared, float(gate.max_ratio)
    )
    if p < comparison.ALPHA:
        message = f"error rate is above {gate.max_ratio} times the stable release's ({facts}; chance {p:.2g})"
        return _Comparison(Verdict.FAIL, message, baseline)
    if own_errors * compared > decimal(gate.max_ratio) * its_errors * requests:
        message = f"error rate may be above {gate.max_ratio} times the stable release's ({facts}; chance {p:.2g})"
        return _Comparison(Verdict.INCONCLUSIVE, message, baseline)
    return _Comparison(
        Verdict.PASS, f"error rate is within {gate.max_ratio} times the stable release's ({facts})", baseline
    )


def _latency(gate: Gate, samples: Mapping[str, float], requests: int) -> Finding:
    assert gate.latency is not None
    measured = samples.get(VALUE)
    if measured is None or requests == 0:
        return _unsure("Prometheus has no response times of the release in the window", requests)
    value, beyond = exact(measured), _is_beyond(samples, "")
    most, name = gate.latency.max_ms, f"latency p{_percentile(gate.latency.quantile)}"
    bound: tuple[bool, str] | None = None
    shown = text(value, *([Decimal(most)] if most is not None else []))
    if most is not None:
        good = value <= most
        bound = (good, f"{name} {shown} ms of {requests} requests is {'within' if good else 'above'} {most} ms")
    other = _compared_latency(gate, samples, value, name) if gate.max_ratio is not None else None
    found = _joined(shown, requests, bound, other)
    if beyond and found.verdict is not Verdict.FAIL:
        message = (
            f"{name} is beyond the histogram's largest bound, {shown} ms, so it is not known; the application or the "
            "gateway needs buckets above it"
        )
        return Finding(Verdict.INCONCLUSIVE, message, shown, found.baseline, requests)
    return found


def _percentile(quantile: str) -> str:
    return text(100 * Decimal(quantile))


def _is_beyond(samples: Mapping[str, float], prefix: str) -> bool:
    """Whether the quantile lies in the bucket without an upper bound: then its value is only the bound below."""
    value, ceiling = samples.get(prefix + VALUE), samples.get(prefix + CEILING)
    return value is not None and ceiling is not None and value >= ceiling


def _compared_latency(gate: Gate, samples: Mapping[str, float], value: Decimal, name: str) -> _Comparison:
    assert gate.max_ratio is not None
    measured, total = samples.get(BASELINE + VALUE), samples.get(BASELINE + TOTAL)
    if measured is None or total is None:
        message = "Prometheus has no response times of the stable release to compare with"
        return _Comparison(Verdict.INCONCLUSIVE, message)
    compared = int(total + 1e-6)
    if compared < max(1, gate.min_requests):
        message = f"{compared} requests of the stable release to compare with, {max(1, gate.min_requests)} needed"
        return _Comparison(Verdict.INCONCLUSIVE, message)
    limit = decimal(gate.max_ratio) * exact(measured)
    shown, baseline = text(value, limit), text(exact(measured))
    facts = f"{shown} ms, stable {baseline} ms in {compared} requests"
    if value <= limit:
        return _Comparison(
            Verdict.PASS, f"{name} is within {gate.max_ratio} times the stable release's ({facts})", baseline
        )
    if _is_beyond(samples, BASELINE):
        message = f"the stable release's {name} is beyond the histogram's largest bound, so it is not known ({facts})"
        return _Comparison(Verdict.INCONCLUSIVE, message, baseline)
    message = f"{name} is above {gate.max_ratio} times the stable release's ({facts})"
    return _Comparison(Verdict.FAIL, message, baseline)


def _promql(gate: Gate, samples: Mapping[str, float], requests: int | None) -> Finding:
    assert gate.promql is not None
    measured = samples.get(VALUE)
    if measured is None:
        return _unsure("the query yields no number", requests)
    value = exact(measured)
    bounds = [decimal(b) for b in (gate.promql.min, gate.promql.max) if b is not None]
    shown = text(value, *bounds)
    if gate.promql.min is not None and value < decimal(gate.promql.min):
        return Finding(Verdict.FAIL, f"value {shown} is below {gate.promql.min}", shown, requests=requests)
    if gate.promql.max is not None and value > decimal(gate.promql.max):
        return Finding(Verdict.FAIL, f"value {shown} is above {gate.promql.max}", shown, requests=requests)
    wanted = " and ".join(
        f"{word} {bound}"
        for word, bound in (("at least", gate.promql.min), ("at most", gate.promql.max))
        if bound is not None
    )
    return Finding(Verdict.PASS, f"value {shown} is {wanted}", shown, requests=requests)
