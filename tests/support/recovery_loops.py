"""A namespace whose loops run in any order, write by write: policies, actions, and targets that carry acts out.

Between any two writes the operator may end: what was not written is lost, and what was is all that it goes on with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.api.conditions import violations
from sophia_operator.api.recovery_action import RecoveryActionSpec
from sophia_operator.api.recovery_action_status import ActionPhase, ActPhase, ActStatus, RecoveryActionStatus
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_values import ACTIONS, Action, Symptom, TargetKind
from sophia_operator.core.decision import RequeueAfter
from sophia_operator.core.recovery.action.values import ActionObserved
from sophia_operator.core.recovery.acts import begun, ended, replaced, tidied, to_begin
from sophia_operator.core.recovery.decision import Decisions, NewAction
from sophia_operator.core.recovery.views import (
    ActionView,
    ActRequest,
    CrashingPod,
    History,
    MovingRelease,
    PolicyView,
    Sign,
    Symptoms,
    SymptomSeen,
    TargetKey,
)
from tests.support import recovery_scene as scene
from tests.support.recovery_rules import Rules, Scenery
from tests.support.recovery_ways import must, one_in_hand, went
from tests.support.recovery_world import Mind
from tests.support.symptom_scene import START

KINDS: Final = {
    TargetKind.CONNECTION_POOL: (Symptom.CONNECTION_LOST, Symptom.SLOW_QUERIES, Symptom.POD_CRASH_LOOP),
    TargetKind.CACHE_TIER: (Symptom.HIGH_MEMORY, Symptom.POD_CRASH_LOOP),
    TargetKind.MODEL_ROUTE: (Symptom.MODEL_TIMEOUT,),
}


@dataclass
class Patient:
    """A target: what it shows, and what acts do to it."""

    key: TargetKey
    signs: dict[Symptom, bool | None]
    value: float = 5.0
    well: bool | None = True
    #: helps, does nothing, makes worse, hangs, refuses, fails
    how: str = "helps"
    acts: list[ActStatus] = field(default_factory=list)
    pods: list[CrashingPod] = field(default_factory=list)
    there: bool = True
    #: How often each act was carried out, by its uid, and acts in whose middle the operator ended.
    done: Counter[str] = field(default_factory=Counter)
    half: set[str] = field(default_factory=set)


@dataclass
class Loops:
    """The namespace."""

    mind: Mind
    policies: dict[str, PolicyView]
    patients: dict[TargetKey, Patient]
    rules: Rules = field(default_factory=Rules)
    now: datetime = START + timedelta(hours=1)
    actions: dict[str, ActionView] = field(default_factory=dict)
    #: What was decided and is still to be created, and by which policy: nobody else decides meanwhile.
    pending: list[NewAction] = field(default_factory=list)
    moving: list[MovingRelease] = field(default_factory=list)
    restarts: Counter[str] = field(default_factory=Counter)
    pods_made: int = 0
    asked: int = 0

    # what is seen

    def signs(self) -> dict[tuple[TargetKey, Symptom], bool | None]:
        """What every target shows."""
        return {(p.key, s): self._present(p, s) for p in self.patients.values() if p.there for s in KINDS[p.key[0]]}

    @staticmethod
    def _present(patient: Patient, symptom: Symptom) -> bool | None:
        return bool(patient.pods) if symptom is Symptom.POD_CRASH_LOOP else patient.signs[symptom]

    def _selected(self) -> dict[str, tuple[TargetKey, ...]]:
        there = tuple(sorted(p.key for p in self.patients.values() if p.there))
        return dict.fromkeys(self.policies, there)

    def _scenery(self) -> Scenery:
        policies, actions = tuple(self.policies.values()), tuple(self.actions.values())
        return Scenery(self.now, policies, self._selected(), self.signs(), actions, (), self.moving)

    def _sign(self, key: TargetKey, symptom: Symptom) -> Sign:
        patient = self.patients[key]
        present = self._present(patient, symptom) if patient.there else None
        return Sign(present, patient.value if present else None, "it is bad" if present else "")

    def symptoms(self) -> Symptoms:
        """As the engine sees them."""
        seen = [
            SymptomSeen(policy.name, key, symptom, self._sign(key, symptom))
            for policy in self.policies.values()
            for key, symptom in self.signs()
            if any(rule.symptom is symptom for rule in policy.spec.rules)
        ]
        return Symptoms(self._selected(), tuple(seen))

    def _history(self) -> History:
        return History(tuple(self.actions.values()), (), tuple(self.moving))

    # loops, one write at a time

    def decided(self) -> Decisions:
        """What the engine says now."""
        return self.mind.decide(self.symptoms(), tuple(self.policies.values()), self._history(), self.now)

    def look(self, name: str) -> bool:
        """The loop of a policy: its status, and then one action after the other. Whether it wrote something."""
        if self.pending:
            return self._create(self.pending.pop(0))
        decisions, policy = self.decided(), self.policies[name]
        self.rules.made([n for n in decisions.create if n.name not in self.actions], self._scenery())
        status = decisions.statuses[name]
        self.rules.persisted(self._of_what_is_there(policy), status, self.now)
        must(not violations(status.conditions, policy.generation), f"conditions of {name}")
        if status.storm is not None and status.storm.quiet_since is None:
            self.rules.stormy[name] = self.now
        self.policies[name] = replace(policy, status=RecoveryPolicyStatus.model_validate(status.to_dict()))
        again = self.decided().statuses[name]
        must(again == self.policies[name].status, f"{name} is written twice for nothing")
        self.pending = [new for new in decisions.create if new.policy == name]
        return status != policy.status or bool(self.pending)

    def _of_what_is_there(self, policy: PolicyView) -> PolicyView:
        """Incidents of what was deleted are over at once."""
        there = [i for i in policy.status.symptoms if self.patients[i.kind, i.name].there]
        return replace(policy, status=policy.status.model_copy(update={"symptoms": there}))

    def _create(self, new: NewAction) -> bool:
        if new.name in self.actions:
            return False
        self._add(new.name, new.spec)
        return True

    def _add(self, name: str, spec: RecoveryActionSpec) -> None:
        # What was deleted and made again is another object.
        self.asked += 1
        uid = f"uid-{self.asked}"
        self.actions[name] = ActionView(scene.NAMESPACE, name, uid, 1, "1", self.now, spec, RecoveryActionStatus())

    def go_on(self, name: str, *, ends: bool = False) -> bool:
        """The loop of an action: its status, and then the pod, unless the operator ends before that."""
        before = self.actions[name]
        decision = self.mind.advance(before, self._observed(before), self.now)
        status = decision.status
        if before.status.phase.is_over:
            must(status == before.status, f"{name} is over, and changes")
            return False
        if status.claimed_at is not None and before.status.claimed_at is None:
            self.rules.claimed(before, self._scenery())
        self.actions[name] = replace(before, status=RecoveryActionStatus.model_validate(status.to_dict()))
        stable = max([10, *(p.spec.stable_seconds for p in self.policies.values())])
        went(before, self.actions[name], decision, self.now, stable)
        one_in_hand(self.actions.values(), before)
        if decision.restart is not None and not ends:
            self._restart(before, decision.restart)
        return status != before.status

    def _observed(self, action: ActionView) -> ActionObserved:
        patient, trigger = self.patients[action.target], action.spec.trigger
        found = scene.target(action.target, patient.well, acts=patient.acts, crashing=patient.pods)
        return ActionObserved(
            target=found if patient.there else None,
            act=next((act for act in patient.acts if act.uid == action.uid), None),
            sign=self._sign(action.target, trigger.symptom) if trigger is not None else None,
            policies=tuple(self.policies.values()),
            symptoms=self.symptoms(),
            history=self._history(),
        )

    def _restart(self, action: ActionView, pod: CrashingPod) -> None:
        patient = self.patients[action.target]
        must(action.status.claimed_at is not None, f"{action.name} deletes a pod before that is written")
        if all(known.uid != pod.uid for known in patient.pods):
            return
        self.restarts[action.uid] += 1
        must(self.restarts[action.uid] == 1, f"{action.name} deletes two pods")
        patient.pods = [known for known in patient.pods if known.uid != pod.uid]
        if patient.how != "helps":
            self.crash_pod(patient.key)

    def treat(self, key: TargetKey, *, ends: bool = False) -> bool:
        """The loop of a target: it writes down what it begins with, and then does it; or the operator ends when it
        is done, before that is written."""
        patient, requests = self.patients[key], self._requests(key)
        if not patient.there:
            return False
        running = next((act for act in patient.acts if act.phase is ActPhase.RUNNING), None)
        if running is None:
            request = to_begin(patient.acts, requests)
            acts = tidied(patient.acts, requests)
            if request is not None:
                must(request.may_begin, f"{request.name} is begun, and is not claimed any more")
                acts = tidied([*acts, begun(request, self.now, subject="all of it")], requests)
            changed, patient.acts = acts != patient.acts, acts
            return changed
        if patient.how == "hangs":
            return False
        if running.uid in patient.half and not ACTIONS[running.action].idempotent:
            done = ended(running, ActPhase.UNKNOWN, "the operator ended in its middle", self.now)
        elif patient.how in ("refuses", "fails"):
            phase = ActPhase.REFUSED if patient.how == "refuses" else ActPhase.FAILED
            done = ended(running, phase, "it cannot be done", self.now)
        else:
            self._carry_out(patient, running)
            if ends:
                patient.half.add(running.uid)
                return True
            done = ended(running, ActPhase.DONE, "", self.now, ["so"])
        patient.acts = replaced(patient.acts, done)
        return True

    def _carry_out(self, patient: Patient, act: ActStatus) -> None:
        patient.done[act.uid] += 1
        again = act.uid in patient.half and ACTIONS[act.action].idempotent
        must(patient.done[act.uid] == 1 or again, f"{act.name} is done {patient.done[act.uid]} times")
        if patient.how == "makes worse":
            patient.value *= 2
        if patient.how == "helps":
            patient.signs |= {s: False for s in patient.signs if s in ACTIONS[act.action].answers}

    def _requests(self, key: TargetKey) -> tuple[ActRequest, ...]:
        return tuple(
            ActRequest(
                name=a.name,
                uid=a.uid,
                action=a.spec.action,
                claimed_at=a.status.claimed_at,
                may_begin=a.status.phase is ActionPhase.CLAIMED and not a.spec.dry_run,
            )
            for a in self.actions.values()
            if a.target == key and a.status.phase.has_acted and a.spec.action not in (Action.NOTIFY, Action.RESTART_POD)
        )

    # what happens

    def crash_pod(self, key: TargetKey) -> None:
        """A pod of it ends again and again."""
        self.pods_made += 1
        self.patients[key].pods.append(CrashingPod("pod", f"pod-{self.pods_made}", 5, "it ends"))

    def operator_ends(self) -> None:
        """What was decided and not written is lost."""
        self.pending = []

    def change(self, name: str, **spec: Any) -> None:
        """Its author changes a policy."""
        view = self.policies[name]
        self.policies[name] = replace(view, spec=view.spec.model_copy(update=spec), generation=view.generation + 1)

    def lose(self, name: str) -> None:
        """The status of a policy is lost."""
        self.policies[name] = replace(self.policies[name], status=RecoveryPolicyStatus())
        self.rules.lost(name)

    def ask(self, key: TargetKey, action: Action, **how: Any) -> None:
        """A person asks for an act."""
        asked = {"target": {"kind": key[0], "name": key[1]}, "action": action, "requestedBy": "eve"}
        spec = RecoveryActionSpec.model_validate({**asked, "verifySeconds": 60, **how})
        self._add(f"asked-{self.asked}", spec)

    def answer(self, name: str, yes: bool) -> bool:
        """A person answers an action, if it waits for that."""
        action = self.actions[name]
        if not action.spec.approval_required or action.spec.approved is not None or action.status.phase.is_over:
            return False
        spec = action.spec.model_copy(update={"approved": yes, "approved_by": "eve"})
        self.actions[name] = replace(action, spec=spec, generation=2)
        return True

    def release(self, bound: Sequence[TargetKey], *, traffic: bool) -> None:
        """A release begins to move."""
        self.moving = [MovingRelease("shop", "shop-7", 7, self.now, frozenset(bound), traffic)]

    # all of it

    def settle(self) -> None:
        """All loops run until none writes anything."""
        for _ in range(40):
            wrote = [self.look(name) for name in self.policies]
            wrote += [self.go_on(name) for name in list(self.actions)]
            wrote += [self.treat(key) for key in self.patients]
            if not any(wrote) and not self.pending:
                return
        raise AssertionError("loops write without end")

    def due(self) -> float | None:
        """Seconds until a loop looks again by itself; None when none does."""
        waits = [self.decided().next]
        waits += [self.mind.advance(a, self._observed(a), self.now).next for a in self.actions.values()]
        seconds = [w.seconds for w in waits if isinstance(w, RequeueAfter)]
        return min((s for s in seconds if s > 0), default=None)
