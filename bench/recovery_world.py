"""A namespace in memory, whose engine and actions run as the operator's loops run them, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from bench.recovery_traces import TARGETS, Fault, Trace
from sophia_operator.api.conditions import Condition, ConditionStatus
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.recovery_action_status import ActionPhase, ActPhase, ActStatus, RecoveryActionStatus
from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_values import Action, Symptom, TargetKind
from sophia_operator.core.recovery.action.advance import advance_action
from sophia_operator.core.recovery.action.values import ActionObserved
from sophia_operator.core.recovery.decide import decide
from sophia_operator.core.recovery.views import (
    ActionView,
    History,
    PolicyView,
    Sign,
    Symptoms,
    SymptomSeen,
    TargetKey,
    TargetView,
)

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
LADDER: Final = (Action.CANCEL_STATEMENT, Action.REFRESH_PLANS)
_SYMPTOM: Final = Symptom.SLOW_QUERIES
_POLICY: Final = "bench"
_POOL: Final = ConnectionPoolSpec.model_validate(
    {"database": {"host": "pg", "name": "app", "credentialsSecretRef": {"name": "pg"}}}
)
_SPEC: Final = RecoveryPolicySpec.model_validate(
    {
        "targets": [{"kind": "ConnectionPool"}],
        "mode": "Auto",
        "rules": [
            {
                "symptom": _SYMPTOM.value,
                "forSeconds": 30,
                "clearSeconds": 30,
                "escalation": [{"action": action.value, "timeoutSeconds": 60} for action in LADDER],
            }
        ],
    }
)
#: So long after the claim the target's own loop begins with an act.
BEGINS_SECONDS: Final = 1.0
#: Ended actions are looked back on for an hour, and for ladders as long as their incident is open.
_KEPT: Final = timedelta(hours=2)


@dataclass
class Acted:
    """One act of the trace."""

    target: int
    claimed: float
    began: float
    in_storm: bool
    verified: str | None = None
    #: Position in the trace of the fault that was there as it was claimed.
    fault: int | None = None
    #: Whether that went by itself before the act was done, as the trace knows.
    false_fire: bool = False
    #: Whether the operator said so: it sees only what was gone before the act began.
    told_false: bool = False


@dataclass
class World:
    """The namespace, second by second."""

    trace: Trace
    now: float = 0.0
    policy: PolicyView = field(
        default_factory=lambda: PolicyView("bench", _POLICY, "p", 1, "1", START, _SPEC, RecoveryPolicyStatus())
    )
    actions: dict[str, ActionView] = field(default_factory=dict)
    acts: dict[str, Acted] = field(default_factory=dict)
    #: When faults went, by their position in the trace.
    cured: dict[int, float] = field(default_factory=dict)
    status_writes: int = 0
    decisions: int = 0
    recovered: list[float] = field(default_factory=list)
    gave_up: int = 0

    def run(self) -> None:
        """All of it, a look each second while anything is going on."""
        while self.now < self.trace.seconds:
            self._look()
            self.now += 1.0
            if not self.policy.status.symptoms and not self._open() and not self._current():
                # Nothing happens until the next fault begins.
                later = [f.begins for f in self.trace.faults if f.begins > self.now]
                self.now = max(self.now, float(int(min(later, default=self.trace.seconds))))

    @property
    def at(self) -> datetime:
        """The time, as the engine sees it."""
        return START + timedelta(seconds=self.now)

    def _current(self) -> dict[int, tuple[int, Fault]]:
        """Faults that are there now, by their target."""
        out: dict[int, tuple[int, Fault]] = {}
        for number, fault in enumerate(self.trace.faults):
            if fault.begins <= self.now < min(fault.ends, self.cured.get(number, float("inf"))):
                out[fault.target] = (number, fault)
        return out

    def _open(self) -> list[ActionView]:
        return [a for a in self.actions.values() if not a.status.phase.is_over]

    def _look(self) -> None:
        current = self._current()
        symptoms = _symptoms(current, self.now)
        self.decisions += 1
        decisions = decide(symptoms, (self.policy,), self._history(), self.at)
        status = decisions.statuses[_POLICY]
        if status != self.policy.status:
            self.status_writes += 1
            given_up = {(s.name, s.since) for s in self.policy.status.symptoms if s.verdict.value == "GaveUp"}
            self.gave_up += sum(
                s.verdict.value == "GaveUp" and (s.name, s.since) not in given_up for s in status.symptoms
            )
            self.policy = replace(self.policy, status=status)
        for new in decisions.create:
            view = ActionView("bench", new.name, new.name, 1, "1", self.at, new.spec, RecoveryActionStatus())
            self.actions.setdefault(new.name, view)
        for action in self._open():
            self._advance(action, symptoms, current)
        self.actions = {
            name: a
            for name, a in self.actions.items()
            if not a.status.phase.is_over or a.status.ended_at is None or self.at - a.status.ended_at < _KEPT
        }

    def _history(self) -> History:
        return History(tuple(self.actions.values()))

    def _advance(self, action: ActionView, symptoms: Symptoms, current: dict[int, tuple[int, Fault]]) -> None:
        number = int(action.spec.target.name.removeprefix("pool-"))
        fault = current.get(number)
        observed = ActionObserved(
            target=_target(number),
            act=self._carried_out(action, fault),
            sign=next((s.sign for s in symptoms.seen if s.target == action.target), None),
            policies=(self.policy,),
            symptoms=symptoms,
            history=self._history(),
        )
        status = advance_action(action, observed, self.at).status
        if status == action.status:
            return
        self.status_writes += 1
        self.actions[action.name] = replace(action, status=status)
        if status.claimed_at is not None and action.status.claimed_at is None:
            trigger = action.spec.trigger
            began = (trigger.since - START).total_seconds() if trigger is not None else self.now
            stormy = any(first <= self.now <= last for first, last in self.trace.storms)
            self.acts[action.name] = Acted(number, self.now, began, stormy, fault=fault[0] if fault else None)
        if status.phase.is_over and action.name in self.acts:
            act = self.acts[action.name]
            act.verified = status.verified.value if status.verified is not None else status.phase.value
            act.told_false = status.false_fire
            if act.verified == "Helped":
                self.recovered.append(self.now - act.began)

    def _carried_out(self, action: ActionView, fault: tuple[int, Fault] | None) -> ActStatus | None:
        """What the target says: it begins with what was claimed, and is done after the time that this takes."""
        claimed = action.status.claimed_at
        if claimed is None or action.status.phase not in (ActionPhase.CLAIMED, ActionPhase.RUNNING):
            return None
        begun = claimed + timedelta(seconds=BEGINS_SECONDS)
        if self.at < begun:
            return None
        takes = fault[1].takes if fault is not None else 1.0
        done = (self.at - begun).total_seconds() >= takes
        if done:
            act = self.acts[action.name]
            act.false_fire = fault is None or fault[0] != act.fault
        if done and fault is not None and fault[1].cured_by is not None:
            number, what = fault
            if LADDER.index(action.spec.action) >= (what.cured_by or 0):
                self.cured.setdefault(number, self.now)
        return ActStatus(
            name=action.name,
            uid=action.uid,
            action=action.spec.action,
            phase=ActPhase.DONE if done else ActPhase.RUNNING,
            started_at=begun,
            ended_at=self.at if done else None,
        )


def _symptoms(current: dict[int, tuple[int, Fault]], now: float) -> Symptoms:
    keys: tuple[TargetKey, ...] = tuple((TargetKind.CONNECTION_POOL, f"pool-{n}") for n in range(TARGETS))
    signs = (
        Sign(True, now - current[n][1].begins, "a statement runs for long", ages=True) if n in current else Sign(False)
        for n in range(TARGETS)
    )
    return Symptoms(
        {_POLICY: keys}, tuple(SymptomSeen(_POLICY, k, _SYMPTOM, s) for k, s in zip(keys, signs, strict=True))
    )


def _target(number: int) -> TargetView:
    """Statements that run for long leave the pool ready, and its role right."""
    conditions = [
        Condition(
            type=kind, status=ConditionStatus.TRUE, observed_generation=1, last_transition_time=START, reason="Ok"
        )
        for kind in ("Ready", "Healthy", "RoleCorrect")
    ]
    status = ConnectionPoolStatus(observed_generation=1, conditions=conditions)
    name = f"pool-{number}"
    return TargetView(TargetKind.CONNECTION_POOL, "bench", name, name, 1, {}, _POOL, status)
