"""What recovery sees of a namespace: the store's objects, parsed into the core's values. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.binding_version import BindingVersion
from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.managed_service import ManagedServiceSpec
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.recovery_action import RecoveryActionSpec
from sophia_operator.api.recovery_action_status import RecoveryActionStatus
from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_values import TargetKind
from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.recovery.interlock import bound_to
from sophia_operator.core.recovery.views import (
    ActionView,
    CrashingPod,
    MovingRelease,
    PolicyView,
    TargetSpec,
    TargetStatus,
    TargetView,
)
from sophia_operator.ports import Object
from sophia_operator.runtime.caches.observe import tier_status
from sophia_operator.runtime.models.observe import route_status
from sophia_operator.runtime.observe import service_status
from sophia_operator.runtime.pools.observe import pool_status
from sophia_operator.runtime.recovery.crashes import crashing_pods
from sophia_operator.runtime.recovery.marks import time_of
from sophia_operator.runtime.recovery.parsed import parsed
from sophia_operator.runtime.store import ObjectStore

#: What budgets look back on.
HOUR: Final = timedelta(hours=1)

_SPECS: Final[Mapping[TargetKind, type[TargetSpec]]] = {
    TargetKind.CONNECTION_POOL: ConnectionPoolSpec,
    TargetKind.CACHE_TIER: CacheTierSpec,
    TargetKind.MODEL_ROUTE: ModelRouteSpec,
    TargetKind.MANAGED_SERVICE: ManagedServiceSpec,
}


def target_view(obj: Object, crashing: Sequence[CrashingPod] = ()) -> TargetView:
    """An object that may be acted on. Its spec is None when it breaks a rule that admission did not check."""
    meta, kind = obj["metadata"], TargetKind(obj["kind"])
    try:
        spec: TargetSpec | None = _SPECS[kind].model_validate(obj.get("spec") or {})
    except ValidationError:
        spec = None
    return TargetView(
        kind=kind,
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        labels=meta.get("labels") or {},
        spec=spec,
        status=_target_status(kind, obj),
        crashing=tuple(crashing),
        deleting=bool(meta.get("deletionTimestamp")),
    )


def policy_view(obj: Object) -> PolicyView:
    """A RecoveryPolicy. Raises pydantic.ValidationError when its spec breaks a rule that admission did not check."""
    meta = obj["metadata"]
    return PolicyView(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        resource_version=meta["resourceVersion"],
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
        spec=RecoveryPolicySpec.model_validate(obj["spec"]),
        status=policy_status(obj),
    )


def policy_status(obj: Object) -> RecoveryPolicyStatus:
    """The status, or an empty one when there is none or it cannot be read: timers begin anew."""
    try:
        return policy_in_order(RecoveryPolicyStatus.model_validate(obj.get("status") or {}))
    except ValidationError:
        return RecoveryPolicyStatus()


def policy_in_order(status: RecoveryPolicyStatus) -> RecoveryPolicyStatus:
    """The API server merges lists that are told apart by keys in an order of its own. Here they have one order, so
    that what is the same compares as the same."""
    return status.model_copy(
        update={
            "conditions": sorted(status.conditions, key=lambda c: c.type),
            "symptoms": sorted(status.symptoms, key=lambda s: (s.kind, s.name, s.symptom)),
        }
    )


def action_view(obj: Object) -> ActionView:
    """A RecoveryAction. Raises pydantic.ValidationError when its spec breaks a rule that admission did not check."""
    meta = obj["metadata"]
    return ActionView(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        resource_version=meta["resourceVersion"],
        created_at=datetime.fromisoformat(meta["creationTimestamp"]),
        spec=RecoveryActionSpec.model_validate(obj["spec"]),
        status=action_status(obj),
    )


def action_status(obj: Object) -> RecoveryActionStatus:
    """The status. Raises pydantic.ValidationError: one that says what was done may not be taken for an empty one."""
    return action_in_order(RecoveryActionStatus.model_validate(obj.get("status") or {}))


def action_in_order(status: RecoveryActionStatus) -> RecoveryActionStatus:
    """With its conditions in one order, as in `policy_in_order`."""
    return status.model_copy(update={"conditions": sorted(status.conditions, key=lambda c: c.type)})


def targets_of(
    store: ObjectStore, namespace: str, kinds: Iterable[TargetKind], now: datetime
) -> tuple[TargetView, ...]:
    """Every object of those kinds in the namespace, by kind and name. Only what changed since is parsed again."""
    found = (
        target_of(store, namespace, kind, name, now)
        for kind in sorted(set(kinds))
        for name in store.names_in(kind.value, namespace)
    )
    return tuple(target for target in found if target is not None)


def target_of(store: ObjectStore, namespace: str, kind: TargetKind, name: str, now: datetime) -> TargetView | None:
    """One of them; None when it is not there."""
    view = parsed(store, kind.value, namespace, name, target_view)
    crashing = crashing_pods(store, kind, namespace, name, now)
    return view if view is None or not crashing else replace(view, crashing=crashing)


def policies_of(store: ObjectStore, namespace: str) -> tuple[PolicyView, ...]:
    """Policies of the namespace that can be read and are not being deleted, by name."""
    out = []
    for obj in store.in_namespace("RecoveryPolicy", namespace):
        if obj["metadata"].get("deletionTimestamp"):
            continue
        try:
            out.append(policy_view(obj))
        except ValidationError:
            continue
    return tuple(out)


def actions_of(store: ObjectStore, namespace: str) -> tuple[ActionView, ...]:
    """RecoveryActions of the namespace that can be read, the oldest first. Only what changed is parsed again."""
    return _actions(store, namespace, store.names_in("RecoveryAction", namespace))


def acting_in(store: ObjectStore, namespace: str) -> tuple[ActionView, ...]:
    """Those of them that were claimed and are not over. No other is parsed for it."""
    return _actions(store, namespace, [obj["metadata"]["name"] for obj in store.acting_in(namespace)])


def acts_elsewhere(store: ObjectStore, namespace: str, now: datetime) -> tuple[datetime, ...]:
    """When acts of other namespaces that count against budgets were claimed, in the last hour, the first one first.
    Nothing is parsed for it."""
    return tuple(sorted(at for (space, _), at in store.claims_since(now - HOUR, now) if space != namespace))


def moving_of(store: ObjectStore, namespace: str) -> tuple[MovingRelease, ...]:
    """Releases of the namespace that are under way, and what each stands on, by name."""
    return tuple(_moving(obj) for obj in store.moving_in(namespace) if not obj["metadata"].get("deletionTimestamp"))


def _moving(obj: Object) -> MovingRelease:
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    service = str(spec.get("serviceName") or (meta.get("labels") or {}).get(LABEL_SERVICE, ""))
    weights = status.get("weights") or {}
    began = (time_of(status.get(field)) for field in ("startedAt", "stateSince"))
    return MovingRelease(
        service=service,
        name=meta["name"],
        revision=int(spec.get("revision") or 0),
        started_at=next((at for at in began if at is not None), datetime.fromisoformat(meta["creationTimestamp"])),
        bound=bound_to(service, _bindings(spec.get("snapshot") or {})),
        has_traffic=any((weights.get(f"{how}Percent") or 0) > 0 for how in ("wanted", "written", "observed")),
    )


def _bindings(snapshot: Mapping[str, Any]) -> list[BindingVersion]:
    out = []
    for bound in snapshot.get("bindings") or ():
        try:
            out.append(BindingVersion.model_validate(bound))
        except ValidationError:
            continue
    return out


def _actions(store: ObjectStore, namespace: str, names: Iterable[str]) -> tuple[ActionView, ...]:
    found = (parsed(store, "RecoveryAction", namespace, name, _readable) for name in names)
    return tuple(sorted((a for a in found if a is not None), key=lambda action: (action.created_at, action.name)))


def _readable(obj: Object) -> ActionView | None:
    try:
        return action_view(obj)
    except ValidationError:
        return None


def _target_status(kind: TargetKind, obj: Object) -> TargetStatus:
    if kind is TargetKind.CONNECTION_POOL:
        return pool_status(obj)
    if kind is TargetKind.CACHE_TIER:
        return tier_status(obj)
    if kind is TargetKind.MODEL_ROUTE:
        return route_status(obj)
    return service_status(obj)
