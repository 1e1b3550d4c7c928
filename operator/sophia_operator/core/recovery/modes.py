"""What may be done without a person, and whose ladder is climbed when several policies answer one symptom."""

from __future__ import annotations

from collections.abc import Iterable

from sophia_operator.api.recovery_policy import RecoveryPolicySpec, Rule
from sophia_operator.api.recovery_values import ACTIONS, STRICTNESS, Action, Mode, Symptom
from sophia_operator.core.recovery.track import rule_of
from sophia_operator.core.recovery.views import PolicyView


def mode_of(spec: RecoveryPolicySpec, rule: Rule, action: Action) -> Mode:
    """The mode of an action: the rule's, else the policy's, else the action's own."""
    return rule.mode or spec.mode or ACTIONS[action].mode


def strictest_mode(policies: Iterable[PolicyView], symptom: Symptom, action: Action) -> tuple[Mode, str] | None:
    """The strictest mode of that action among all of the policies that answer the symptom, and whose it is; None when
    none answers it. One that does not see the symptom yet, by its threshold, is asked too: it is no less strict."""
    modes = [
        (mode_of(policy.spec, rule, action), policy.name)
        for policy in policies
        if (rule := rule_of(policy, symptom)) is not None
    ]
    return min(modes, key=lambda found: STRICTNESS.index(found[0]), default=None)


def is_stricter(mode: Mode, other: Mode) -> bool:
    """Whether the first of two modes allows less."""
    return STRICTNESS.index(mode) < STRICTNESS.index(other)


def strictness(spec: RecoveryPolicySpec, rule: Rule) -> int:
    """How strict the policy is about a symptom, 0 for the strictest: by its mode for the first step of its ladder."""
    return STRICTNESS.index(mode_of(spec, rule, rule.escalation[0].action))
