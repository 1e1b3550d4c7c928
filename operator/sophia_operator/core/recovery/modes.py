"""What may be done without a person, and whose ladder is climbed when several policies answer one symptom."""

from __future__ import annotations

from collections.abc import Iterable

from sophia_operator.api.recovery_policy import RecoveryPolicySpec, Rule
from sophia_operator.api.recovery_values import ACTIONS, STRICTNESS, Action, Mode


def mode_of(spec: RecoveryPolicySpec, rule: Rule, action: Action) -> Mode:
    """The mode of an action: the rule's, else the policy's, else the action's own."""
    return rule.mode or spec.mode or ACTIONS[action].mode


def strictest(modes: Iterable[Mode]) -> Mode:
    """The strictest of several; Auto of none."""
    return min(modes, key=STRICTNESS.index, default=Mode.AUTO)


def strictness(spec: RecoveryPolicySpec, rule: Rule) -> int:
    """How strict the policy is about a symptom, 0 for the strictest: by its mode for the first step of its ladder."""
    return STRICTNESS.index(mode_of(spec, rule, rule.escalation[0].action))
