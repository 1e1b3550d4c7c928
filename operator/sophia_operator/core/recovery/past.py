"""What RecoveryActions tell of what was done: acts that count, how they ended, and what waits."""

from __future__ import annotations

from collections.abc import Iterable
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


def unhelpful(acts: Iterable[ActionView]) -> list[ActionView]:
    """Of acts in order: those since the last one that was verified to help, which are over and did not. One that was
    done and not verified, as a person asked, says neither."""
    out: list[ActionView] = []
    for act in acts:
        if act.status.verified is Verified.HELPED:
            out = []
        elif act.status.phase.is_over and act.status.phase is not ActionPhase.SUCCEEDED:
            out.append(act)
    return out


def last(acts: Iterable[ActionView]) -> ActionView | None:
    """The one of them that ended last."""
    return max((act for act in acts if act.status.phase.is_over), key=end_of, default=None)


def end_of(act: ActionView) -> datetime:
    """When an act that is over ended."""
    return act.status.ended_at or _claimed(act)


def is_recent(at: datetime | None, now: datetime) -> bool:
    """Whether that lies in the hour that budgets look back on."""
    return at is not None and at > now - HOUR


@dataclass(frozen=True, slots=True)
class Claims:
    """When acts were claimed within the last hour, the oldest first."""

    at: tuple[datetime, ...]

    def free_at(self, most: int) -> datetime | None:
        """When there are fewer than `most` again; None when there are now, or never will be."""
        return self.at[-most] + HOUR if 0 < most <= len(self.at) else None


def claims(times: Iterable[datetime | None], now: datetime) -> Claims:
    """Those of the times that lie in the last hour."""
    return Claims(tuple(sorted(at for at in times if at is not None and is_recent(at, now))))


def _claimed(action: ActionView) -> datetime:
    return action.status.claimed_at or action.created_at
