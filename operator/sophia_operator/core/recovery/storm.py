"""Storms: so much is wrong at once that it has one cause, which no act on one object mends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sophia_operator.api.recovery_policy_status import StormStatus, SymptomStatus
from sophia_operator.core.recovery.track import track
from sophia_operator.core.recovery.views import PolicyView, Symptoms, TargetKey


def symptomatic(incidents: Iterable[SymptomStatus]) -> frozenset[TargetKey]:
    """Objects that show a symptom now."""
    return frozenset((i.kind, i.name) for i in incidents if i.gone_since is None)


def storm_of(policy: PolicyView, sick: int, selected: int, now: datetime) -> StormStatus | None:
    """The storm as it is now: it begins at once, and ends when for `cooldownSeconds` not more showed symptoms than are
    allowed."""
    rule, before = policy.spec.storm, policy.status.storm
    over = sick >= rule.min_targets and sick * 100 > rule.max_targets_percent * selected
    if before is None:
        return StormStatus(since=now, targets=sick, of=selected) if over else None
    if over:
        worse = sick > before.targets
        changes = {"quiet_since": None, **({"targets": sick, "of": selected} if worse else {})}
        return before.model_copy(update=changes)
    quiet = before.quiet_since or now
    if now - quiet >= timedelta(seconds=rule.cooldown_seconds):
        return None
    return before.model_copy(update={"quiet_since": quiet})


def storms_of(policies: Sequence[PolicyView], symptoms: Symptoms, now: datetime) -> Mapping[str, StormStatus | None]:
    """The storms as they are now, by the policy's name, whether they are written down yet or not."""
    return {
        p.name: storm_of(p, len(symptomatic(track(p, symptoms, now))), len(symptoms.selected.get(p.name, ())), now)
        for p in policies
    }
