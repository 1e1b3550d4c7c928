"""What `kubectl sophia model pin` and `unpin` write into a ModelRoute. Pure; refusals say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sophia_operator.api.model_route import ModelRoute
from sophia_operator.cli.guard import unchanged, untouched
from sophia_operator.cli.session import CliError, NothingToDoError
from sophia_operator.cli.steer import gitops_owner, said_by
from sophia_operator.core.model.names import ANNOTATION_PIN_REASON

_NOTE: Final = "/metadata/annotations/" + ANNOTATION_PIN_REASON.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class PinOrder:
    """A change of a ModelRoute."""

    operations: Sequence[Mapping[str, Any]]
    follows: str
    #: Who keeps the object as Git says, and will undo this.
    owner: str | None


def pin(route: ModelRoute, model: str, reason: str | None, user: str, now: datetime) -> PinOrder:
    """That model serves, whatever the evidence says."""
    name, models = str(route.metadata.get("name", "")), [m.name for m in route.spec.models]
    if model not in models:
        raise CliError(f"ModelRoute {name} has no model {model}; it has {', '.join(models)}")
    if route.spec.pin == model:
        raise NothingToDoError(f"{name} is pinned to {model} already{_because(route)}")
    if route.status.active == model and route.status.switch is None:
        follows = f"{model} serves, and stays until kubectl sophia model unpin {name}"
    else:
        follows = f"all requests go to {model} at once, until kubectl sophia model unpin {name}"
    seen = next((m for m in route.status.models if m.name == model), None)
    if seen is not None and not seen.eligible:
        follows += f"; mind that it is {seen.state.value}: {seen.message or seen.reason or 'no reason given'}"
    change = {"op": "add", "path": "/spec/pin", "value": model}
    noted = _noted(route, said_by(reason, user, now))
    return PinOrder([unchanged(route.metadata), *noted, change], follows, gitops_owner({"metadata": route.metadata}))


def unpin(route: ModelRoute) -> PinOrder:
    """The evidence decides again."""
    name = str(route.metadata.get("name", ""))
    if route.spec.pin is None:
        raise NothingToDoError(f"{name} is not pinned: the evidence decides")
    best, active = route.status.best, route.status.active
    follows = f"{active} goes on serving, and the evidence decides" if active else "the evidence decides"
    if best is not None and active is not None and best != active:
        manual = "; failback.manual is set, so nothing moves by itself" if route.spec.failback.manual else ""
        follows = f"{active} serves on; {best} ranks first, and gets the traffic by stages once it may{manual}"
    operations = [unchanged(route.metadata), {"op": "remove", "path": "/spec/pin"}]
    if pinned_because(route) is not None:
        operations.append({"op": "remove", "path": _NOTE})
    return PinOrder(operations, follows, gitops_owner({"metadata": route.metadata}))


def pinned_because(route: ModelRoute) -> str | None:
    """Why somebody pinned it, as they said; None when they did not."""
    found = (route.metadata.get("annotations") or {}).get(ANNOTATION_PIN_REASON)
    return str(found) if found else None


def _because(route: ModelRoute) -> str:
    reason = pinned_because(route)
    return f": {reason}" if reason else ""


def _noted(route: ModelRoute, note: str) -> list[Mapping[str, Any]]:
    """Why, for those who read it later."""
    if route.metadata.get("annotations") is None:
        # Else it would replace an annotation that somebody gives it just now.
        first = {"op": "add", "path": "/metadata/annotations", "value": {ANNOTATION_PIN_REASON: note}}
        return [untouched(route.metadata), first]
    # Also replaces what is there.
    return [{"op": "add", "path": _NOTE, "value": note}]
