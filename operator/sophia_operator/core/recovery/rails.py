"""The guard rails of one object: those of all policies that select it, the stricter each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.api.recovery_policy import PauseRequest, QuietWindow, RecoveryPolicySpec
from sophia_operator.api.recovery_policy_status import StormStatus
from sophia_operator.core.recovery.views import PolicyView

_SPEC: Final = RecoveryPolicySpec.model_validate(
    {
        "targets": [{"kind": "ConnectionPool"}],
        "rules": [{"symptom": "ConnectionLost", "escalation": [{"action": "Reconnect"}]}],
    }
)


@dataclass(frozen=True, slots=True)
class Rails:
    """What holds for one object. Names of policies say where each comes from."""

    pauses: tuple[tuple[str, PauseRequest], ...] = ()
    quiet: tuple[tuple[str, QuietWindow], ...] = ()
    #: With the quiet time in seconds after which it is over.
    storms: tuple[tuple[str, StormStatus, int], ...] = ()
    floors: tuple[tuple[str, int], ...] = ()
    per_target: int = _SPEC.budget.per_target
    per_namespace: int = _SPEC.budget.per_namespace
    cluster: int = _SPEC.budget.cluster
    cooldown_seconds: int = _SPEC.cooldown_seconds
    max_cooldown_seconds: int = _SPEC.max_cooldown_seconds
    breaker_failures: int = _SPEC.breaker.failures
    breaker_open_seconds: int = _SPEC.breaker.open_seconds
    stable_seconds: int = _SPEC.stable_seconds


def rails_of(chosen: Sequence[PolicyView], storms: Mapping[str, StormStatus | None]) -> Rails:
    """Those of the policies that select the object; the defaults when none does, as for a person's act."""
    if not chosen:
        return Rails()
    specs = [p.spec for p in chosen]
    return Rails(
        pauses=tuple((p.name, request) for p in chosen for request in p.spec.pause_requests),
        quiet=tuple((p.name, window) for p in chosen for window in p.spec.quiet_windows),
        storms=tuple(
            (p.name, storm, p.spec.storm.cooldown_seconds) for p in chosen if (storm := storms.get(p.name)) is not None
        ),
        floors=tuple((p.name, p.spec.floor) for p in chosen if p.spec.floor),
        per_target=min(s.budget.per_target for s in specs),
        per_namespace=min(s.budget.per_namespace for s in specs),
        cluster=min(s.budget.cluster for s in specs),
        cooldown_seconds=max(s.cooldown_seconds for s in specs),
        max_cooldown_seconds=max(s.max_cooldown_seconds for s in specs),
        breaker_failures=min(s.breaker.failures for s in specs),
        breaker_open_seconds=max(s.breaker.open_seconds for s in specs),
        stable_seconds=max(s.stable_seconds for s in specs),
    )


def pause_of(rails: Rails, now: datetime) -> tuple[str, PauseRequest] | None:
    """A request that nothing is done, which still holds, and whose policy."""
    return next(((p, r) for p, r in rails.pauses if r.until is None or r.until > now), None)
