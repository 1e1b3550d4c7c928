"""A namespace in memory: objects whose symptoms come and go, and the loops of recovery as the operator runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sophia_operator.api.recovery_action import RecoveryActionSpec
from sophia_operator.api.recovery_action_status import ActionPhase, ActPhase, ActStatus, RecoveryActionStatus, Verified
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_values import SYMPTOM_KINDS, Action, Symptom
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.recovery.action.advance import advance_action
from sophia_operator.core.recovery.action.values import ActionDecision, ActionObserved
from sophia_operator.core.recovery.decide import decide
from sophia_operator.core.recovery.decision import Decisions
from sophia_operator.core.recovery.views import (
    ActionView,
    History,
    MovingRelease,
    PolicyView,
    Sign,
    Symptoms,
    SymptomSeen,
    TargetKey,
    TargetView,
)
from tests.support import recovery_scene
from tests.support.recovery_rules import BrokenRuleError, Rules, Scenery
from tests.support.symptom_scene import START

_TAKES: Final = timedelta(seconds=5)
_MOST_ROUNDS: Final = 16


@dataclass(frozen=True)
class Mind:
    """The functions that are tried."""

    decide: Callable[[Symptoms, tuple[PolicyView, ...], History, datetime], Decisions] = decide
    advance: Callable[[ActionView, ActionObserved, datetime], ActionDecision] = advance_action


@dataclass
class World:
    """A namespace."""

    policies: dict[str, PolicyView]
    selected: dict[str, tuple[TargetKey, ...]]
    mind: Mind = field(default_factory=Mind)
    rules: Rules = field(default_factory=Rules)
    now: datetime = START + timedelta(hours=1)
    signs: dict[tuple[TargetKey, Symptom], bool | None] = field(default_factory=dict)
    #: The action that helps against a symptom; without one, none does.
    cures: dict[tuple[TargetKey, Symptom], Action] = field(default_factory=dict)
    actions: dict[str, ActionView] = field(default_factory=dict)
    acts: dict[str, ActStatus] = field(default_factory=dict)
    elsewhere: list[datetime] = field(default_factory=list)
    moving: list[MovingRelease] = field(default_factory=list)
    #: The operator ends after statuses are written, before actions are created.
    crashes: bool = False
    events: int = 0
    _asked: int = 0
    _ahead: timedelta = timedelta()

    def __post_init__(self) -> None:
        for target in dict.fromkeys(t for chosen in self.selected.values() for t in chosen):
            for symptom in (Symptom.CONNECTION_LOST, Symptom.SLOW_QUERIES, Symptom.HIGH_MEMORY):
                if target[0] in SYMPTOM_KINDS[symptom]:
                    self.signs[target, symptom] = False

    # what is seen

    def scenery(self) -> Scenery:
        """For the rules."""
        policies, actions = tuple(self.policies.values()), tuple(self.actions.values())
        return Scenery(self.now, policies, self.selected, self.signs, actions, self.elsewhere, self.moving)

    def symptoms(self) -> Symptoms:
        """For the engine."""
        seen = [
            SymptomSeen(policy.name, target, rule.symptom, self._sign(target, rule.symptom))
            for policy in self.policies.values()
            for target in self.selected[policy.name]
            for rule in policy.spec.rules
            if (target, rule.symptom) in self.signs
        ]
        return Symptoms(self.selected, tuple(seen))

    def _sign(self, target: TargetKey, symptom: Symptom) -> Sign:
        present = self.signs[target, symptom]
        # Figures change all the time.
        passed = (self.now + self._ahead - START).total_seconds()
        return Sign(present, 1 + passed % 7 if present else None, f"bad for {passed} s" if present else "")

    def history(self) -> History:
        """For the engine."""
        recent = tuple(at for at in self.elsewhere if self.now - at < timedelta(hours=1))
        return History(tuple(self.actions.values()), recent, tuple(self.moving))

    # the loops

    def settle(self) -> None:
        """Passes of all loops until nothing more is written, and then nothing is until the time that was said."""
        for _ in range(_MOST_ROUNDS):
            self.rules.looked(self.scenery())
            # An action that is there goes first: what it is claimed by is not what is written down.
            if not (self._advance() | self._carry_out() | self._decide()):
                self._is_still()
                return
        raise BrokenRuleError("statuses are written without end")

    def _decided(self, later: timedelta = timedelta()) -> Decisions:
        self._ahead = later
        symptoms, self._ahead = self.symptoms(), timedelta()
        return self.mind.decide(symptoms, tuple(self.policies.values()), self.history(), self.now + later)

    def _decide(self) -> bool:
        wrote = False
        for name in list(self.policies):
            decisions, policy = self._decided(), self.policies[name]
            self.rules.made(decisions.create, self.scenery())
            self.rules.persisted(policy, decisions.statuses[name], self.now)
            self.events += len(decisions.notices.get(name, ()))
            wrote |= decisions.statuses[name] != policy.status
            self.policies[name] = replace(policy, status=decisions.statuses[name])
            for new in decisions.create:
                if new.policy == name and not self.crashes:
                    self._add(new.name, new.spec)
                    wrote = True
        self.crashes = False
        return wrote

    def _add(self, name: str, spec: RecoveryActionSpec) -> None:
        self.actions[name] = ActionView(
            recovery_scene.NAMESPACE, name, f"uid-{name}", 1, "1", self.now, spec, RecoveryActionStatus()
        )

    def _advance(self) -> bool:
        wrote = False
        for name in list(self.actions):
            action = self.actions[name]
            if action.status.phase.is_over:
                continue
            status = self.mind.advance(action, self._observed(action), self.now).status
            if status.claimed_at is not None and action.status.claimed_at is None:
                self.rules.claimed(action, self.scenery())
            self.rules.helped += status.verified is Verified.HELPED
            wrote |= status != action.status
            self.actions[name] = replace(action, status=status)
        return wrote

    def _observed(self, action: ActionView) -> ActionObserved:
        trigger = action.spec.trigger
        return ActionObserved(
            target=_target(action.target),
            act=self.acts.get(action.uid),
            sign=self._sign(action.target, trigger.symptom) if trigger is not None else None,
            policies=tuple(self.policies.values()),
            symptoms=self.symptoms(),
            history=self.history(),
        )

    def _carry_out(self) -> bool:
        """What targets do with what was claimed."""
        wrote = False
        for action in self.actions.values():
            act, phase = self.acts.get(action.uid), action.status.phase
            if act is None and phase is ActionPhase.CLAIMED and action.spec.action is not Action.NOTIFY:
                self.acts[action.uid] = ActStatus(
                    name=action.name,
                    uid=action.uid,
                    action=action.spec.action,
                    phase=ActPhase.RUNNING,
                    started_at=self.now,
                )
                wrote = True
            elif act is not None and act.phase is ActPhase.RUNNING and self.now - act.started_at >= _TAKES:
                self.acts[action.uid] = act.model_copy(update={"phase": ActPhase.DONE, "ended_at": self.now})
                for (target, symptom), cure in list(self.cures.items()):
                    if target == action.target and cure is action.spec.action:
                        self.signs[target, symptom] = False
                wrote = True
        return wrote

    def _is_still(self) -> None:
        decisions = self._decided()
        due = decisions.next.seconds if isinstance(decisions.next, RequeueAfter) else 7200.0
        for part in (0.5, 0.999):
            later = self._decided(timedelta(seconds=part * due))
            if {n.name for n in later.create} - set(self.actions):
                raise BrokenRuleError(f"something is made {part * due} s later, and the next look is in {due} s")
            for name, policy in self.policies.items():
                if later.statuses[name] != policy.status:
                    raise BrokenRuleError(f"{name} changes {part * due} s later, and the next look is in {due} s")

    def only_decide(self) -> None:
        """The loops of policies run, and those of actions not yet."""
        self.rules.looked(self.scenery())
        self._decide()

    def due(self) -> float | None:
        """Seconds until a loop looks again by itself."""
        waits = [self._decided().next]
        open_ = [a for a in self.actions.values() if not a.status.phase.is_over]
        waits += [self.mind.advance(a, self._observed(a), self.now).next for a in open_]
        running = [a.started_at + _TAKES for a in self.acts.values() if a.phase is ActPhase.RUNNING]
        seconds = [w.seconds for w in waits if isinstance(w, RequeueAfter)]
        seconds += [(at - self.now).total_seconds() for at in running]
        return min((s for s in seconds if s > 0), default=None)

    # what happens

    def change(self, policy: str, **spec: Any) -> None:
        """Its author changes a policy."""
        view = self.policies[policy]
        changed = view.spec.model_copy(update=spec)
        self.policies[policy] = replace(view, spec=changed, generation=view.generation + 1)

    def lose(self, policy: str) -> None:
        """The status of a policy is lost."""
        self.policies[policy] = replace(self.policies[policy], status=RecoveryPolicyStatus())
        self.rules.lost(policy)

    def ask(self, target: TargetKey, action: Action, *, force: bool = False, override: str | None = None) -> None:
        """A person asks for an act."""
        self._asked += 1
        asked = {"target": {"kind": target[0], "name": target[1]}, "action": action, "requestedBy": "eve"}
        how = {"force": force, "overrideReason": override, "verifySeconds": 60}
        self._add(f"asked-{self._asked}", RecoveryActionSpec.model_validate({**asked, **how}))

    def awaits(self) -> list[ActionView]:
        """Actions that wait for a person."""
        asked = (a for a in self.actions.values() if a.spec.approval_required and a.spec.approved is None)
        return [a for a in asked if not a.status.phase.is_over]

    def answer(self, yes: bool) -> None:
        """A person answers everything that waits for that."""
        for action in self.awaits():
            spec = action.spec.model_copy(update={"approved": yes, "approved_by": "eve"})
            self.actions[action.name] = replace(action, spec=spec, generation=2)

    def release(self, bound: Sequence[TargetKey], *, traffic: bool) -> None:
        """A release begins to move."""
        self.moving = [MovingRelease("shop", "shop-7", 7, self.now, frozenset(bound), traffic)]


@cache
def _target(key: TargetKey) -> TargetView:
    return recovery_scene.target(key)


def world(mind: Mind, policies: Mapping[str, tuple[PolicyView, Sequence[TargetKey]]]) -> World:
    """A namespace with these policies, by their names, and what each of them selects."""
    chosen = {name: tuple(sorted(targets)) for name, (_, targets) in policies.items()}
    return World({name: policy for name, (policy, _) in policies.items()}, chosen, mind)
