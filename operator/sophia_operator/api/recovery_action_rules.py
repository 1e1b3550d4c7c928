"""What must hold in a RecoveryAction beyond types: as CEL rules, and as checks that say the same offline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sophia_operator.api.recovery_parameters import TAKERS, problem_of_parameters, rule_of_parameters
from sophia_operator.api.recovery_values import ACTIONS, TargetKind

if TYPE_CHECKING:
    from sophia_operator.api.recovery_action import RecoveryActionSpec

_KINDS: Final = {a.value: sorted(k.value for k in facts.kinds) for a, facts in ACTIONS.items()}

_HAS: Final = {k.value: ", ".join(a.value for a, facts in ACTIONS.items() if k in facts.kinds) for k in TargetKind}

_KIND: Final = f"action is not one for target.kind: {'; '.join(f'{kind} has {has}' for kind, has in _HAS.items())}"
_PARAMETER: Final = f"parameters has one that the action does not know: {TAKERS}"
_WHO: Final = "requestedBy is needed where there is no trigger: `kubectl sophia recover` fills it in"
_BY_WHOM: Final = "approved needs approvedBy: `kubectl sophia recovery approve` fills it in"
_OVERRIDE: Final = "overrideReason needs force"
_PERSON: Final = "force is for actions that a person asks for, without a trigger"
#: In the ValidatingAdmissionPolicy in the same words.
ELSEWHERE: Final = "target.namespace must be the action's own namespace, or left out: it acts on objects beside it"
_FIXED: Final = (
    "what is to be done is immutable: only approved and approvedBy change, once; make another RecoveryAction instead"
)

_FIELDS: Final = (
    "target",
    "action",
    "parameters",
    "trigger",
    "requestedBy",
    "reason",
    "approvalRequired",
    "dryRun",
    "force",
    "overrideReason",
    "verifySeconds",
)


def _same(field: str) -> str:
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


#: On the spec.
ACTION_SPEC: Final = (
    (f"self.target.kind in {json.dumps(_KINDS)}[self.action]", _KIND),
    (rule_of_parameters("self"), _PARAMETER),
    ("has(self.trigger) || has(self.requestedBy)", _WHO),
    ("has(self.approved) == has(self.approvedBy)", _BY_WHOM),
    ("!has(self.overrideReason) || self.force", _OVERRIDE),
    ("!self.force || !has(self.trigger)", _PERSON),
    (" && ".join(f"({_same(field)})" for field in _FIELDS), _FIXED),
    (
        "!has(oldSelf.approved) || (has(self.approved) && self.approved == oldSelf.approved "
        "&& self.approvedBy == oldSelf.approvedBy)",
        _FIXED,
    ),
)


def problem_of_action(spec: RecoveryActionSpec) -> str | None:
    """What is wrong with an action; None when nothing is."""
    if spec.target.kind not in ACTIONS[spec.action].kinds:
        return _KIND
    if problem_of_parameters(spec.action, spec.parameters):
        return _PARAMETER
    checks = (
        (spec.trigger is None and spec.requested_by is None, _WHO),
        ((spec.approved is None) != (spec.approved_by is None), _BY_WHOM),
        (spec.override_reason is not None and not spec.force, _OVERRIDE),
        (spec.force and spec.trigger is not None, _PERSON),
    )
    return next((message for wrong, message in checks if wrong), None)
