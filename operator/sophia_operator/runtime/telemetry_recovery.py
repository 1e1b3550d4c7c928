"""Metrics about recovery, from the statuses of policies and actions. Series about a policy go when the policy does;
counts of acts are by namespace, and go with the last policy and action of it."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_action_status import ActionPhase, Verified
from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus, Verdict
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.recovery.views import ActionView

_POLICY: Final = ("namespace", "policy")
_ACT: Final = ("namespace", "action", "symptom")
_SECONDS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
#: Of an action that a person asked for.
_NO_SYMPTOM: Final = "None"

Place = tuple[str, str]


class RecoveryTelemetry:
    """Metrics about recovery, in the operator's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Gauge("sophia_recovery_policies", "RecoveryPolicies that have a loop.", registry=registry)
        self._storm = Gauge(
            "sophia_recovery_storm", "1 while a storm is on, and nobody acts.", _POLICY, registry=registry
        )
        self._gave_up = Gauge(
            "sophia_recovery_gave_up", "Incidents whose last step did not help.", _POLICY, registry=registry
        )
        self._held = Gauge(
            "sophia_recovery_breaker_open", "Incidents that wait for an open breaker.", _POLICY, registry=registry
        )
        self._open = Gauge("sophia_recovery_incidents", "Incidents that are open.", _POLICY, registry=registry)
        self._targets = Gauge("sophia_recovery_targets", "Objects that are selected.", _POLICY, registry=registry)
        self._sick = Gauge(
            "sophia_recovery_symptomatic_targets", "Selected objects that show symptoms.", _POLICY, registry=registry
        )
        self._acts = Counter(
            "sophia_recovery_acts",
            "Acts that ended: Helped, NoChange, Worse, Done (as a person asked), Failed or Unknown.",
            (*_ACT, "result"),
            registry=registry,
        )
        self._false = Counter(
            "sophia_recovery_false_fires",
            "Acts whose symptom was gone before they could have had an effect.",
            _ACT,
            registry=registry,
        )
        self._again = Counter(
            "sophia_recovery_recurrences",
            "Acts whose symptom had been answered within the hour before.",
            _ACT,
            registry=registry,
        )
        self._seconds = Histogram(
            "sophia_recovery_seconds",
            "Time from the first sign of a symptom until an act was verified to have helped.",
            _ACT,
            buckets=_SECONDS,
            registry=registry,
        )
        self._waiting = Gauge(
            "sophia_recovery_awaiting_approval", "Actions that wait for a person.", ("namespace",), registry=registry
        )
        #: Actions that wait for approval.
        self._awaiting: set[Place] = set()
        self._policies: set[Place] = set()
        #: Labels of counters that were begun.
        self._begun: set[tuple[str, str, str]] = set()
        self._actions: set[Place] = set()

    def started(self) -> None:
        """A policy has a loop now."""
        self._count.inc()

    def policy_seen(self, namespace: str, name: str, spec: RecoveryPolicySpec, status: RecoveryPolicyStatus) -> None:
        """A policy is as its spec and status say."""
        place = (namespace, name)
        self._policies.add(place)
        self._begin(namespace, spec)
        self._storm.labels(*place).set(1 if status.storm is not None else 0)
        self._gave_up.labels(*place).set(sum(s.verdict is Verdict.GAVE_UP for s in status.symptoms))
        self._held.labels(*place).set(sum(s.reason == Reason.BREAKER_OPEN.value for s in status.symptoms))
        self._open.labels(*place).set(len(status.symptoms))
        self._targets.labels(*place).set(status.targets)
        self._sick.labels(*place).set(status.symptomatic)

    def _begin(self, namespace: str, spec: RecoveryPolicySpec) -> None:
        """Counters of acts that the policy may do begin at 0 before the first: `increase` does not see how a series
        begins, and would miss that act."""
        for rule in spec.rules:
            for step in rule.escalation:
                labels = (namespace, step.action.value, rule.symptom.value)
                if step.action is Action.NOTIFY or labels in self._begun:
                    continue
                self._begun.add(labels)
                for result in _ENDS:
                    self._acts.labels(*labels, result)
                self._false.labels(*labels)
                self._again.labels(*labels)
                self._seconds.labels(*labels)

    def forget_policy(self, namespace: str, name: str) -> None:
        """A policy is gone."""
        self._count.dec()
        self._policies.discard((namespace, name))
        for gauge in (self._storm, self._gave_up, self._held, self._open, self._targets, self._sick):
            gauge.remove_by_labels({"namespace": namespace, "policy": name})
        self._tidy(namespace)

    def action_seen(self, action: ActionView) -> None:
        """An action is as its status says, also when nobody has written it for long, as after a restart."""
        place = (action.namespace, action.name)
        self._actions.add(place)
        waits = action.status.phase is ActionPhase.AWAITING_APPROVAL
        (self._awaiting.add if waits else self._awaiting.discard)(place)
        self._set_waiting(action.namespace)

    def action_changed(self, before: ActionView, after: ActionView) -> None:
        """An action's status was written."""
        self.action_seen(after)
        was, now = before.status, after.status
        if was.phase is now.phase or after.spec.dry_run or after.spec.action is Action.NOTIFY:
            return
        labels = _labels(after)
        if now.claimed_at is not None and was.claimed_at is None and now.recurrence:
            self._again.labels(*labels).inc()
        if now.started_at is not None and was.started_at is None and now.false_fire:
            self._false.labels(*labels).inc()
        if not now.phase.is_over or now.claimed_at is None:
            return
        result = now.verified.value if now.verified is not None else _RESULTS.get(now.phase, now.phase.value)
        self._acts.labels(*labels, result).inc()
        if now.verified is Verified.HELPED and after.spec.trigger is not None and now.ended_at is not None:
            self._seconds.labels(*labels).observe(max(0.0, (now.ended_at - after.spec.trigger.since).total_seconds()))

    def forget_action(self, namespace: str, name: str) -> None:
        """An action is gone."""
        self._awaiting.discard((namespace, name))
        self._actions.discard((namespace, name))
        self._set_waiting(namespace)
        self._tidy(namespace)

    def _set_waiting(self, namespace: str) -> None:
        waiting = sum(space == namespace for space, _ in self._awaiting)
        if waiting or any(space == namespace for space, _ in self._policies):
            self._waiting.labels(namespace).set(waiting)
        else:
            self._waiting.remove_by_labels({"namespace": namespace})

    def _tidy(self, namespace: str) -> None:
        """With its last policy and action a namespace has no series any more."""
        if any(space == namespace for space, _ in (*self._policies, *self._actions)):
            return
        for metric in (self._acts, self._false, self._again, self._seconds, self._waiting):
            metric.remove_by_labels({"namespace": namespace})
        self._begun = {labels for labels in self._begun if labels[0] != namespace}


#: How an act of a policy ends.
_ENDS: Final = tuple(end.value for end in (*Verified, ActionPhase.FAILED, ActionPhase.UNKNOWN))
_RESULTS: Final = {ActionPhase.SUCCEEDED: "Done"}


def _labels(action: ActionView) -> tuple[str, str, str]:
    trigger = action.spec.trigger
    symptom = trigger.symptom.value if trigger is not None else _NO_SYMPTOM
    return action.namespace, action.spec.action.value, symptom
