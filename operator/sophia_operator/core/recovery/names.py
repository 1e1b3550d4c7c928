"""Names of RecoveryActions that the operator makes."""

from __future__ import annotations

import hashlib
from typing import Final

from sophia_operator.api.recovery_policy_status import SymptomStatus
from sophia_operator.api.recovery_values import Action

#: With all of an action's name and a hash, at most 63 characters.
_LONGEST_TARGET: Final = 30


def action_name(policy: str, incident: SymptomStatus, action: Action, number: int) -> str:
    """The name of the act of that number in an incident: made again, it is the same."""
    told = "/".join((policy, incident.kind, incident.name, incident.symptom, incident.since.isoformat(), str(number)))
    target = incident.name.replace(".", "-")[:_LONGEST_TARGET].strip("-")
    return f"{target}-{action.value.lower()}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
