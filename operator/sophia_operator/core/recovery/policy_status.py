"""What a policy's status says in the end: its conditions, its counts, and what people are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.api.conditions import Author, Condition, ConditionStatus, ConditionType, Reason, drop
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus, StormStatus, SymptomStatus, Verdict
from sophia_operator.core.decision import EventType, Notice
from sophia_operator.core.recovery.moments import when
from sophia_operator.core.recovery.quiet import quiet_until, unknown_zones
from sophia_operator.core.recovery.scene import Scene
from sophia_operator.core.recovery.views import PolicyView
from sophia_operator.core.words import count

#: Reasons for waiting that people want to hear of.
_NEWS: Final = frozenset(
    {Reason.BUDGET_SPENT, Reason.BREAKER_OPEN, Reason.BELOW_FLOOR, Reason.RELEASE_MOVING, Reason.LEFT_TO_RELEASE}
)
#: Kept by who tells of receivers.
_OTHERS: Final = (ConditionType.SIGNALS_DELIVERED,)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found about one policy."""

    incidents: tuple[SymptomStatus, ...]
    #: Objects with symptoms, those among them whose incidents have no room in the status.
    sick: int
    storm: StormStatus | None


def finish(policy: PolicyView, found: Found, scene: Scene) -> tuple[RecoveryPolicyStatus, tuple[Notice, ...]]:
    """The status, and Events that were not told yet."""
    before, storm, notices = policy.status, found.storm, list(_storms(policy, found.storm))
    told = []
    for incident in found.incidents:
        mark = _mark(incident)
        if mark is not None and mark != incident.told:
            notices.append(_notice(incident))
            told.append(incident.model_copy(update={"told": mark}))
        else:
            told.append(incident)
    selected = len(scene.symptoms.selected.get(policy.name, ()))
    status = before.model_copy(
        update={
            "observed_generation": policy.generation,
            "targets": selected,
            "symptomatic": found.sick,
            "storm": storm,
            "symptoms": told,
            "conditions": _conditions(policy, selected, found.sick, storm, scene.now),
        }
    )
    if status != before:
        # The hour goes by without anything to write down.
        status = status.model_copy(update={"acts_last_hour": len(scene.claimed)})
    return status, tuple(notices)


def _conditions(
    policy: PolicyView, selected: int, sick: int, storm: StormStatus | None, now: datetime
) -> list[Condition]:
    author = Author(policy.status.conditions, policy.generation, now)
    out = [c for c in policy.status.conditions if c.type in {kind.value for kind in _OTHERS}]
    zones = unknown_zones(policy.spec.quiet_windows)
    if zones:
        named = ", ".join(zones)
        words = f"spec.quietWindows names time zones that are not known: {named}; nothing is done until that is mended"
        why = (Reason.INVALID_SPEC, words)
        out = author.put(out, ConditionType.STALLED, why)
        out = author.put(out, ConditionType.READY, why, ConditionStatus.FALSE)
    elif selected:
        words = f"{count(selected, 'object')} watched, {sick} with symptoms"
        out = author.put(out, ConditionType.READY, (Reason.WATCHING, words))
    else:
        words = "no object of the namespace is selected by spec.targets: mend names or labels, or make one"
        out = author.put(out, ConditionType.READY, (Reason.NO_TARGETS, words))
    out = _storm_condition(author, out, storm)
    return _paused(policy, author, out, now)


def _storm_condition(author: Author, conditions: list[Condition], storm: StormStatus | None) -> list[Condition]:
    if storm is None:
        why = (Reason.CALM, "not so much is wrong at once that nobody acts")
        return author.put(conditions, ConditionType.STORM_ACTIVE, why, ConditionStatus.FALSE)
    return author.put(conditions, ConditionType.STORM_ACTIVE, (Reason.STORM_ACTIVE, _words(storm)))


def _paused(policy: PolicyView, author: Author, conditions: list[Condition], now: datetime) -> list[Condition]:
    request = next((r for r in policy.spec.pause_requests if r.until is None or r.until > now), None)
    if request is not None:
        until = f" until {when(request.until)}" if request.until is not None else ""
        words = f"{request.who} asked that nothing is done{until}: {request.why}"
        return author.put(conditions, ConditionType.PAUSED, (Reason.PAUSE_REQUESTED, words))
    quiet = quiet_until(policy.spec.quiet_windows, now)
    if quiet is not None:
        words = f"a quiet window lasts until {when(quiet)}"
        return author.put(conditions, ConditionType.PAUSED, (Reason.QUIET_WINDOW, words))
    return drop(conditions, ConditionType.PAUSED)


def _storms(policy: PolicyView, storm: StormStatus | None) -> Iterator[Notice]:
    before = policy.status.storm
    if before is None and storm is not None:
        words = f"{storm.targets} of {storm.of} objects show symptoms: nobody acts, and no release advances"
        yield Notice(EventType.WARNING, Reason.STORM_ACTIVE.value, words)
    if before is not None and storm is None:
        yield Notice(EventType.NORMAL, Reason.CALM.value, f"the storm that began at {when(before.since)} is over")


def _words(storm: StormStatus) -> str:
    worst = f"{storm.targets} of {storm.of} objects showed symptoms at its worst"
    return f"since {when(storm.since)}, {worst}: nobody acts, and no release advances"


def _mark(incident: SymptomStatus) -> str | None:
    """What an Event is made of once; None for what is no news."""
    if incident.verdict is Verdict.ACT:
        return f"act {incident.action}"[:128]
    if incident.verdict is Verdict.GAVE_UP:
        return f"gave up: {incident.reason}"
    if incident.verdict is Verdict.WAIT and incident.reason in {reason.value for reason in _NEWS}:
        return incident.reason
    return None


def _notice(incident: SymptomStatus) -> Notice:
    bad = incident.verdict is not Verdict.ACT
    words = f"{incident.symptom.value} of {incident.kind.value} {incident.name}: {incident.why}"
    return Notice(EventType.WARNING if bad else EventType.NORMAL, incident.reason, words[:1024])
