"""Judges of models that are wrong on purpose: each is found out by something that the right one gets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.support import judged_court as checks
from tests.support.judged_court import Court, court, states


@dataclass(frozen=True)
class Mutant:
    """What is wrong, where, and what finds it out."""

    what: str
    check: Callable[[Court], None]
    module: str
    old: str
    new: str = field(repr=False)


E, H, S, R = "evidence", "health", "score", "rank"
MUTANTS: Final = (
    Mutant("one failed probe breaks a limit", checks.blip, H, "failed_in_a_row >= IN_A_ROW", "failed_in_a_row >= 1"),
    Mutant("one failure is a share", checks.blip, H, "failures > _MORE_THAN_ONE and", "failures > 0 and"),
    Mutant("one slow answer is slow", checks.slow_blip,
           E, "min(-(-95 * number // 100), number - 1)", "-(-95 * number // 100)"),
    Mutant("two in a row are nothing", checks.fails_with_few, H, "failed_in_a_row >= IN_A_ROW", "failed_in_a_row >= 5"),
    Mutant("leaves at once", checks.two_in_a_row, H, "seconds=case.spec.switch.for_seconds", "seconds=0"),
    Mutant("never leaves", checks.two_in_a_row, H, "case.before.failing_since or case.now", "case.now"),
    Mutant("sees no share", checks.share, H, "100 * failures >", "100 * failures > 100 +"),
    Mutant("breaks at the limit", checks.at_its_limit, H, "100 * failures > policy", "100 * failures >= policy"),
    Mutant("takes few requests for many", checks.fails_with_few,
           H, "round(requests) < policy.min_requests", "round(requests) < 3"),
    Mutant("waits for requests when down", checks.fails_with_few,
           H, "    if found.failed_in_a_row >= IN_A_ROW:\n        return Limit.IN_A_ROW\n", ""),
    Mutant("sees no slowness", checks.is_slow, H, "found.p95_ms > policy.max_p95_ms", "False"),
    Mutant("takes slow answers for well", states("SSLLLSSSLSSSS", "HHHFUUUUUUUUU", switch={"maxP95Ms": 2000}),
           E, "r.answer.total_ms <= limit", "True"),
    Mutant("takes what never worked for failing", checks.never_worked, H, "if was in _WORKS:", "if True:"),
    Mutant("is healthy by one answer", checks.comes_and_goes,
           H, "return works_again(well, case.spec)", "return bool(well)"),
    Mutant("is healthy by two answers", checks.comes_and_goes,
           H, "return works_again(well, case.spec)", "return len(well) > 1"),
    Mutant("waits for a whole window however long", checks.proves_itself,
           E, "return number >= proving_run(spec.switch.max_error_percent) or ", "return "),
    Mutant("has no time for slow answers", checks.answers_slowly,
           E, "number * gap >=", "number * spec.probe.interval_seconds >="),
    Mutant("old failures count for ever", checks.proves_itself,
           E, "judged = recent[_start(well, spec.switch.max_error_percent) :]", "judged = recent"),
    Mutant("429 is a failure", checks.has_to_wait,
           E, "_NEUTRAL: Final = frozenset({ModelFault.RATE_LIMITED, ", "_NEUTRAL: Final = frozenset({"),
    Mutant("fails by nothing but 429", checks.has_to_wait,
           E, "or finding.answer.fault not in _NEUTRAL", "or finding.answer.fault in _NEUTRAL"),
    Mutant("429 is nothing", checks.has_to_wait, H, "_paused(case) or ", ""),
    Mutant("401 is a failure of the model", checks.is_refused, H, "_refused(case) or ", ""),
    Mutant("waits as long as it is told", checks.pauses, E, "min(LONGEST_PAUSE_SECONDS, max(0.0, asked))", "asked"),
    Mutant("does not wait when it is not told", checks.pauses,
           E, "PAUSE_SECONDS: Final = 30.0", "PAUSE_SECONDS: Final = 0.0"),
    Mutant("forgets a pause", checks.pause_outlives_a_restart,
           H, "before.paused_until if newest is None else", "None if newest is None else"),
    Mutant("forgets a pause without its Secret", checks.pause_outlives_a_restart,
           H, "failing=before.failing_since, paused=before.paused_until)\n\n\ndef _paused",
           "failing=before.failing_since)\n\n\ndef _paused"),
    Mutant("is healthy without an answer", checks.never_asked,
           H, "if not case.answered:\n        return None", "if case.failure is not None:\n        return None"),
    Mutant("starts anew after a restart", checks.restarts,
           H, "was in _BROKE and case.evidence.failed_in_a_row > 0", "False"),
    Mutant("one answer is enough after a restart", checks.restarts, H, "if not _is_over(case)", "if False"),
    Mutant("a Secret that was away heals", checks.secret_is_away,
           H, "return _health(ModelState.INELIGIBLE, why, failing=before.failing_since,",
           "return _health(ModelState.INELIGIBLE, why, failing=None,"),
    Mutant("does not see users", checks.users_fail, H, "failures + found.users.failures", "failures"),
    Mutant("sees only users", checks.users_fail, H, "float(found.judged), float", "0.0, float"),
    Mutant("believes every number", checks.users_fail,
           E, "not (math.isfinite(tally.requests) and math.isfinite(tally.failures)) or ", ""),
    Mutant("does not see that users wait", checks.users_wait, E, "number >= answers or users > own", "False"),
    Mutant("believes two users", checks.users_wait, E, "round(number) < max(min_requests, IN_A_ROW)", "False"),
    Mutant("what was answered before heals", checks.prometheus_is_away_while_failing,
           H, "since is None or moment > since", "True"),
    Mutant("believes old counts", checks.prometheus_is_away, E, "(now - passive.at).total_seconds() > oldest", "False"),
    Mutant("no news is good news", checks.prometheus_is_away_while_failing,
           H, " and not case.evidence.users_missing", ""),
    Mutant("chooses what did not answer", checks.nothing_is_known, R, "if asked or any(", "if any("),
    Mutant("chooses nothing at first", checks.nothing_is_known,
           R, "eligible=h.state is ModelState.UNKNOWN", "eligible=False"),
    Mutant("chooses what is not able", checks.who_lacks_something, H, "    elif lacks:", "    elif False:"),
    Mutant("forgets the one before", checks.is_remembered,
           E, "[row for row in ordered if _counts(row)][-IN_A_ROW:]", "[]"),
    Mutant("looks into the window alone", checks.is_remembered,
           E, "recent if len(recent) >= IN_A_ROW else", "recent if True else"),
    Mutant("believes old probes", checks.no_more_probes, E, "row.at >= min(since, now - pace)", "True"),
    Mutant("believes an old answer", checks.old_answer, H, " and self.evidence.probes > 0", ""),
    Mutant("measures by what may not be chosen", checks.best_of_those_who_may,
           S, "if e.eligible and e.model.name in known", "if e.model.name in known"),
    Mutant("believes three requests", checks.few_requests,
           S, "_BEFORE, _BEFORE_WELL = 10.0, 9.0", "_BEFORE, _BEFORE_WELL = 0.1, 0.1"),
    Mutant("quality goes with Prometheus", checks.measured_quality, S, "if measured is None or", "if True or"),
    Mutant("believes any quality", checks.measured_quality, S, "elif math.isfinite(answer):", "elif True:"),
    Mutant("compares users with probes", checks.users_do_not_make_slow,
           S, "Decimal(str(round(e.evidence.probe_p95_ms, 3)))", "Decimal(str(e.evidence.p95_ms))"),
    Mutant("the slower the better", checks.latency,
           S, "Decimal(1) if own <= best else best / own", "Decimal(1) if own > best else own / 1000"),
    Mutant("what is not known is bad", checks.middle,
           S, "_round(median(values[e.model.name] for e in chosen))", "Decimal(0)"),
    Mutant("what is not known is free", checks.cost,
           S, "if cost is not None}",
           "if cost is not None} | {n: Decimal(0) for n, c in declared.items() if c is None}"),
    Mutant("the worst one first", checks.equal_ones, R, "-scores[n].score", "scores[n].score"),
    Mutant("the last one of equal ones first", checks.equal_ones,
           R, "(m.name for m in spec.models if", "(m.name for m in reversed(spec.models) if"),
    Mutant("has always been healthy", checks.since_when,
           H, "(before.healthy_since if was_healthy else None) or case.now",
           "before.healthy_since or case.evidence.newest.at.replace(second=0)"),
    Mutant("has never been healthy", checks.since_when,
           H, "(before.healthy_since if was_healthy else None) or case.now", "case.now"),
    Mutant("takes evidence as it comes", checks.order_of_evidence,
           E, "    return sorted(findings, key=lambda f: (f.at, repr(f.answer)))", "    return list(findings)"),
)  # fmt: skip


@pytest.mark.parametrize("check", dict.fromkeys(m.check for m in MUTANTS))
def test_the_judge_gets_through(check: Callable[[Court], None]) -> None:
    with court() as right:
        check(right)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_wrong_judge_is_found_out(mutant: Mutant) -> None:
    with (
        court(mutant.module, mutant.old, mutant.new) as wrong,
        pytest.raises((AssertionError, ArithmeticError, ValueError)),
    ):
        mutant.check(wrong)
