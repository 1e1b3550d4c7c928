"""When RecoveryActions that are over go: by their age, and beyond a number, but not while guard rails rest on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.recovery_action_status import Verified
from sophia_operator.api.recovery_policy import Keep, RecoveryPolicySpec
from sophia_operator.core.recovery import past
from sophia_operator.core.recovery.rails import Rails
from sophia_operator.core.recovery.views import ActionView, TargetKey

#: Acts of the last hour are kept whatever a policy says: budgets look back on them.
KEPT: Final = past.HOUR


def keep_of(specs: Iterable[RecoveryPolicySpec]) -> Keep:
    """The longest time, and the largest number, that a policy asks for."""
    keeps = [spec.keep for spec in specs]
    if not keeps:
        return Keep()
    return Keep(
        ttl_seconds=max(keep.ttl_seconds for keep in keeps), max_actions=max(keep.max_actions for keep in keeps)
    )


def ends(
    actions: Iterable[ActionView], keep: Keep, specs: Sequence[RecoveryPolicySpec]
) -> list[tuple[datetime, ActionView]]:
    """When each of those that are over is to go, the oldest first. What cool-downs and breakers count stays as long
    as they last, and goes by its age alone: without it, a breaker would close, and a cool-down end, before its time."""
    over = sorted((a for a in actions if a.status.phase.is_over), key=past.end_of)
    needed = _needed(over, specs)
    surplus = [a.uid for a in over if a.uid not in needed][: max(0, len(over) - keep.max_actions)]
    ttl = max(KEPT, timedelta(seconds=keep.ttl_seconds))
    return [(_goes_at(a, KEPT if a.uid in surplus else ttl, needed.get(a.uid)), a) for a in over]


def _goes_at(action: ActionView, kept: timedelta, needed: datetime | None) -> datetime:
    by_age = past.end_of(action) + kept
    return by_age if needed is None else max(by_age, needed)


def _needed(over: Sequence[ActionView], specs: Sequence[RecoveryPolicySpec]) -> Mapping[str, datetime]:
    """Uids of the acts that cool-downs and breakers count, each with the time until which one may last. Every policy
    may select every object: what is kept too long harms nobody."""
    default = Rails()
    cooldown = min((s.cooldown_seconds for s in specs), default=default.cooldown_seconds)
    longest = max((s.max_cooldown_seconds for s in specs), default=default.max_cooldown_seconds)
    failures = max((s.breaker.failures for s in specs), default=default.breaker_failures)
    open_seconds = max((s.breaker.open_seconds for s in specs), default=default.breaker_open_seconds)
    doublings = 1 + (longest // max(1, cooldown)).bit_length()
    until: dict[str, datetime] = {}

    def need(acts: Sequence[ActionView], seconds: int) -> None:
        if acts:
            end = max(map(past.end_of, acts)) + timedelta(seconds=seconds)
            until.update({act.uid: max(end, until.get(act.uid, end)) for act in acts})

    for acts in _by_target(over).values():
        last = past.last(acts)
        if last is None:
            continue
        # Together: a cool-down runs from the last one, whatever that was, by the failures before it.
        need([*past.unhelpful(acts)[-doublings:], last], longest)
        for action in {a.spec.action for a in acts}:
            need(past.unhelpful(a for a in acts if a.spec.action is action)[-failures:], open_seconds)
        # Without the one that helped last, failures before it would count again.
        well = next((a for a in reversed(acts) if a.status.verified is Verified.HELPED), None)
        if well is not None:
            until[well.uid] = max(until[a.uid] for a in acts if a.uid in until)
    return until


def _by_target(over: Iterable[ActionView]) -> Mapping[TargetKey, list[ActionView]]:
    found: dict[TargetKey, list[ActionView]] = defaultdict(list)
    for action in over:
        found[action.target].append(action)
    return {target: past.acts_on(acts, target) for target, acts in found.items()}
