"""What a rollout makes of recovery: of acts on what a release binds, of symptoms that began with it, and of storms.

A recovery never hides a bad release, and no release advances during a storm.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sophia_operator.api.binding_version import BindingVersion
from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_values import TargetKind
from sophia_operator.core.bound import tiers_of
from sophia_operator.core.recovery.seen import RecoverySeen
from sophia_operator.core.recovery.views import TargetKey

#: Holds that end by themselves.
HOLDS: Final = frozenset({Reason.RECOVERY_UNDER_WAY, Reason.STORM_ACTIVE})


def bound_to(service: str, bindings: Iterable[BindingVersion]) -> frozenset[TargetKey]:
    """What a release of the service stands on: the service itself, and all of its bindings, chains of caches whole."""
    out: set[TargetKey] = {(TargetKind.MANAGED_SERVICE, service)}
    for bound in bindings:
        out.add((TargetKind(bound.kind.value), bound.name))
        out |= {(TargetKind.CACHE_TIER, tier) for tier in tiers_of(bound)}
    return frozenset(out)


def hold(seen: RecoverySeen, bound: frozenset[TargetKey]) -> tuple[Reason, str] | None:
    """Why a release that is bound to these goes no further now; None when nothing of this kind holds it."""
    if seen.storm is not None:
        policy, message = seen.storm
        return Reason.STORM_ACTIVE, f"RecoveryPolicy {policy} sees a storm, and no release advances in one: {message}"
    act = next((act for act in seen.acts if act.target in bound), None)
    if act is None:
        return None
    kind, name = act.target
    words = f"RecoveryAction {act.name} ({act.action.value}) acts on {kind.value} {name}: the release waits for its end"
    return Reason.RECOVERY_UNDER_WAY, words


def began_with(seen: RecoverySeen, bound: frozenset[TargetKey], started_at: datetime | None) -> str | None:
    """What began with a release that is bound to these and whose rollout began then, in words; None without such a
    symptom."""
    if started_at is None:
        return None
    for left in seen.left:
        if left.target in bound and left.since >= started_at:
            kind, name = left.target
            what = f"{left.symptom.value} of {kind.value} {name} began at {left.since:%H:%M:%S} UTC, with this release"
            return f"{what} (RecoveryPolicy {left.policy}): {left.message}" if left.message else what
    return None
