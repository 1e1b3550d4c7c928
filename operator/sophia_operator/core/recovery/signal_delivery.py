"""How often a signal is tried, and what a policy says of its receivers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Author, Condition, ConditionStatus, ConditionType, Reason, drop, find
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.recovery.views import PolicyView
from sophia_operator.core.words import clock, count

#: A signal is tried so often, and none is begun with that waited for longer.
TRIES: Final = 5
LONGEST: Final = timedelta(minutes=10)
_FIRST_SECONDS: Final = 8.0
_FACTOR: Final = 3.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went with a receiver last."""

    #: None when it took the newest signal that it was told; else why not.
    problem: str | None
    #: Signals that were given up on since one was taken, and when the last one was.
    dropped: int = 0
    dropped_at: datetime | None = None


def pause_seconds(tries: int, jitter: float) -> float:
    """How long to wait after so many tries that failed; `jitter` from 0 to 1. All pauses together are less than eight
    minutes, which leaves time for the tries themselves."""
    ceiling = _FIRST_SECONDS * _FACTOR ** (min(tries, TRIES - 1) - 1)
    return float(ceiling * (0.5 + 0.5 * jitter))


def is_given_up(tries: int, taken_over_at: datetime, now: datetime) -> bool:
    """Whether a signal that failed once more is dropped."""
    return tries >= TRIES or now - taken_over_at >= LONGEST


def with_condition(
    policy: PolicyView, status: RecoveryPolicyStatus, outcomes: Mapping[str, Outcome], now: datetime
) -> RecoveryPolicyStatus:
    """The status with `SignalsDelivered`, by how it went with its receivers, by name. What nobody knows since the
    operator started stays as it was."""
    conditions = _conditions(policy, status, outcomes, now)
    return status if conditions == status.conditions else status.model_copy(update={"conditions": conditions})


def _conditions(
    policy: PolicyView, status: RecoveryPolicyStatus, outcomes: Mapping[str, Outcome], now: datetime
) -> list[Condition]:
    kind = ConditionType.SIGNALS_DELIVERED
    if not policy.spec.signals:
        return drop(status.conditions, kind)
    known = {s.name: outcomes[s.name] for s in policy.spec.signals if s.name in outcomes}
    author = Author(policy.status.conditions, policy.generation, now)
    old = find(status.conditions, kind)
    failing = {name: outcome for name, outcome in known.items() if outcome.problem is not None}
    if failing:
        words = "; ".join(_words(name, outcome, now) for name, outcome in sorted(failing.items()))
        return author.put(status.conditions, kind, (Reason.SIGNAL_FAILED, words), ConditionStatus.FALSE)
    if old is None and not known:
        return list(status.conditions)
    if old is not None and old.status is not ConditionStatus.TRUE and len(known) < len(policy.spec.signals):
        # It may be one of the others that did not take what it was told before the operator started.
        if old.observed_generation == policy.generation:
            return list(status.conditions)
        words = "the policy changed since a receiver did not take a signal, and that one was told nothing since"
        return author.put(status.conditions, kind, (Reason.SIGNAL_FAILED, words), ConditionStatus.UNKNOWN)
    words = "every receiver took the newest signal that it was told"
    return author.put(status.conditions, kind, (Reason.SIGNALS_SENT, words))


def _words(name: str, outcome: Outcome, now: datetime) -> str:
    said = f"receiver {name} did not take a signal: {outcome.problem}"
    if not outcome.dropped:
        return f"{said}; it is tried again"
    last = f", the last at {clock(outcome.dropped_at, now)}" if outcome.dropped_at is not None else ""
    return f"{said}; {count(outcome.dropped, 'signal')} {'was' if outcome.dropped == 1 else 'were'} dropped{last}"
