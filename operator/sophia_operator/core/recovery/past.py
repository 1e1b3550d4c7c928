"""What RecoveryActions tell of what was done: acts that count, how they ended, and what waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.recovery_action_status import ActionPhase, Verified
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.recovery.views import ActionView, TargetKey

HOUR: Final = timedelta(hours=1)


def counts(action: ActionView) -> bool:
    """Whether it is an act that guard rails count: something was done, or may have been, to its target."""
    spec = action.spec
    return action.status.claimed_at is not None and not spec.dry_run and spec.action is not Action.NOTIFY


def is_claimed(action: ActionView) -> bool:
    """Whether it is being done, or verified."""
    phase = action.status.phase
    return phase.has_acted and not phase.is_over


def helped(action: ActionView) -> bool:
    """Whether it ended well: verified, or, where there was nothing to verify, as a person asked."""
    status = action.status
    return status.phase is ActionPhase.SUCCEEDED and status.verified in (Verified.HELPED, None)


def acts_on(actions: Iterable[ActionView], target: TargetKey) -> list[ActionView]:
    """Acts on that object that count, in the order in which they were claimed."""
    return sorted((a for a in actions if a.target == target and counts(a)), key=_claimed)


def unhelpful(acts: Sequence[ActionView]) -> list[ActionView]:
    """Of acts in order: those since the last one that helped, which are over and did not."""
    out: list[ActionView] = []
    for act in reversed(acts):
        if helped(act):
            break
        if act.status.phase.is_over:
            out.append(act)
    return out[::-1]


def last_end(acts: Iterable[ActionView]) -> datetime | None:
    """When the last of them ended."""
    ends = [act.status.ended_at or _claimed(act) for act in acts if act.status.phase.is_over]
    return max(ends, default=None)


@dataclass(frozen=True, slots=True)
class Claims:
    """When acts were claimed within the last hour, the oldest first."""

    at: tuple[datetime, ...]

    def free_at(self, most: int) -> datetime | None:
        """When there are fewer than `most` again; None when there are now. For 0 that is never: an hour from the last,
        or from now on each time it is asked."""
        if len(self.at) < most:
            return None
        return (self.at[-most] if most else self.at[-1]) + HOUR if self.at else None


def claims(times: Iterable[datetime | None], now: datetime) -> Claims:
    """Those of the times that lie in the last hour."""
    return Claims(tuple(sorted(at for at in times if at is not None and at > now - HOUR)))


def _claimed(action: ActionView) -> datetime:
    return action.status.claimed_at or action.created_at
