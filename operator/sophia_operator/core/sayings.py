"""What conditions say, before they are written: the same for pools and for caches."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_operator.api.conditions import Author, Condition, ConditionStatus, ConditionType, Reason, find

#: A reason, and a message that says what to do.
Why = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Saying:
    """What a condition says."""

    status: ConditionStatus
    reason: Reason
    message: str


def put(author: Author, out: list[Condition], kind: ConditionType, saying: Saying) -> list[Condition]:
    """The list with the condition in it."""
    return author.put(out, kind, (saying.reason, saying.message), saying.status)


def as_before(author: Author, kind: ConditionType) -> Saying:
    """What nothing new is known of stays as it was: an operator that starts anew knows no worse."""
    old = find(author.before, kind)
    if old is None:
        return Saying(ConditionStatus.UNKNOWN, Reason.NOT_CHECKED, "not checked yet")
    return Saying(old.status, Reason(old.reason), old.message)
