"""What RecoveryActions and moving Releases are found by, and what of objects matters to recovery. Read from objects as
they are, so that nothing needs to be parsed for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_values import Action, TargetKind
from sophia_operator.api.release import ReleaseState

#: Kinds that are acted on, by their names.
TARGET_KINDS: Final = tuple(kind.value for kind in TargetKind)

#: Something was done, or may have been.
ACTED: Final = frozenset(phase.value for phase in ActionPhase if phase.has_acted)
#: Claimed, and not over.
ACTING: Final = frozenset(phase.value for phase in ActionPhase if phase.has_acted and not phase.is_over)
_MOVING: Final = frozenset(state.value for state in ReleaseState if state.is_active)
_HOUR_MS: Final = 3_600_000
_TIME: Final = TypeAdapter(datetime)


def target_mark(namespace: str, kind: str, name: str) -> str:
    """What stands for RecoveryActions about that object."""
    return f"{kind}/{namespace}/{name}"


def acting_mark(namespace: str) -> str:
    """What stands for RecoveryActions of the namespace that are under way."""
    return f"acting/{namespace}"


def moving_mark(namespace: str) -> str:
    """What stands for Releases of the namespace that are under way."""
    return f"moving/{namespace}"


def milliseconds(at: datetime) -> int:
    """Since 1970."""
    return int(at.timestamp() * 1000)


def moment(at: int) -> datetime:
    """The reverse of `milliseconds`."""
    return datetime.fromtimestamp(at / 1000, UTC)


def claim_marks(since: datetime, now: datetime) -> Iterator[str]:
    """What stands for RecoveryActions that were claimed between these times. One hour more is in it: clocks differ."""
    for hour in range(milliseconds(since) // _HOUR_MS, milliseconds(now) // _HOUR_MS + 2):
        yield _claimed_mark(hour)


def claim(action: Mapping[str, Any]) -> int | None:
    """When it was claimed, if it counts against budgets: a dry run and a message do not."""
    spec, claimed_at = _part(action, "spec"), _part(action, "status").get("claimedAt")
    if claimed_at is None or spec.get("dryRun") or spec.get("action") == Action.NOTIFY.value:
        return None
    at = time_of(claimed_at)
    return milliseconds(at) if at is not None else None


def target_of(action: Mapping[str, Any]) -> tuple[str, str] | None:
    """Kind and name of what a RecoveryAction is about; None when that is in another namespace, or cannot be read."""
    target = _part(action, "spec").get("target") or {}
    namespace = action["metadata"].get("namespace", "")
    kind, name = target.get("kind"), target.get("name")
    if not isinstance(kind, str) or not isinstance(name, str) or target.get("namespace", namespace) != namespace:
        return None
    return kind, name


def phase_of(action: Mapping[str, Any]) -> str:
    """Where a RecoveryAction is."""
    return str(_part(action, "status").get("phase") or ActionPhase.PENDING.value)


def marks_of(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """What a RecoveryAction is found by beside its target: that it is under way, and the hour in which it was claimed;
    of a Release, that it moves."""
    kind, namespace, out = obj["kind"], obj["metadata"].get("namespace", ""), list[str]()
    if kind == "Release" and is_moving(obj):
        out.append(moving_mark(namespace))
    if kind == "RecoveryAction":
        if phase_of(obj) in ACTING:
            out.append(acting_mark(namespace))
        claimed = claim(obj)
        if claimed is not None:
            out.append(_claimed_mark(claimed // _HOUR_MS))
    return tuple(out)


def is_moving(release: Mapping[str, Any]) -> bool:
    """Whether its rollout is under way."""
    return _part(release, "status").get("state") in _MOVING


def time_of(value: object) -> datetime | None:
    """A time as objects have it; None when it is none."""
    try:
        found = _TIME.validate_python(value)
    except ValidationError:
        return None
    return found if found.tzinfo is not None else None


def _claimed_mark(hour: int) -> str:
    return f"claimed/{hour}"


def _part(obj: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = obj.get(name)
    return part if isinstance(part, Mapping) else {}
