"""Since when symptoms are there, and when an incident is over: hysteresis in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.recovery_policy import Rule
from sophia_operator.api.recovery_policy_status import MAX_SYMPTOMS, SymptomStatus
from sophia_operator.api.recovery_values import Severity, Symptom
from sophia_operator.core.recovery.views import PolicyView, Sign, Symptoms, SymptomSeen, TargetKey

#: Object and symptom.
IncidentKey = tuple[TargetKey, Symptom]
#: The worst first.
SEVERITIES: Final = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


def key_of(incident: SymptomStatus) -> IncidentKey:
    """Tells an incident from every other one of its policy."""
    return (incident.kind, incident.name), incident.symptom


def rule_of(policy: PolicyView, symptom: Symptom) -> Rule | None:
    """How the policy answers that symptom."""
    return next((rule for rule in policy.spec.rules if rule.symptom is symptom), None)


def track(policy: PolicyView, symptoms: Symptoms, now: datetime) -> tuple[SymptomStatus, ...]:
    """The incidents of a policy by what is seen now, in order: an incident begins with the first sign of a symptom,
    and ends once the symptom was gone for `clearSeconds`. What cannot be told changes nothing."""
    seen = {(s.target, s.symptom): s for s in symptoms.seen if s.policy == policy.name}
    known = {key_of(incident): incident for incident in policy.status.symptoms}
    found = (_tracked(policy, known, one, now) for one in seen.values())
    return tuple(sorted((i for i in found if i is not None), key=lambda i: (i.kind, i.name, i.symptom)))


def kept(policy: PolicyView, incidents: tuple[SymptomStatus, ...]) -> tuple[SymptomStatus, ...]:
    """Those that the status has room for: first what it has already, then the worst. All others are counted, and their
    turn comes once there is room: without a timer nothing can be decided about them."""
    if len(incidents) <= MAX_SYMPTOMS:
        return incidents
    known = {key_of(incident) for incident in policy.status.symptoms}
    ranked = sorted(incidents, key=lambda i: (key_of(i) not in known, SEVERITIES.index(_severity(policy, i))))
    room = {key_of(incident) for incident in ranked[:MAX_SYMPTOMS]}
    return tuple(incident for incident in incidents if key_of(incident) in room)


def _severity(policy: PolicyView, incident: SymptomStatus) -> Severity:
    rule = rule_of(policy, incident.symptom)
    return rule.severity if rule is not None else Severity.INFO


def _tracked(
    policy: PolicyView, known: Mapping[IncidentKey, SymptomStatus], seen: SymptomSeen, now: datetime
) -> SymptomStatus | None:
    before, sign = known.get((seen.target, seen.symptom)), seen.sign
    if sign.present is None:
        return before
    if sign.present:
        if before is None:
            return _new(seen, sign, now)
        if before.gone_since is None:
            return before
        return before.model_copy(update={"gone_since": None, "present_since": now})
    if before is None:
        return None
    rule = rule_of(policy, seen.symptom)
    gone = before.gone_since or now
    clear = timedelta(seconds=rule.clear_seconds if rule is not None else 0)
    return None if now - gone >= clear else before.model_copy(update={"gone_since": gone})


def _new(seen: SymptomSeen, sign: Sign, now: datetime) -> SymptomStatus:
    kind, name = seen.target
    return SymptomStatus(
        kind=kind, name=name, symptom=seen.symptom, since=now, value=value_of(sign), message=sign.message[:4096]
    )


def value_of(sign: Sign) -> str | None:
    """How bad it is, as statuses have it."""
    return None if sign.value is None else f"{max(0.0, sign.value):.3f}".rstrip("0").rstrip(".")


def signs(policy: PolicyView, symptoms: Symptoms) -> Mapping[IncidentKey, Sign]:
    """What is seen of each symptom that the policy has a rule for."""
    return {(s.target, s.symptom): s.sign for s in symptoms.seen if s.policy == policy.name}
