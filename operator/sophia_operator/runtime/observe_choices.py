"""The ModelRoutes that a service is bound to, as the store has them. No I/O."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from sophia_operator.api.binding_version import BindingKind
from sophia_operator.api.conditions import Reason
from sophia_operator.api.managed_service import ModelBinding
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.core.model.binding import asked_model
from sophia_operator.core.model.names import binding_secret
from sophia_operator.core.views import BindingView, Blocker
from sophia_operator.ports import Object
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Dependency

KIND: Final = BindingKind.MODEL_ROUTE


def route_view(
    store: ObjectStore, namespace: str, wanted: ModelBinding, blockers: list[Blocker], depends: set[Dependency]
) -> BindingView:
    """One binding, with what its pods would ask for. Adds what keeps it from being one."""
    secret, obj = binding_secret(wanted.name), store.get(KIND.value, namespace, wanted.name)
    found = store.config_hash("Secret", namespace, secret)
    depends.add(("Secret", namespace, secret))
    spec = _spec_of(obj)
    wrong = _wrong(namespace, wanted, spec) if obj is not None else None
    if wrong is not None:
        blockers.append(Blocker(Reason.INVALID_SPEC, wrong))
    usable = spec is not None and wrong is None
    if found is None or not usable:
        # Only while it is missed: the status of a route changes all the time.
        depends.add((KIND.value, namespace, wanted.name))
    return BindingView(
        KIND,
        wanted.name,
        tuple(wanted.containers),
        secret,
        found if usable else None,
        obj is not None,
        model=asked_model(wanted.name, spec, wanted.model) if spec is not None else None,
        choice=wanted.model,
        chosen=((obj or {}).get("status") or {}).get("active"),
        prompt_version=wanted.prompt_version,
    )


def _spec_of(obj: Object | None) -> ModelRouteSpec | None:
    try:
        return ModelRouteSpec.model_validate(obj["spec"]) if obj is not None else None
    except (KeyError, ValidationError):
        return None


def _wrong(namespace: str, wanted: ModelBinding, spec: ModelRouteSpec | None) -> str | None:
    """Why the route is none to be bound to, and what to do."""
    route = f"ModelRoute {namespace}/{wanted.name}"
    if spec is None:
        return f"the spec of {route} is invalid: its condition Stalled says what to mend"
    there = [m.name for m in spec.models]
    if wanted.model in (None, *there):
        return None
    return (
        f"spec.bindings.models names model {wanted.model}, which {route} does not have: it has {', '.join(there)}; "
        "mend the name, or take it away"
    )
