"""What `kubectl sophia recover` and `recovery approve|reject|pause|resume` write. Pure; refusals say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.recovery_action import RecoveryAction, RecoveryActionSpec
from sophia_operator.api.recovery_action_status import ActionPhase
from sophia_operator.api.recovery_parameters import TAKEN_BY
from sophia_operator.api.recovery_policy import RecoveryPolicy
from sophia_operator.api.recovery_values import ACTIONS, Action, TargetKind
from sophia_operator.cli.guard import unchanged
from sophia_operator.cli.session import CliError, NothingToDoError
from sophia_operator.cli.steer import gitops_owner

#: How people call kinds, in small letters.
KINDS: Final[Mapping[str, TargetKind]] = {
    **{kind.value.lower(): kind for kind in TargetKind},
    **{f"{kind.value.lower()}s": kind for kind in TargetKind},
    "cpool": TargetKind.CONNECTION_POOL,
    "pool": TargetKind.CONNECTION_POOL,
    "ctier": TargetKind.CACHE_TIER,
    "cache": TargetKind.CACHE_TIER,
    "mroute": TargetKind.MODEL_ROUTE,
    "model": TargetKind.MODEL_ROUTE,
    "msvc": TargetKind.MANAGED_SERVICE,
    "service": TargetKind.MANAGED_SERVICE,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for."""

    target: str
    action: str
    parameters: Sequence[str] = ()
    reason: str | None = None
    dry_run: bool = False
    force: bool = False
    override_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an object."""

    operations: Sequence[Mapping[str, Any]]
    follows: str
    #: Who keeps the object as Git says, and will undo this.
    owner: str | None = None


def target_of(named: str) -> tuple[TargetKind, str]:
    """The object that is named, as in `pool/orders`. Raises CliError."""
    kind, slash, name = named.partition("/")
    found = KINDS.get(kind.lower())
    if not slash or not name or found is None:
        raise CliError(f"{named!r} names no object: say KIND/NAME, as in pool/orders; kinds: {', '.join(KINDS)}")
    return found, name


def action_of(kind: TargetKind, named: str) -> Action:
    """The action of that name. Raises CliError with those that are possible for the kind."""
    possible = {a.value.lower(): a for a, facts in ACTIONS.items() if kind in facts.kinds}
    found = possible.get(named.replace("-", "").lower())
    if found is None:
        names = ", ".join(a.value for a in possible.values())
        raise CliError(f"{named} is no action for a {kind.value}: possible are {names}")
    return found


def made(wish: Wish, namespace: str, user: str, now: datetime) -> dict[str, Any]:
    """The RecoveryAction to create. Raises CliError."""
    kind, name = target_of(wish.target)
    action = action_of(kind, wish.action)
    spec: dict[str, Any] = {
        "target": {"kind": kind.value, "name": name},
        "action": action.value,
        "requestedBy": user,
        **({"parameters": _parameters(action, wish.parameters)} if wish.parameters else {}),
        **({"reason": wish.reason} if wish.reason else {}),
        **({"dryRun": True} if wish.dry_run else {}),
        **({"force": True} if wish.force else {}),
        **({"overrideReason": wish.override_reason} if wish.override_reason else {}),
    }
    try:
        RecoveryActionSpec.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        words = str(first["msg"]).removeprefix("Value error, ")
        raise CliError(f"{where}: {words}" if where else words) from error
    stem = f"{name[:30].rstrip('-.')}-{action.value.lower()}"
    return {
        "apiVersion": API_VERSION,
        "kind": "RecoveryAction",
        "metadata": {"name": f"{stem}-{now:%m%d%H%M%S}", "namespace": namespace},
        "spec": spec,
    }


def question(obj: Mapping[str, Any]) -> str | None:
    """What to ask before an action that takes something away for good; None when it does not."""
    spec = RecoveryActionSpec.model_validate(obj["spec"])
    if spec.dry_run or not ACTIONS[spec.action].deletes_data:
        return None
    which = spec.parameters.namespace_name
    what = f"cache namespace {which}" if which else "the cheapest cache namespace"
    return f"Delete the entries of {what} of {spec.target.kind.value} {spec.target.name}?"


def answered(action: RecoveryAction, user: str, *, yes: bool) -> Change:
    """A person's answer to an action that waits for one. Raises NothingToDoError."""
    name, spec, phase = str(action.metadata.get("name", "")), action.spec, action.status.phase
    if spec.approved is not None:
        said = "approved" if spec.approved else "rejected"
        raise NothingToDoError(f"{name} was {said} by {spec.approved_by or 'somebody'} already")
    if phase.is_over:
        raise NothingToDoError(f"{name} is over: {phase.value}. {action.status.message}".strip())
    if not spec.approval_required:
        raise NothingToDoError(f"{name} waits for nobody's approval; it is {phase.value}")
    operations = [
        unchanged(action.metadata),
        {"op": "add", "path": "/spec/approved", "value": yes},
        {"op": "add", "path": "/spec/approvedBy", "value": user},
    ]
    if not yes:
        return Change(operations, "nothing is done, and the policy goes on to its next step")
    what = f"{spec.action.value} of {spec.target.kind.value} {spec.target.name}"
    held = f"; it waits on: {action.status.message}" if phase is ActionPhase.WAITING else ""
    return Change(operations, f"{what} is done as soon as the guard rails allow it{held}")


def paused(policy: RecoveryPolicy, user: str, why: str, seconds: int | None, now: datetime) -> Change:
    """Nothing is done by that policy any more, because this person asks."""
    name = str(policy.metadata.get("name", ""))
    others = [r for r in policy.spec.pause_requests if r.who != user]
    if len(others) >= MAX_REQUESTS:
        raise CliError(f"{name} has {MAX_REQUESTS} pause requests already: it is paused, and more cannot be written")
    request: dict[str, Any] = {"who": user, "why": why}
    if seconds is not None:
        request["until"] = f"{now + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    requests = [*(r.to_dict() for r in others), request]
    until = f"until {request['until']}" if seconds is not None else f"until kubectl sophia recovery resume {name}"
    return Change(_requests(policy, requests), f"nothing is done by it {until}", _owner(policy))


def resumed(policy: RecoveryPolicy, user: str, *, everybody: bool) -> Change:
    """That person's request is taken back, or everybody's."""
    name, requests = str(policy.metadata.get("name", "")), policy.spec.pause_requests
    if not requests:
        raise NothingToDoError(f"{name} is not paused by anybody")
    left = [] if everybody else [r for r in requests if r.who != user]
    names = ", ".join(r.who for r in left)
    if len(left) == len(requests):
        raise NothingToDoError(f"{name} is not paused by you, but by {names}: --all takes back their requests too")
    follows = "it acts again" if not left else f"it stays paused by {names}"
    return Change(_requests(policy, [r.to_dict() for r in left]), follows, _owner(policy))


#: As many as the API takes.
MAX_REQUESTS: Final = 16


def _parameters(action: Action, given: Sequence[str]) -> dict[str, Any]:
    known = [name for name, taker in TAKEN_BY.items() if taker is action]
    out: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise CliError(f"--parameter {pair}: say NAME=VALUE")
        if name not in known:
            raise CliError(f"{action.value} has no parameter {name}; it has: {', '.join(known) or 'none'}")
        out[name] = int(value) if value.isdigit() and name in _NUMBERS else value
    return out


_NUMBERS: Final = frozenset({"minSeconds", "percent", "seconds", "keysPerSecond"})


def _requests(policy: RecoveryPolicy, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        unchanged(policy.metadata),
        {"op": "add", "path": "/spec/pauseRequests", "value": [dict(r) for r in requests]},
    ]


def _owner(policy: RecoveryPolicy) -> str | None:
    return gitops_owner({"metadata": policy.metadata})
