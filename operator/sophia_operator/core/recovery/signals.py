"""What receivers are told of, and which of them want it.

What is to be told stands in the status from the write that it tells of until every receiver took it, or was given up
on: so a crash loses nothing, and what is told again has the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.api.recovery_action_status import (
    MAX_UNTOLD,
    ActionPhase,
    RecoveryActionStatus,
    UntoldChange,
)
from sophia_operator.api.recovery_policy_status import (
    MAX_UNTOLD_NEWS,
    NewsKind,
    RecoveryPolicyStatus,
    SymptomStatus,
    UntoldNews,
    Verdict,
)
from sophia_operator.api.recovery_signal import Signal
from sophia_operator.api.recovery_values import Severity
from sophia_operator.core.recovery.symptoms import selects
from sophia_operator.core.recovery.track import rule_of
from sophia_operator.core.recovery.views import ActionView, PolicyView, TargetView

#: Phases that receivers are told of: what waits for a person, what begins to change something, and every end. The rest
#: is how an act goes, which its status tells.
TOLD: Final = frozenset(
    {
        ActionPhase.AWAITING_APPROVAL,
        ActionPhase.CLAIMED,
        ActionPhase.SUCCEEDED,
        ActionPhase.FAILED,
        ActionPhase.SKIPPED,
        ActionPhase.REFUSED,
        ActionPhase.UNKNOWN,
    }
)
_BAD: Final = frozenset({ActionPhase.FAILED, ActionPhase.UNKNOWN})
_RANKS: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver of a policy."""

    namespace: str
    policy: str
    signal: Signal

    @property
    def key(self) -> tuple[str, str, str]:
        """Tells it from every other one."""
        return self.namespace, self.policy, self.signal.name


def change_id(uid: str, number: int) -> str:
    """The id of a change of an action: the same whenever it is told."""
    return f"{uid}/{number}"


def severity_of(action: ActionView, phase: ActionPhase) -> Severity:
    """How bad it is: what the rule says; of an action that a person made, by how it ended."""
    if action.spec.trigger is not None:
        return action.spec.trigger.severity
    return Severity.WARNING if phase in _BAD else Severity.INFO


def receivers(action: ActionView, target: TargetView | None, policies: Iterable[PolicyView]) -> tuple[Receiver, ...]:
    """Who is told of an action: of one that a policy made, its receivers that want that severity; of one that a person
    made, every receiver of the policies that select the target."""
    trigger = action.spec.trigger
    if trigger is not None:
        own = (policy for policy in policies if policy.name == trigger.policy)
        return tuple(_of(policy, signal) for policy in own for signal in wanting(policy, trigger.severity))
    if target is None:
        return ()
    return tuple(
        _of(policy, signal) for policy in policies if selects(policy, target) for signal in policy.spec.signals
    )


def receivers_of_news(policy: PolicyView, news: UntoldNews) -> tuple[Receiver, ...]:
    """Who is told of news of a policy."""
    return tuple(_of(policy, signal) for signal in wanting(policy, news.severity))


def wanting(policy: PolicyView, severity: Severity) -> Iterator[Signal]:
    """Receivers of the policy that are told of that severity."""
    return (signal for signal in policy.spec.signals if _RANKS[severity] >= _RANKS[signal.min_severity])


def with_change(
    before: RecoveryActionStatus, after: RecoveryActionStatus, *, wanted: bool, now: datetime
) -> RecoveryActionStatus:
    """The status to be written, with the change of the phase that it makes. `wanted`: whether anybody is to be told."""
    untold = list(after.untold)
    known = {change.number for change in untold}
    moved = after.changes != before.changes or after.phase is not before.phase
    if moved and wanted and after.phase in TOLD and after.changes not in known and after.changes > 0:
        message = after.message[:_LONGEST]
        untold.append(UntoldChange(number=after.changes, phase=after.phase, at=now, message=message))
    return _counted(after, untold[-MAX_UNTOLD:])


def without_told(uid: str, status: RecoveryActionStatus, told: Collection[str]) -> RecoveryActionStatus:
    """The status without the changes whose ids are in `told`."""
    return _counted(status, [c for c in status.untold if change_id(uid, c.number) not in told])


def with_news(policy: PolicyView, after: RecoveryPolicyStatus, now: datetime) -> RecoveryPolicyStatus:
    """The status to be written, with the news that it makes: incidents that were given up on, storms that began or
    ended. `policy` has the status before."""
    news = [n for n in (*_storms(policy, after, now), *_given_up(policy, after, now)) if receivers_of_news(policy, n)]
    known = {n.id for n in after.untold}
    untold = [*after.untold, *(n for n in news if n.id not in known)]
    return after.model_copy(update={"untold": untold[-MAX_UNTOLD_NEWS:]}) if news else after


def without_told_news(status: RecoveryPolicyStatus, told: Collection[str]) -> RecoveryPolicyStatus:
    """The status without the news whose ids are in `told`."""
    untold = [news for news in status.untold if news.id not in told]
    return status if len(untold) == len(status.untold) else status.model_copy(update={"untold": untold})


def _counted(status: RecoveryActionStatus, untold: list[UntoldChange]) -> RecoveryActionStatus:
    """`signalled` is the number of changes before the first that is still to be told."""
    signalled = min((change.number - 1 for change in untold), default=status.changes)
    if signalled == status.signalled and untold == status.untold:
        return status
    return status.model_copy(update={"signalled": signalled, "untold": untold})


def _of(policy: PolicyView, signal: Signal) -> Receiver:
    return Receiver(policy.namespace, policy.name, signal)


def _storms(policy: PolicyView, after: RecoveryPolicyStatus, now: datetime) -> Iterator[UntoldNews]:
    before, storm = policy.status.storm, after.storm
    if before is not None and (storm is None or storm.since != before.since):
        words = f"{before.targets} of {before.of} objects showed symptoms at its worst; the operator acts again"
        yield UntoldNews(
            id=f"{policy.uid}/storm-ended/{_time(before.since)}", what=NewsKind.STORM_ENDED, at=now, message=words
        )
    if storm is not None and (before is None or storm.since != before.since):
        words = f"{storm.targets} of {storm.of} objects show symptoms: nobody acts, and no release advances"
        yield UntoldNews(
            id=f"{policy.uid}/storm-began/{_time(storm.since)}", what=NewsKind.STORM_BEGAN, at=now, message=words
        )


def _given_up(policy: PolicyView, after: RecoveryPolicyStatus, now: datetime) -> Iterator[UntoldNews]:
    """Incidents whose giving up an Event was made of now: one that comes and goes is given up on once."""
    told = {_key(incident): incident.told for incident in policy.status.symptoms}
    for incident in after.symptoms:
        if incident.verdict is not Verdict.GAVE_UP or incident.told == told.get(_key(incident)):
            continue
        rule = rule_of(policy, incident.symptom)
        yield UntoldNews(
            id=f"{policy.uid}/gave-up/{'/'.join(_key(incident))}",
            what=NewsKind.GAVE_UP,
            at=now,
            severity=rule.severity if rule is not None else Severity.WARNING,
            kind=incident.kind,
            name=incident.name,
            symptom=incident.symptom,
            action=incident.action,
            message=incident.why[:_LONGEST],
        )


def _key(incident: SymptomStatus) -> tuple[str, str, str, str]:
    return incident.kind.value, incident.name, incident.symptom.value, _time(incident.since)


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
