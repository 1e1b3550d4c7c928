"""Why a service is where it is, in words: what serves, what goes on or holds, and what one can do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.api.managed_service import ManagedService
from sophia_operator.api.meanings import REASON_MEANINGS
from sophia_operator.api.release import GateStatus, Intent, Release, ReleaseState, Verdict
from sophia_operator.core.situation import Situation, name_of, situate, stage_of, time_left
from sophia_operator.core.words import bound_of, clock, count, span

_TROUBLES: Final = (
    (ConditionType.METRICS_AVAILABLE, "Metrics are not available"),
    (ConditionType.DRAIN_SAFE, "Requests may be lost when pods stop"),
)
_COLD: Final = (Reason.WARMING_UP.value, Reason.WARM_UP_FAILED.value, Reason.TIER_NOT_FOUND.value)
_REASONS: Final = {reason.value: meaning for reason, meaning in REASON_MEANINGS.items()}


def explain(service: ManagedService, releases: Sequence[Release], now: datetime) -> list[str]:
    """Sentences, the most important first. Never empty."""
    situation = situate(service, releases, now)
    return [
        *_operator(situation),
        *_serving(situation),
        *_rollout(situation, now),
        *_kept(situation, now),
        *_troubles(situation),
    ]


def _operator(situation: Situation) -> list[str]:
    if situation.is_seen:
        return []
    return [
        "The operator has not looked at the newest spec yet. If that stays so, see whether it runs: its pods have the "
        "label app.kubernetes.io/name=sophia-operator."
    ]


def _serving(situation: Situation) -> list[str]:
    stable, status = situation.stable, situation.service.status
    if stable is None:
        return ["Nothing serves yet."]
    pods = f"{status.ready_replicas} of {count(status.replicas, 'pod')} ready"
    color = f" as {stable.status.color.value}" if stable.status.color is not None else ""
    available = find(status.conditions, ConditionType.AVAILABLE)
    if available is not None and available.status is ConditionStatus.FALSE:
        return [
            f"Users are not served: {_sentence(available.message)} {name_of(stable)} is the stable release ({pods})."
        ]
    return [f"{name_of(stable)} is the stable release and serves{color} ({pods})."]


def _rollout(situation: Situation, now: datetime) -> list[str]:
    release = situation.rollout
    if release is None:
        return [] if situation.stable is None else ["No rollout is under way."]
    match release.status.state:
        case ReleaseState.PENDING:
            return [*_held(situation, release, now), *_pending(release)]
        case ReleaseState.PROVISIONING:
            return [*_held(situation, release, now), *_provisioning(release, now)]
        case ReleaseState.SMOKE_TESTING:
            return [*_held(situation, release, now), *_smoke_testing(release)]
        case ReleaseState.SHIFTING:
            return [*_held(situation, release, now), *_shifting(release, now)]
        case ReleaseState.ROLLING_BACK:
            return _rolling_back(release)
        case _:
            return _failed(situation, release, now)


def _held(situation: Situation, release: Release, now: datetime) -> list[str]:
    """Who or what holds the rollout, before anything else is said about it."""
    name, pause = name_of(release), release.status.pause
    steer = f"`kubectl sophia resume {situation.name}`"
    if pause is not None:
        return [
            f"{name} is paused by the operator since {clock(pause.since, now)}: {_sentence(pause.message)}",
            f"It goes on only when you say so: {steer}, or promote, or abort.",
        ]
    if situation.service.spec.paused:
        return [f"{name} is held by spec.paused of the ManagedService; unset it to go on."]
    if release.spec.intent is Intent.PAUSE:
        return [f"{name} is paused by a person: {_sentence(_why(release))} To go on: {steer}."]
    if release.spec.intent is Intent.PROMOTE:
        return [f"{name} is to skip the remaining stages: {_sentence(_why(release))}"]
    return []


def _pending(release: Release) -> list[str]:
    return [f"{name_of(release)} waits to start. {_told(release)}".strip()]


def _provisioning(release: Release, now: datetime) -> list[str]:
    plan, since = release.spec.snapshot.plan, release.status.state_since
    left = ""
    if since is not None:
        rest = since + timedelta(seconds=plan.progress_deadline_seconds) - now
        left = f" It has {span(rest)} left of {span(plan.progress_deadline_seconds)} to become ready."
    return [f"{name_of(release)} starts its pods and has no traffic yet.{left} {_told(release)}".strip()]


def _smoke_testing(release: Release) -> list[str]:
    specs = {t.name: t for t in release.spec.snapshot.plan.smoke_tests}
    out = [f"{name_of(release)} is being smoke-tested and has no traffic yet."]
    for test in release.status.smoke_tests:
        if test.passed:
            out.append(f"Smoke test {test.name} passed.")
        elif test.attempts == 0:
            out.append(f"Smoke test {test.name} was not tried yet.")
        else:
            most = specs[test.name].attempts if test.name in specs else test.attempts
            out.append(f"Smoke test {test.name} failed {test.attempts} of {most} tries: {_sentence(test.message)}")
    return [*out, *_cold(release)]


def _cold(release: Release) -> list[str]:
    """Why it waits for a cache, and how that ends."""
    ready = find(release.status.conditions, ConditionType.READY)
    if ready is None or ready.reason not in _COLD:
        return []
    return [f"It waits for its cache to be warm: {_sentence(ready.message)}"]


def _shifting(release: Release, now: datetime) -> list[str]:
    found, plan, weights = stage_of(release), release.spec.snapshot.plan, release.status.weights
    if found is None:
        return [f"{name_of(release)} takes traffic. {_told(release)}".strip()]
    at, stage = found
    where = f"{name_of(release)} is at stage {at.index + 1} of {len(plan.stages)}"
    head = f"{where}, with {at.weight_percent} % of the traffic"
    left = time_left(release, now)
    if left is None:
        rest = at.started_at + timedelta(seconds=plan.route_deadline_seconds) - now
        return [
            f"{head} asked for, but not yet seen, so its clock has not started: {_sentence(weights.message)}",
            f"If the traffic contradicts the weight for another {span(rest)}, the rollout goes back.",
        ]
    seen = f", {weights.observed_percent} % observed" if weights.observed_percent is not None else ""
    watched = (
        f"{span(left)} of {span(stage.observe_seconds)} left" if left else f"its {span(stage.observe_seconds)} are over"
    )
    return [f"{head}{seen}; {watched}.", *_gates(release, now, over=not left), *_notable(release)]


def _gates(release: Release, now: datetime, *, over: bool) -> list[str]:
    gates = [g for g in release.status.gates if not g.dry_run]
    good = [g for g in gates if g.verdict is Verdict.PASS]
    if not gates:
        if any(not g.dry_run for g in release.spec.snapshot.plan.gates):
            return ["Its gates were not looked at yet."]
        return ["No gate is set: time alone decides."]
    out = [_gate(g, release, now) for g in gates if g.verdict is not Verdict.PASS]
    if len(good) == len(gates):
        held = "" if over else " The stage passes when its time is over and they still do."
        return [f"Its {len(gates)} gates pass.{held}" if len(gates) > 1 else f"Its gate passes.{held}"]
    if good:
        out.append(f"{', '.join(g.name for g in good)} {'passes' if len(good) == 1 else 'pass'}.")
    return out


def _gate(status: GateStatus, release: Release, now: datetime) -> str:
    spec = next((g for g in release.spec.snapshot.plan.gates if g.name == status.name), None)
    look = ""
    if status.next_look_at is not None and release.status.state is ReleaseState.SHIFTING:
        look = f" Next look in {span(status.next_look_at - now)}."
    if status.verdict is Verdict.FAIL:
        asked = f" Asked for: {bound_of(spec)}." if spec is not None else ""
        allowed = (
            f" {count(status.failures, 'failed look')} in this stage, {spec.failure_limit} allowed." if spec else ""
        )
        return f"Gate {status.name} fails: {_sentence(status.message)}{asked}{allowed}{look}"
    limit = ""
    if spec is not None and status.inconclusives > 0:
        limit = (
            f" {count(status.inconclusives, 'look')} in a row said nothing; "
            f"after more than {spec.inconclusive_limit} the rollout pauses."
        )
    return f"Gate {status.name} has no verdict yet, so the stage holds: {_sentence(status.message)}{limit}{look}"


def _notable(release: Release) -> list[str]:
    """Why it holds when neither time nor a gate does, as the conditions tell."""
    ready = find(release.status.conditions, ConditionType.READY)
    if ready is None or ready.reason in (
        Reason.SHIFTING.value,
        Reason.WEIGHT_OBSERVED.value,
        Reason.PAUSED_BY_INTENT.value,
        Reason.PAUSED_BY_SERVICE.value,
        Reason.INCONCLUSIVE_LIMIT.value,
        Reason.GATE_FAILED_PAUSE.value,
    ):
        return []
    return _cold(release) or ([_sentence(ready.message)] if ready.message else [])


def _rolling_back(release: Release) -> list[str]:
    outcome = release.status.outcome
    why = _sentence(outcome.message) if outcome is not None and outcome.message else ""
    out = [f"{name_of(release)} is being rolled back: all traffic goes to the stable release. {why}".strip()]
    ready = find(release.status.conditions, ConditionType.READY)
    if ready is not None and ready.reason in (Reason.ROLLING_BACK.value, Reason.STABLE_NOT_READY.value):
        out.append(f"It is not over yet: {_sentence(ready.message)}")
    return out


def _failed(situation: Situation, release: Release, now: datetime) -> list[str]:
    outcome, ended = release.status.outcome, release.status.ended_at
    when = f" {span(now - ended)} ago, at {clock(ended, now)}" if ended is not None else ""
    did = "was rolled back" if release.status.state is ReleaseState.ROLLED_BACK else "failed"
    out = [f"{name_of(release)} {did}{when}."]
    if outcome is not None:
        out.append(
            f"Why: {_sentence(outcome.message) if outcome.message else ''} {_REASONS.get(outcome.reason, '')}".strip()
        )
    told = outcome.message if outcome is not None else ""
    out += [
        _gate(g, release, now)
        for g in release.status.gates
        if g.verdict is Verdict.FAIL and not g.dry_run and (not g.message or g.message not in told)
    ]
    out += [
        f"Smoke test {t.name} failed {count(t.attempts, 'time')}: {_sentence(t.message)}"
        for t in release.status.smoke_tests
        if not t.passed and t.attempts > 0 and (not t.message or t.message not in told)
    ]
    out.append(
        "The same change does not start again by itself: change the spec, or, when the cause lay elsewhere, "
        f"`kubectl sophia retry {situation.name}`."
    )
    return out


def _kept(situation: Situation, now: datetime) -> list[str]:
    if situation.previous is None or situation.kept_until is None:
        return []
    return [
        f"{name_of(situation.previous)} is kept at full size for another {span(situation.kept_until - now)}: "
        f"`kubectl sophia rollback {situation.name}` brings it back at once."
    ]


def _troubles(situation: Situation) -> list[str]:
    """What else the conditions say, unless it was said above."""
    out: list[str] = []
    own = situation.service.status.conditions
    stalled = find(own, ConditionType.STALLED)
    if stalled is not None and stalled.reason != Reason.RELEASE_LATCHED.value:
        meaning = _REASONS.get(stalled.reason, "")
        out.append(f"Nothing changes until somebody acts: {_sentence(stalled.message)} {meaning}".strip())
    stages = [own] if situation.rollout is None else [own, situation.rollout.status.conditions]
    for kind, words in _TROUBLES:
        for conditions in stages:
            found = find(conditions, kind)
            if found is not None and found.status is ConditionStatus.FALSE:
                out.append(f"{words}: {_sentence(found.message)}")
    if not out and situation.rollout is None:
        ready = find(own, ConditionType.READY)
        if ready is not None and ready.status is not ConditionStatus.TRUE and ready.message:
            out.append(_sentence(ready.message))
    return out


def _told(release: Release) -> str:
    ready = find(release.status.conditions, ConditionType.READY)
    return _sentence(ready.message) if ready is not None and ready.message else ""


def _why(release: Release) -> str:
    return release.spec.reason or "no reason given"


def _sentence(text: str) -> str:
    """The text with a capital and a full stop, so that it can stand among others."""
    text = text.strip()
    if not text:
        return "nothing more is known."
    return text if text[-1] in ".!?" else f"{text}."
