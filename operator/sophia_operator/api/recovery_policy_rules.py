"""What must hold in a RecoveryPolicy beyond types: as CEL rules, and as checks that say the same offline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sophia_operator.api.recovery_parameters import TAKERS, problem_of_parameters, rule_of_parameters
from sophia_operator.api.recovery_values import ACTIONS, SYMPTOM_KINDS, Mode, Symptom, TargetKind

if TYPE_CHECKING:
    from sophia_operator.api.recovery_policy import RecoveryPolicySpec, Rule

#: By the symptom: the actions that may answer it.
ANSWERS: Final = {s.value: [a.value for a, facts in ACTIONS.items() if s in facts.answers] for s in Symptom}
_KINDS: Final = {s.value: sorted(k.value for k in SYMPTOM_KINDS[s]) for s in Symptom}
_DELETES: Final = [a.value for a, facts in ACTIONS.items() if facts.deletes_data]


def _table(table: dict[str, list[str]], verb: str) -> str:
    return "; ".join(f"{symptom} {verb} {', '.join(words)}" for symptom, words in table.items())


_ANSWER: Final = f"escalation names an action that does not answer the symptom: {_table(ANSWERS, 'takes')}"
_PARAMETER: Final = f"escalation has a parameter that its action does not know: {TAKERS}"
_PERCENT: Final = "thresholdPercent is of HighMemory alone"
_SECONDS: Final = "thresholdSeconds is of SlowQueries alone"
_KIND: Final = f"rules has a symptom that no kind in targets can show: {_table(_KINDS, 'is of')}"
_EVERYTHING: Final = (
    "a policy that selects every CacheTier and deletes data in mode Auto needs iUnderstand: DeletesData; "
    "or select caches by names or matchLabels"
)
_COOLDOWN: Final = "cooldownSeconds must be at most maxCooldownSeconds"
#: A label of actions has it as its value.
MAX_POLICY_NAME: Final = 63
POLICY_NAME: Final = f"name must be at most {MAX_POLICY_NAME} characters, since actions carry it as a label"


def _cel(value: object) -> str:
    """A literal of CEL."""
    return json.dumps(value)


#: On a rule.
RULE: Final = (
    (f"self.escalation.all(step, step.action in {_cel(ANSWERS)}[self.symptom])", _ANSWER),
    (f"self.escalation.all(step, {rule_of_parameters('step')})", _PARAMETER),
    ("!has(self.thresholdPercent) || self.symptom == 'HighMemory'", _PERCENT),
    ("!has(self.thresholdSeconds) || self.symptom == 'SlowQueries'", _SECONDS),
)
#: On the whole object.
OBJECT: Final = ((f"self.metadata.name.size() <= {MAX_POLICY_NAME}", POLICY_NAME),)
#: On the spec.
POLICY: Final = (
    (
        f"self.rules.all(rule, self.targets.exists(target, target.kind in {_cel(_KINDS)}[rule.symptom]))",
        _KIND,
    ),
    (
        "has(self.iUnderstand) || !self.targets.exists(t, t.kind == 'CacheTier' && "
        "(!has(t.names) || t.names.size() == 0) && (!has(t.matchLabels) || t.matchLabels.size() == 0)) || "
        "!self.rules.exists(rule, (has(rule.mode) ? rule.mode : (has(self.mode) ? self.mode : '')) == 'Auto' && "
        f"rule.escalation.exists(step, step.action in {_cel(_DELETES)}))",
        _EVERYTHING,
    ),
    ("self.cooldownSeconds <= self.maxCooldownSeconds", _COOLDOWN),
)


def problem_of_rule(rule: Rule) -> str | None:
    """What is wrong with a rule; None when nothing is."""
    if any(step.action.value not in ANSWERS[rule.symptom.value] for step in rule.escalation):
        return _ANSWER
    if any(problem_of_parameters(step.action, step.parameters) for step in rule.escalation):
        return _PARAMETER
    if rule.threshold_percent is not None and rule.symptom is not Symptom.HIGH_MEMORY:
        return _PERCENT
    if rule.threshold_seconds is not None and rule.symptom is not Symptom.SLOW_QUERIES:
        return _SECONDS
    return None


def problem_of_policy(spec: RecoveryPolicySpec) -> str | None:
    """What is wrong with a policy as a whole; None when nothing is."""
    kinds = {target.kind for target in spec.targets}
    if any(not kinds & SYMPTOM_KINDS[rule.symptom] for rule in spec.rules):
        return _KIND
    everything = any(t.kind is TargetKind.CACHE_TIER and not t.names and not t.match_labels for t in spec.targets)
    deletes = any(
        (rule.mode or spec.mode) is Mode.AUTO and any(ACTIONS[step.action].deletes_data for step in rule.escalation)
        for rule in spec.rules
    )
    if everything and deletes and spec.i_understand is None:
        return _EVERYTHING
    if spec.cooldown_seconds > spec.max_cooldown_seconds:
        return _COOLDOWN
    return None
