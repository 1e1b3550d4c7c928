"""What probes and users' requests say of one model, in figures.

Two kinds of answers say nothing of how well a model works: 429 (its provider asks to wait) and 401 or 403 (it refuses
the credentials). They are neither successes nor failures, and the others are counted as if these were not there.

Old failures must not keep a model down for the whole of a long window once it works again. So it is judged by what was
found since it last answered so many probes in a row that a model at the limit for errors would hardly have done so.
Its counts, which a score and people go by, are always those of the whole window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from sophia_operator.api.model_route import ModelRouteSpec, PassivePreset
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelFault, ModelFinding, PassiveFinding
from sophia_operator.core.model.findings import PassiveTally as Tally

#: So many probes in a row say that a model is down, or that it answers again.
IN_A_ROW: Final = 2
#: Of a 429: how long to wait when it does not say, and how long at most.
PAUSE_SECONDS: Final = 30.0
LONGEST_PAUSE_SECONDS: Final = 600.0
#: Probes that are remembered of one model, at most: each pass looks at all of them.
MOST_PROBES: Final = 256
#: No longer run is asked for, else what proves that a model works could be more than what is remembered.
LONGEST_RUN: Final = 128
#: Neither successes nor failures.
_NEUTRAL: Final = frozenset({ModelFault.RATE_LIMITED, ModelFault.CREDENTIALS_REFUSED})
#: A run of good probes means something when a model at the limit for errors would show it this rarely.
_CHANCE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one model. Times are in milliseconds; counts of users' requests may be fractions."""

    #: The last probe, of whatever kind and age.
    newest: ModelFinding | None = None
    #: In the window: probes that were answered or failed.
    probes: int = 0
    probe_failures: int = 0
    #: Those of them that the model is judged by.
    judged: int = 0
    judged_failures: int = 0
    #: How those failed that it is judged by, each once, the newest first.
    faults: tuple[ModelFault, ...] = ()
    #: The newest of them.
    failure: ModelFailure | None = None
    failed_in_a_row: int = 0
    #: When the newest probes ended that were answered, and no slower than the limit, each since the last that was not.
    well_in_a_row: tuple[datetime, ...] = ()
    users: Tally | None = None
    #: Users' requests are counted, as the spec says, but nobody knows the counts now.
    users_missing: bool = False
    #: 95 % of the answers took at most so long, and of how many answers that is said.
    p95_ms: float | None = None
    p95_of: float = 0.0
    #: The same of probes alone: they ask every model for the same, so models can be compared by it.
    probe_p95_ms: float | None = None
    first_token_ms: float | None = None
    tokens_per_second: float | None = None

    @property
    def requests(self) -> float:
        """Probes and users' requests in the window."""
        return self.probes + (self.users.requests if self.users is not None else 0.0)

    @property
    def failures(self) -> float:
        """Those of them that failed."""
        return self.probe_failures + (self.users.failures if self.users is not None else 0.0)


def remember(findings: Sequence[ModelFinding], now: datetime, window_seconds: float) -> tuple[ModelFinding, ...]:
    """The probes that still count, the newest last: those of the window, the last one, and the newest two that were
    answered or failed. Without these a model that is asked less than once in a window could not be told to be down."""
    ordered = _in_order(findings)
    since = now - timedelta(seconds=window_seconds)
    rows = [row for row in ordered if _counts(row)][-IN_A_ROW:] + ordered[-1:]
    return tuple(row for row in ordered if row.at >= since or any(row is r for r in rows))[-MOST_PROBES:]


def pause_until(finding: ModelFinding) -> datetime | None:
    """When a provider takes requests again that answered 429; None of any other answer."""
    answer = finding.answer
    if not isinstance(answer, ModelFailure) or answer.fault is not ModelFault.RATE_LIMITED:
        return None
    asked = answer.retry_after_seconds
    seconds = PAUSE_SECONDS if asked is None or math.isnan(asked) else min(LONGEST_PAUSE_SECONDS, max(0.0, asked))
    return finding.at + timedelta(seconds=seconds)


def gather(
    name: str, findings: Sequence[ModelFinding], passive: PassiveFinding | None, spec: ModelRouteSpec, now: datetime
) -> Evidence:
    """The evidence on one model, whatever the order of the findings."""
    ordered = _in_order(findings)
    recent = _recent(ordered, spec, now)
    limit = spec.switch.max_p95_ms
    well = [isinstance(r.answer, Completion) and (limit is None or r.answer.total_ms <= limit) for r in recent]
    judged = recent[_start(well, spec.switch.max_error_percent) :]
    failures = [r.answer for r in reversed(judged) if isinstance(r.answer, ModelFailure)]
    answers = [r.answer for r in judged if isinstance(r.answer, Completion)]
    paces = [a.tokens_per_second for a in answers if a.tokens_per_second is not None]
    passive = _usable(passive, spec, now)
    found = Evidence(
        newest=ordered[-1] if ordered else None,
        probes=len(recent),
        probe_failures=sum(isinstance(r.answer, ModelFailure) for r in recent),
        judged=len(judged),
        judged_failures=len(failures),
        faults=tuple(dict.fromkeys(f.fault for f in failures)),
        failure=failures[0] if failures else None,
        failed_in_a_row=_run([isinstance(r.answer, ModelFailure) for r in recent]),
        well_in_a_row=tuple(row.at for row in recent[len(recent) - _run(well) :]),
        users=_tally(name, passive),
        users_missing=passive is None and spec.metrics.preset is not PassivePreset.NONE,
        probe_p95_ms=p95([a.total_ms for a in answers]),
        first_token_ms=median([a.first_token_ms for a in answers]) if answers else None,
        tokens_per_second=median(paces) if paces else None,
    )
    return _with_p95(found, len(answers), spec.switch.min_requests)


def p95(values: Sequence[float]) -> float | None:
    """The value that 95 % are at most. Of fewer than 40 the slowest one is left out, for it alone would decide, and
    each twentieth answer of a model that is just within its limit is slower than that."""
    number = len(values)
    rank = max(1, min(-(-95 * number // 100), number - 1))
    return sorted(values)[rank - 1] if values else None


def proving_run(max_error_percent: int) -> int:
    """So many good probes in a row prove that a model works again."""
    if max_error_percent == 0:
        return LONGEST_RUN
    needed = math.ceil(math.log(_CHANCE) / math.log(1 - max_error_percent / 100))
    return max(IN_A_ROW, min(LONGEST_RUN, needed))


def works_again(well: Sequence[datetime], spec: ModelRouteSpec) -> bool:
    """Whether good probes in a row, which ended then, are those of a whole window, or as many as prove it."""
    number = len(well)
    if number < IN_A_ROW:
        return False
    # The next probe begins so long after the last one has ended. Longer gaps are none of the model's.
    longest = spec.probe.interval_seconds + spec.probe.timeout_seconds
    gap = min(longest, (well[-1] - well[0]).total_seconds() / (number - 1))
    return number >= proving_run(spec.switch.max_error_percent) or number * gap >= spec.switch.window_seconds


def _counts(finding: ModelFinding) -> bool:
    return not isinstance(finding.answer, ModelFailure) or finding.answer.fault not in _NEUTRAL


def _in_order(findings: Sequence[ModelFinding]) -> list[ModelFinding]:
    """By time; what was found in the same moment in an order of its own, so that none is left to chance."""
    if all(a.at < b.at for a, b in pairwise(findings)):
        return list(findings)
    return sorted(findings, key=lambda f: (f.at, repr(f.answer)))


def _recent(ordered: Sequence[ModelFinding], spec: ModelRouteSpec, now: datetime) -> list[ModelFinding]:
    """What counts in the window; at least the newest two, unless probes should have come since."""
    since = now - timedelta(seconds=spec.switch.window_seconds)
    pace = timedelta(seconds=IN_A_ROW * (spec.probe.interval_seconds + spec.probe.timeout_seconds))
    counted = [row for row in ordered if _counts(row)]
    recent = [row for row in counted if row.at >= since]
    return (
        recent if len(recent) >= IN_A_ROW else [row for row in counted[-IN_A_ROW:] if row.at >= min(since, now - pace)]
    )


def _start(well: Sequence[bool], max_error_percent: int) -> int:
    """Index of the first probe that counts: the first one of the newest run that proves something; else 0."""
    needed, length = proving_run(max_error_percent), 0
    for index in range(len(well) - 1, -1, -1):
        if well[index]:
            length += 1
        elif length >= needed:
            return index + 1
        else:
            length = 0
    return 0


def _run(flags: Sequence[bool]) -> int:
    """How many at the end are true."""
    return next((n for n, flag in enumerate(reversed(flags)) if not flag), len(flags))


def _usable(passive: PassiveFinding | None, spec: ModelRouteSpec, now: datetime) -> PassiveFinding | None:
    """What users' requests say, as long as it says something, and speaks of now."""
    oldest = max(spec.switch.window_seconds, IN_A_ROW * spec.metrics.interval_seconds)
    if passive is None or isinstance(passive.answer, str) or (now - passive.at).total_seconds() > oldest:
        return None
    return passive


def _tally(name: str, passive: PassiveFinding | None) -> Tally | None:
    """What they say of one model; None when there were none. Only sound figures get through."""
    tally = passive.answer.get(name) if passive is not None and not isinstance(passive.answer, str) else None
    if tally is None or not (math.isfinite(tally.requests) and math.isfinite(tally.failures)) or tally.requests < 0:
        return None
    known = tally.p95_ms is not None and math.isfinite(tally.p95_ms) and tally.p95_ms >= 0
    failures = min(tally.requests, max(0.0, tally.failures))
    return replace(tally, failures=failures, p95_ms=tally.p95_ms if known else None)


def _with_p95(found: Evidence, answers: int, min_requests: int) -> Evidence:
    """The p95 of users' requests when there are enough of them, and no fewer than probes; else the higher one of the
    two, since the p95 of both together is at most that."""
    own, users = found.probe_p95_ms, found.users.p95_ms if found.users is not None else None
    number = found.users.requests if found.users is not None else 0.0
    if users is None or (own is not None and round(number) < max(min_requests, IN_A_ROW)):
        return replace(found, p95_ms=own, p95_of=float(answers))
    if own is None or number >= answers or users > own:
        return replace(found, p95_ms=users, p95_of=number)
    return replace(found, p95_ms=own, p95_of=float(answers))
