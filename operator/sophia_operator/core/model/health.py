"""How one model is. What has to outlive the operator is in the status, and is read back from there.

A model that works is `Failing` from when it breaks a limit, and `Unhealthy` once that has lasted `switch.forSeconds`.
One that is not known to work, because nothing is known of it, or because its provider asked to wait or refused the
credentials, stays as it is until it answers, or has broken a limit for so long.

After that it must answer every probe for a whole window, or as often as is hardly chance: one that comes and goes fails
too often for that, however good it looks in between. Old failures do not count any more then.

One failure, and one slow answer, is chance, however few requests there are: it breaks no limit. Where nothing new is
known, as right after the operator started, a model stays as it was: only answers that were seen make it `Healthy`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_route import ModelRouteSpec, SwitchPolicy
from sophia_operator.api.model_route_status import ModelState, ModelStatus
from sophia_operator.core.model.evidence import IN_A_ROW, Evidence, pause_until, works_again
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelFault
from sophia_operator.core.model.plan_values import ModelHealth
from sophia_operator.core.model.wording import explain, milliseconds, seen
from sophia_operator.core.sayings import Why
from sophia_operator.core.views import Blocker
from sophia_operator.core.words import clock

#: Prometheus extrapolates: what it counts as one may be a third more, and two a bit less.
_MORE_THAN_ONE: Final = 1.5
_WORDS: Final = 256
#: Works, as far as is known: it may be chosen.
_WORKS: Final = frozenset({ModelState.HEALTHY, ModelState.FAILING})
_BROKE: Final = frozenset({ModelState.FAILING, ModelState.UNHEALTHY})


class Limit(StrEnum):
    """What a model breaks."""

    IN_A_ROW = "InARow"  # its last probes failed
    ERRORS = "Errors"  # switch.maxErrorPercent
    LATENCY = "Latency"  # switch.maxP95Ms


@dataclass(frozen=True, slots=True)
class Case:
    """A model, and all that is known of it."""

    spec: ModelRouteSpec
    model: Model
    #: As it was written down last.
    before: ModelStatus
    evidence: Evidence
    now: datetime
    #: Why the Secret that it needs cannot be read.
    missing: Blocker | None = None

    @property
    def failure(self) -> ModelFailure | None:
        """How the last probe failed; None when it did not."""
        newest = self.evidence.newest
        return newest.answer if newest is not None and isinstance(newest.answer, ModelFailure) else None

    @property
    def answered(self) -> bool:
        """Whether the last probe was answered, and not too long ago to say anything."""
        newest = self.evidence.newest
        return newest is not None and isinstance(newest.answer, Completion) and self.evidence.probes > 0


def health_of(case: Case) -> ModelHealth:
    """How the model is. Whether one of which nothing is known may be chosen depends on the others: it is not here."""
    found = case.evidence
    judged = _ineligible(case) or _paused(case) or _refused(case) or _breaks(case) or _answers(case) or _as_before(case)
    return replace(
        judged,
        eligible=judged.state in _WORKS,
        message=judged.message[:512],
        requests=found.requests,
        failures=found.failures,
        p95_ms=found.p95_ms,
        first_token_ms=found.first_token_ms,
        tokens_per_second=found.tokens_per_second,
        evidence=_evidence(case, judged),
    )


def _evidence(case: Case, judged: ModelHealth) -> str:
    """What was seen, in numbers."""
    parts = []
    if judged.state is ModelState.PAUSED and judged.paused_until is not None:
        parts.append(f"429, to wait until {clock(judged.paused_until, case.now)}")
    if judged.state is ModelState.REFUSED:
        parts.append("credentials refused")
    if judged.state is ModelState.INELIGIBLE:
        parts.append(judged.message[:_WORDS])
    return ", ".join([*parts, *seen(case.evidence, case.spec.switch.window_seconds)])


def broken_limit(found: Evidence, policy: SwitchPolicy) -> Limit | None:
    """The limit that the evidence breaks, if any."""
    if found.failed_in_a_row >= IN_A_ROW:
        return Limit.IN_A_ROW
    requests, failures = float(found.judged), float(found.judged_failures)
    if found.users is not None:
        requests, failures = requests + found.users.requests, failures + found.users.failures
    if round(requests) < policy.min_requests:
        return None
    if failures > _MORE_THAN_ONE and 100 * failures > policy.max_error_percent * requests:
        return Limit.ERRORS
    slow = found.p95_ms is not None and policy.max_p95_ms is not None and found.p95_ms > policy.max_p95_ms
    return Limit.LATENCY if slow and found.p95_of > _MORE_THAN_ONE else None


def _ineligible(case: Case) -> ModelHealth | None:
    lacks = sorted(set(case.spec.requires) - set(case.model.capabilities))
    if case.missing is not None:
        why = (case.missing.reason, case.missing.message)
    elif lacks:
        message = f"it cannot do {', '.join(lacks)}: add that to its capabilities if it can, or take it from requires"
        why = (Reason.CAPABILITY_MISSING, message)
    else:
        return None
    # A limit that it broke, and a pause, are not over because a Secret was away for a moment.
    before = case.before
    return _health(ModelState.INELIGIBLE, why, failing=before.failing_since, paused=before.paused_until)


def _paused(case: Case) -> ModelHealth | None:
    newest, before = case.evidence.newest, case.before
    until = before.paused_until if newest is None else pause_until(newest)
    if until is None or (newest is None and until <= case.now):
        return None  # a pause that nothing was found since of stays, as all does
    return _health(ModelState.PAUSED, _why_paused(case), failing=before.failing_since, paused=until)


def _why_paused(case: Case) -> Why:
    return explain(case.model, ModelFailure(ModelFault.RATE_LIMITED, ""))


def _refused(case: Case) -> ModelHealth | None:
    if case.failure is None or case.failure.fault is not ModelFault.CREDENTIALS_REFUSED:
        return None
    return _health(ModelState.REFUSED, explain(case.model, case.failure), failing=case.before.failing_since)


def _breaks(case: Case) -> ModelHealth | None:
    limit, was = broken_limit(case.evidence, case.spec.switch), case.before.state
    # After a restart one probe that fails is enough to know that nothing has changed.
    goes_on = was in _BROKE and case.evidence.failed_in_a_row > 0
    if limit is None and not goes_on:
        return None
    since = case.before.failing_since or case.now
    why = _why_broken(case, limit)
    if was is ModelState.UNHEALTHY or case.now - since >= timedelta(seconds=case.spec.switch.for_seconds):
        return _health(ModelState.UNHEALTHY, why, failing=since)
    if was in _WORKS:
        return _health(ModelState.FAILING, why, failing=since)
    return replace(_as_before(case), failing_since=since)


def _answers(case: Case) -> ModelHealth | None:
    before = case.before
    if not case.answered:
        return None
    if not _is_over(case):
        return None
    was_healthy = before.state is ModelState.HEALTHY
    return ModelHealth(
        ModelState.HEALTHY, True, healthy_since=(before.healthy_since if was_healthy else None) or case.now
    )


def _is_over(case: Case) -> bool:
    """Whether the answers say that it breaks no limit any more, if it did."""
    before, since = case.before, case.before.failing_since
    if since is None and before.state is not ModelState.UNHEALTHY:
        return True
    # Probes that it answered before say nothing: users' requests alone may have failed.
    well = [moment for moment in case.evidence.well_in_a_row if since is None or moment > since]
    # And while Prometheus is away nobody knows whether these still do.
    if before.state is ModelState.FAILING and not case.evidence.users_missing:
        return bool(well)
    return works_again(well, case.spec)


def _as_before(case: Case) -> ModelHealth:
    """Nothing that is known says otherwise."""
    before, state = case.before, case.before.state
    if state is ModelState.HEALTHY:
        return ModelHealth(state, True, healthy_since=before.healthy_since or case.now)
    if state in (ModelState.UNKNOWN, ModelState.INELIGIBLE):
        why = explain(case.model, case.failure) if case.failure is not None else (Reason.NOT_CHECKED, "not asked yet")
        return _health(ModelState.UNKNOWN, why, failing=before.failing_since)
    if state is ModelState.PAUSED:
        return _health(state, _why_paused(case), failing=before.failing_since, paused=before.paused_until)
    if state is ModelState.REFUSED:
        refused = explain(case.model, ModelFailure(ModelFault.CREDENTIALS_REFUSED, ""))
        return _health(state, refused, failing=before.failing_since)
    why = (_reason(before.reason), before.message or "it broke a limit, and nothing new is known of it yet")
    why = _again(case) if case.answered and state is ModelState.UNHEALTHY else why
    return _health(state, why, failing=before.failing_since or case.now)


def _why_broken(case: Case, limit: Limit | None) -> Why:
    found, policy = case.evidence, case.spec.switch
    reason, cause = explain(case.model, found.failure) if found.failure is not None else (Reason.MODEL_ERRORS, "")
    if case.answered and case.before.state is ModelState.UNHEALTHY:
        return _again(case)
    if limit is Limit.LATENCY:
        message = f"more than 5 % of its answers take longer than {milliseconds(float(policy.max_p95_ms or 0))}"
        return Reason.MODEL_SLOW, f"{message}: see what its endpoint is busy with, or raise switch.maxP95Ms"
    if limit is Limit.ERRORS:
        message = f"more than {policy.max_error_percent} % of the requests to it fail"
        return Reason.MODEL_ERRORS, f"{message}: {cause or 'see the logs of its endpoint and of the gateway'}"
    return reason, cause


def _again(case: Case) -> Why:
    window = case.spec.switch.window_seconds
    return _reason(case.before.reason), f"it answers again, and is healthy once it has done so for about {window} s"


def _reason(word: str | None) -> Reason:
    """A reason as a status has it; one that this operator does not know says that the model failed."""
    return Reason(word) if word in {r.value for r in Reason} else Reason.MODEL_FAILED


def _health(
    state: ModelState, why: Why, failing: datetime | None = None, paused: datetime | None = None
) -> ModelHealth:
    reason, message = why
    return ModelHealth(state, False, reason, message, failing_since=failing, paused_until=paused)
