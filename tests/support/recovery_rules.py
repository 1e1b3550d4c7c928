"""What must hold of recovery at every moment, said anew without a line of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.recovery_action_status import ActionPhase, Verified
from sophia_operator.api.recovery_policy import Rule
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus, SymptomStatus, Verdict
from sophia_operator.api.recovery_values import ACTIONS, STRICTNESS, Action, Mode, Symptom, TargetKind
from sophia_operator.core.recovery.decision import NewAction
from sophia_operator.core.recovery.views import ActionView, MovingRelease, PolicyView, TargetKey

HOUR: Final = timedelta(hours=1)
SAFE: Final = frozenset({Action.RECONNECT, Action.SWITCH_MODEL, Action.NOTIFY})
_IN_HAND: Final = frozenset({ActionPhase.CLAIMED, ActionPhase.RUNNING, ActionPhase.VERIFYING})
#: Reasons for which an incident that lasts may wait without end.
_MAY_WAIT: Final = frozenset(
    {"ModeOff", "WouldAct", "StricterPolicy", "StormActive", "BelowFloor", "SymptomUnknown", "OutcomeUnknown"}
)


class BrokenRuleError(AssertionError):
    """A rule was broken."""


@dataclass
class Scenery:
    """What the rules are asked about: the world as it is."""

    now: datetime
    policies: Sequence[PolicyView]
    selected: dict[str, tuple[TargetKey, ...]]
    #: True, False, or None where it cannot be told.
    signs: dict[tuple[TargetKey, Symptom], bool | None]
    actions: Sequence[ActionView]
    elsewhere: Sequence[datetime]
    moving: Sequence[MovingRelease]


@dataclass
class Rules:
    """Looks at every claim, every new action, and every status."""

    #: When a storm was last to be seen, by the policy's name.
    stormy: dict[str, datetime] = field(default_factory=dict)
    #: Since when each symptom is there without a break.
    there: dict[tuple[TargetKey, Symptom], datetime] = field(default_factory=dict)
    names: dict[str, NewAction] = field(default_factory=dict)
    claims: int = 0
    helped: int = 0

    def looked(self, scenery: Scenery) -> None:
        """The world after each change: what is wrong since when, and when that is so much that nobody may act."""
        for key, sign in scenery.signs.items():
            if sign:
                self.there.setdefault(key, scenery.now)
            elif sign is False:
                self.there.pop(key, None)
        for policy in scenery.policies:
            if self._over(policy, scenery):
                self.stormy[policy.name] = scenery.now

    def _over(self, policy: PolicyView, scenery: Scenery) -> bool:
        chosen = scenery.selected[policy.name]
        known = {(i.kind, i.name, i.symptom) for i in policy.status.symptoms if i.gone_since is None}
        asked = {rule.symptom for rule in policy.spec.rules}
        sick = {
            target
            for target in chosen
            for (key, symptom), sign in scenery.signs.items()
            if key == target and symptom in asked and (sign or (sign is None and (*key, symptom) in known))
        }
        rule = policy.spec.storm
        return len(sick) >= rule.min_targets and 100 * len(sick) > rule.max_targets_percent * len(chosen)

    def lost(self, policy: str) -> None:
        """Timers of that policy begin anew."""
        self.stormy.pop(policy, None)

    def made(self, new: Sequence[NewAction], scenery: Scenery) -> None:
        """What one decision wants to be created."""
        acts = [
            (n.spec.target.kind, n.spec.target.name)
            for n in new
            if not n.spec.dry_run and not n.spec.approval_required and n.spec.action is not Action.NOTIFY
        ]
        _must(len(acts) == len(set(acts)), f"two acts on one object in one decision: {acts}")
        there = {action.name for action in scenery.actions}
        for one in new:
            _must(one.name not in there, f"{one.name} is there already")
            known = self.names.setdefault(one.name, one)
            same = known.spec.trigger is not None and one.spec.trigger is not None
            _must(same and _step(known) == _step(one), f"{one.name} names two steps")
            self._is_new(one, scenery)

    def _is_new(self, new: NewAction, scenery: Scenery) -> None:
        spec, trigger = new.spec, new.spec.trigger
        assert trigger is not None
        target = (spec.target.kind, spec.target.name)
        answered = [a for a in scenery.actions if a.spec.trigger is not None and a.target == target]
        mine = [a for a in answered if a.spec.trigger is not None and a.spec.trigger.symptom is trigger.symptom]
        _must(all(a.status.phase.is_over for a in mine), f"{new.name}: another answer is not over")
        same = [a for a in mine if a.spec.trigger and (a.spec.trigger.policy, a.spec.trigger.since) == _of(new)]
        _must(all(a.spec.trigger and a.spec.trigger.step != trigger.step for a in same), f"{new.name}: step made twice")
        _must(not (spec.dry_run and any(a.spec.dry_run for a in same)), f"{new.name}: a second dry run")
        rule = self._rule(trigger.policy, trigger.symptom, scenery)
        _must(rule is not None and any(s.action is spec.action for s in rule.escalation), f"{new.name} was invented")
        assert rule is not None
        failed = [a for a in same if a.status.phase in (ActionPhase.FAILED, ActionPhase.REFUSED)]
        helped = any(a.status.verified is Verified.HELPED for a in same)
        tries = sum(a.spec.action is spec.action for a in failed)
        _must(helped or tries < sum(s.action is spec.action for s in rule.escalation), f"{new.name} was tried before")
        _must(scenery.signs[target, trigger.symptom] is True, f"{new.name} answers what is not there")
        # Where each loop sees the world at a time of its own, a gap may pass between two looks of one.
        lasts = scenery.now - self.there.get((target, trigger.symptom), trigger.since)
        _must(lasts >= timedelta(seconds=rule.for_seconds), f"{new.name} came too soon")
        _must(64 > len(new.name) > 0 and new.name.replace("-", "a").isalnum(), f"{new.name} is no name")
        mode = self._mode(target, trigger.symptom, spec.action, scenery)
        made_as = Mode.DRY_RUN if spec.dry_run else Mode.APPROVE if spec.approval_required else Mode.AUTO
        _must(mode is made_as, f"{new.name} is made as {made_as}, and the mode is {mode}")
        if not spec.dry_run and not spec.approval_required:
            self._may_begin(scenery, target, spec.action, _Asks(trigger.symptom, *_of(new)))

    def claimed(self, action: ActionView, scenery: Scenery) -> None:
        """An action is about to be done."""
        self.claims += 1
        spec, trigger = action.spec, action.spec.trigger
        _must(not spec.dry_run, f"{action.name} is a dry run")
        _must(not spec.approval_required or spec.approved is True, f"{action.name} was not approved")
        asks = _Asks(None, None, None, action.uid, spec.force, spec.override_reason is not None)
        if trigger is not None:
            mode = self._mode(action.target, trigger.symptom, spec.action, scenery)
            allowed = (Mode.AUTO, Mode.APPROVE) if spec.approved else (Mode.AUTO,)
            _must(mode in allowed, f"{action.name}: the mode is {mode}")
            _must(scenery.signs[action.target, trigger.symptom] is True, f"{action.name} answers what is not there")
            asks = _Asks(trigger.symptom, trigger.policy, trigger.since, action.uid)
        self._may_begin(scenery, action.target, spec.action, asks)

    def _may_begin(self, scenery: Scenery, target: TargetKey, action: Action, asks: _Asks) -> None:
        chosen = [p for p in scenery.policies if target in scenery.selected[p.name]]
        what = f"{action.value} on {target[1]}"
        on_it = [a for a in scenery.actions if a.target == target and a.uid != asks.uid]
        _must(all(a.status.phase not in _IN_HAND for a in on_it), f"{what} beside another one")
        for policy in chosen:
            self._calm(policy, scenery, what, asks)
        bound = [m for m in scenery.moving if target in m.bound]
        if bound and not asks.override:
            _must(action in SAFE, f"{what} under a release that moves")
            began = [m for m in bound if m.has_traffic and asks.since is not None and asks.since >= m.started_at]
            by = next((p for p in chosen if p.name == asks.policy), None)
            _must(not by or not [m for m in began if by.created_at <= m.started_at], f"{what} hides a bad release")
        if asks.force or action is Action.NOTIFY:
            return
        for policy in chosen:
            well = [t for t in scenery.selected[policy.name] if t[0] is target[0] and self._is_well(t, policy, scenery)]
            _must(len(well) >= policy.spec.floor, f"{what} below the floor")
        acts = [a for a in scenery.actions if _counts(a) and a.uid != asks.uid]
        self._budgets(chosen, acts, target, scenery, what)
        over = sorted((a for a in acts if a.target == target and a.status.phase.is_over), key=_end)
        if over:
            self._cooled(chosen, over, scenery.now, what, asks)
            self._breaker(chosen, [a for a in over if a.spec.action is action], scenery.now, what)

    def _calm(self, policy: PolicyView, scenery: Scenery, what: str, asks: _Asks) -> None:
        seconds = timedelta(seconds=policy.spec.storm.cooldown_seconds)
        at = None if asks.override else self.stormy.get(policy.name)
        _must(at is None or (not self._over(policy, scenery) and scenery.now - at >= seconds), f"{what} in a storm")
        if asks.policy is None:
            return
        pauses = [r for r in policy.spec.pause_requests if r.until is None or r.until > scenery.now]
        _must(not pauses, f"{what} in a pause")
        clock = f"{scenery.now:%H:%M}"
        _must(all(not w.start <= clock < w.end for w in policy.spec.quiet_windows), f"{what} in a quiet window")

    @staticmethod
    def _is_well(target: TargetKey, policy: PolicyView, scenery: Scenery) -> bool:
        asked = {rule.symptom for rule in policy.spec.rules}
        return all(sign is False for (key, s), sign in scenery.signs.items() if key == target and s in asked)

    @staticmethod
    def _budgets(
        chosen: Sequence[PolicyView], acts: Sequence[ActionView], target: TargetKey, scenery: Scenery, what: str
    ) -> None:
        recent = [a for a in acts if a.status.claimed_at and scenery.now - a.status.claimed_at < HOUR]
        away = [at for at in scenery.elsewhere if scenery.now - at < HOUR]
        for policy in chosen:
            budget = policy.spec.budget
            _must(sum(a.target == target for a in recent) < budget.per_target, f"{what} beyond the object's budget")
            _must(len(recent) < budget.per_namespace, f"{what} beyond the namespace's budget")
            _must(len(recent) + len(away) < budget.cluster, f"{what} beyond the cluster's budget")

    @staticmethod
    def _cooled(
        chosen: Sequence[PolicyView], over: Sequence[ActionView], now: datetime, what: str, asks: _Asks
    ) -> None:
        last, failed = over[-1], _in_a_row(over)
        of = last.spec.trigger
        own = of is not None and (of.symptom, of.policy, of.since) == (asks.symptom, asks.policy, asks.since)
        if own and last.status.verified is not Verified.HELPED:
            return  # the next step of a ladder: the time-out of the one before was its cool-down
        for policy in chosen:
            seconds = min(policy.spec.max_cooldown_seconds, policy.spec.cooldown_seconds * 2**failed)
            _must(now - _end(last) >= timedelta(seconds=seconds), f"{what} while it cools down")

    @staticmethod
    def _breaker(chosen: Sequence[PolicyView], same: Sequence[ActionView], now: datetime, what: str) -> None:
        failed = _in_a_row(same)
        last = max((_end(a) for a in same if a.status.phase is not ActionPhase.SUCCEEDED), default=now)
        for policy in chosen:
            breaker = policy.spec.breaker
            if failed >= breaker.failures:
                open_for = timedelta(seconds=breaker.open_seconds)
                _must(now - last >= open_for, f"{what} while its breaker is open")

    @staticmethod
    def _rule(policy: str, symptom: Symptom, scenery: Scenery) -> Rule | None:
        by = next(p for p in scenery.policies if p.name == policy)
        return next((r for r in by.spec.rules if r.symptom is symptom), None)

    def _mode(self, target: TargetKey, symptom: Symptom, action: Action, scenery: Scenery) -> Mode:
        chosen = [p for p in scenery.policies if target in scenery.selected[p.name]]
        modes = [
            rule.mode or p.spec.mode or ACTIONS[action].mode
            for p in chosen
            if (rule := self._rule(p.name, symptom, scenery)) is not None
        ]
        return min(modes, key=STRICTNESS.index, default=Mode.OFF)

    def persisted(self, policy: PolicyView, status: RecoveryPolicyStatus, now: datetime) -> None:
        """A status was written; `policy` has the one before."""
        kept = {(i.kind, i.name, i.symptom, i.since) for i in status.symptoms}
        for was in policy.status.symptoms:
            if (was.kind, was.name, was.symptom, was.since) not in kept:
                rule = next(r for r in policy.spec.rules if r.symptom is was.symptom)
                gone = was.gone_since or now
                _must(now - gone >= timedelta(seconds=rule.clear_seconds), f"{was.name}: over too soon")
        for incident in status.symptoms:
            _must(bool(incident.reason and incident.why), f"{incident.name}: no reason, or no words")
            if incident.verdict is Verdict.GAVE_UP and incident.reason == "GaveUp" and incident.step < 16:
                rule = next(r for r in policy.spec.rules if r.symptom is incident.symptom)
                left = [s.action for s in rule.escalation if s.action not in incident.tried]
                _must(not left, f"{incident.name}: gave up before {left}")

    @staticmethod
    def ended(incident: SymptomStatus, actions: Sequence[ActionView]) -> None:
        """An incident after a long time in which nobody held anything."""
        if incident.verdict in (Verdict.GAVE_UP, Verdict.OVER):
            return
        reason = incident.reason
        waiting = [a for a in actions if a.name in incident.why and a.status.phase is ActionPhase.WAITING]
        if reason == "ActUnderWay" and waiting:
            reason = next(c.reason for c in waiting[0].status.conditions if c.type == "Ready")
            _must(waiting[0].status.message in incident.why, f"{incident.name}: it is not said why it waits")
        _must(reason in _MAY_WAIT, f"{incident.name} {incident.symptom}: {reason} without end")


@dataclass(frozen=True)
class _Asks:
    symptom: Symptom | None
    policy: str | None
    since: datetime | None
    uid: str | None = None
    force: bool = False
    override: bool = False


def _must(holds: bool, words: str) -> None:
    if not holds:
        raise BrokenRuleError(words)


def _of(new: NewAction) -> tuple[str, datetime]:
    assert new.spec.trigger is not None
    return new.spec.trigger.policy, new.spec.trigger.since


def _step(new: NewAction) -> tuple[TargetKind, str, Action, str, Symptom, datetime, int]:
    spec, trigger = new.spec, new.spec.trigger
    assert trigger is not None
    return (
        spec.target.kind, spec.target.name, spec.action, trigger.policy, trigger.symptom, trigger.since, trigger.step,
    )  # fmt: skip


def _counts(action: ActionView) -> bool:
    spec = action.spec
    return action.status.claimed_at is not None and not spec.dry_run and spec.action is not Action.NOTIFY


def _end(action: ActionView) -> datetime:
    assert action.status.ended_at is not None
    return action.status.ended_at


def _in_a_row(over: Sequence[ActionView]) -> int:
    failed = 0
    for act in over:
        if act.status.verified is Verified.HELPED:
            failed = 0
        elif act.status.phase in (ActionPhase.FAILED, ActionPhase.UNKNOWN):
            failed += 1
    return failed
