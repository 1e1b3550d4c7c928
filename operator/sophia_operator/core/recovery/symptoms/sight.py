"""What checks ask of a target, and the answers that they give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sophia_operator.api.conditions import Condition, ConditionStatus, ConditionType, find
from sophia_operator.api.recovery_policy import Rule
from sophia_operator.core.recovery.views import Sign, TargetView

#: A pure function of the target, of the rule that asks, and of the time.
Check = Callable[[TargetView, Rule, datetime], Sign]

NOT_SEEN: Final = Sign(None, message="the object was not looked at yet, or not since its spec changed")


def said(target: TargetView, kind: ConditionType) -> Condition | None:
    """What the condition says of the target as its spec is now; None when it says nothing, or speaks of a spec of
    before, with other servers and other limits."""
    found = find(target.status.conditions, kind)
    if found is None or found.observed_generation < target.generation or found.status is ConditionStatus.UNKNOWN:
        return None
    return found


def holds(target: TargetView, kind: ConditionType) -> bool | None:
    """Whether the condition is true; None when it says nothing."""
    found = said(target, kind)
    return None if found is None else found.status is ConditionStatus.TRUE


def absent(message: str = "") -> Sign:
    """It is not there."""
    return Sign(False, message=message)


def unknown(why: str) -> Sign:
    """It cannot be told."""
    return Sign(None, message=why)
