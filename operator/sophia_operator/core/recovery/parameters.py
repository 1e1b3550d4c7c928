"""Parameters of an act, by its step and its rule."""

from __future__ import annotations

from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_policy import Rule, Step
from sophia_operator.api.recovery_values import Action


def parameters_of(step: Step, rule: Rule) -> Parameters:
    """Those of the step. What a rule calls slow is what its act ends, unless the step says otherwise: a statement that
    made the symptom must not be too young for the act."""
    if step.action is not Action.CANCEL_STATEMENT or step.parameters.min_seconds is not None:
        return step.parameters
    return step.parameters.model_copy(update={"min_seconds": rule.threshold_seconds})
