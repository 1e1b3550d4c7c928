"""How long a loop waits between two passes: what a decision asks for, and what failures and obstacles add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sophia_operator.core.decision import Blocked, Decision, Next, RequeueAfter
from sophia_operator.core.views import Observed
from sophia_operator.ports import ClusterError, Refusal

#: Two passes over one object are at least this far apart.
MIN_INTERVAL_SECONDS: Final = 0.1
#: Objects of others are not watched, so what waits for one of them to go looks again.
BLOCKED_SECONDS: Final = 30.0
_FIRST_RETRY_SECONDS: Final = 0.2
_LAST_RETRY_SECONDS: Final = 30.0


class UnfinishedError(Exception):
    """A part of a decision could not be carried out. `due`: seconds until the rest wants to be looked at."""

    def __init__(self, error: ClusterError, due: float | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.due = due


class Waits:
    """Counts what goes wrong with one object. `jitter` is a number from 0 to 1, to spread retries."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._failures = 0
        self._writing_passes = 0

    def succeeded(self) -> None:
        """A pass went well: the next failure is a first one."""
        self._failures = 0

    def after(
        self, wanted: Next, blocked: bool, writes: int, applied: int, others: Iterable[float | None]
    ) -> float | None:
        """Seconds until the next pass, which a decision `wanted`. A pass that changed something is followed by one that
        looks at it; `blocked` when something stands in the way."""
        self._writing_passes = self._writing_passes + 1 if applied and writes == applied else 0
        waits = [seconds for seconds in others if seconds is not None]
        if isinstance(wanted, RequeueAfter):
            waits.append(wanted.seconds)
        elif isinstance(wanted, Blocked) or blocked:
            waits.append(BLOCKED_SECONDS)
        if writes:
            # Objects that are never as desired, however often they are applied, must not become a hot loop.
            waits.append(0.0 if self._writing_passes < 5 else self._backoff(self._writing_passes - 5))
        return min(waits, default=None)

    def retry(self, error: ClusterError | None, due: float | None = None) -> float:
        """Seconds until the next pass after one that failed: later and later, but never later than `due`."""
        self._failures += 1
        if error is not None and error.refusal is Refusal.CONFLICT and self._failures <= 3:
            return MIN_INTERVAL_SECONDS
        seconds = self._backoff(self._failures - 1)
        return seconds if due is None else min(seconds, max(due, MIN_INTERVAL_SECONDS))

    def _backoff(self, count: int) -> float:
        ceiling = min(_LAST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** min(count, 16))
        return ceiling * (0.5 + 0.5 * self._jitter())


def due(decision: Decision, before: Observed, after: Observed) -> float | None:
    """Seconds until the decision wants another look, though a part of it could not be carried out.

    Whatever keeps failing must not keep gates from being looked at in time.
    """
    if not isinstance(decision.next, RequeueAfter):
        return None
    if decision.next.seconds > 0:
        return decision.next.seconds
    if [r.status.state for r in before.releases] != [r.status.state for r in after.releases]:
        return MIN_INTERVAL_SECONDS  # a rollout that moves on comes to an end
    # "At once" is said again and again by what is refused again and again: no more often than gates are looked at.
    looks = [r.spec.snapshot.plan.look_interval_seconds for r in after.releases if r.status.state.is_active]
    return float(min(looks)) if looks else None
