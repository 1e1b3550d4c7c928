"""A ModelRoute over two models, what is seen of it, what was judged and what was planned, for tests of what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sophia_operator.api.conditions import Condition, ConditionType, Reason, find, violations
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import (
    ModelRouteStatus,
    ModelScorePart,
    ModelState,
    SwitchKind,
    SwitchPhase,
    SwitchStatus,
)
from sophia_operator.core.model.findings import (
    Completion,
    ModelFailure,
    ModelFault,
    ModelFinding,
    ReplicaFinding,
)
from sophia_operator.core.model.plan_values import ModelHealth, ModelScore, Ranking, SwitchPlan
from sophia_operator.core.model.status import project
from sophia_operator.core.model.views import (
    GatewayPod,
    ModelAccess,
    ModelKept,
    ModelRouteObserved,
    ModelRouteView,
)

START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL: Final = "http://answers-models.shop.svc:4000/v1"
PODS: Final = ("gw-0", "gw-1")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def model(name: str, **more: Any) -> dict[str, Any]:
    usual = {"name": name, "model": f"{name}-v1", "endpoint": {"url": f"https://{name}.example.com/v1"}}
    return {**usual, "credentialsSecretRef": {"name": f"{name}-key"}, **more}


def spec(**changes: Any) -> ModelRouteSpec:
    """Two models behind LiteLLM proxies, asked each second."""
    usual: dict[str, Any] = {
        "models": [model("large"), model("small")],
        "gateway": {"liteLLM": {"selector": {"app": "litellm"}}},
        "probe": {"intervalSeconds": 1},
    }
    return ModelRouteSpec.model_validate({**usual, **changes})


def route(wish: ModelRouteSpec | None = None, status: ModelRouteStatus | None = None, **of: Any) -> ModelRouteView:
    """A ModelRoute; `of` are parts of its status."""
    known = (status or ModelRouteStatus()).model_copy(update=of)
    return ModelRouteView("shop", "answers", "uid-0", 1, "1", START, wish or spec(), known)


def health(state: ModelState = ModelState.HEALTHY, **changes: Any) -> ModelHealth:
    works = state in (ModelState.HEALTHY, ModelState.FAILING)
    usual: dict[str, Any] = {"requests": 6.0, "failures": 0.0, "p95_ms": 400.0, "first_token_ms": 90.0}
    if state is ModelState.HEALTHY:
        usual["healthy_since"] = START
    elif state is not ModelState.UNKNOWN:
        usual |= {"reason": Reason.SERVER_UNREACHABLE, "message": "it does not answer: see whether it runs"}
    return ModelHealth(**{"state": state, "eligible": works, **usual, **changes})


def score(value: float, why: str = "p95 400 ms") -> ModelScore:
    part = ModelScorePart(name="latency", value="1", weight="0.35", why=why)
    return ModelScore(Decimal(str(value)), (part,))


def ranking(of: Mapping[str, ModelHealth] | None = None, **scores: float) -> Ranking:
    """Judged models, `large` and `small`, both healthy and `large` ahead if nothing else is said."""
    found = {"large": health(), "small": health(), **(of or {})}
    points = {"large": 0.9, "small": 0.6, **scores}
    order = sorted((n for n in found if found[n].eligible), key=lambda n: -points[n])
    return Ranking(found, {n: score(points[n]) for n in found}, tuple(order))


def plan(**changes: Any) -> SwitchPlan:
    """`large` serves, by revision 3, and every replica was seen to do so."""
    usual: dict[str, Any] = {
        "active": "large",
        "preferred": None,
        "shares": {"large": 100, "small": 0},
        "fallbacks": ("small",),
        "revision": 3,
        "proved_revision": 3,
    }
    return SwitchPlan(**{**usual, **changes})


def switch(kind: SwitchKind = SwitchKind.FAILOVER, **changes: Any) -> SwitchStatus:
    """A switch from `large` to `small` that began at the start."""
    usual: dict[str, Any] = {
        "kind": kind,
        "from_model": "large",
        "to": "small",
        "trigger": "large does not answer",
        "started_at": START,
        "phase": SwitchPhase.PROVING,
        "phase_since": START,
        "revision": 4,
    }
    return SwitchStatus(**{**usual, **changes})


def replica(name: str, revision: int | None = 3, seconds: float = 0.0, **changes: Any) -> ReplicaFinding:
    return ReplicaFinding(**{"at": at(seconds), "name": name, "revision": revision, "model": "large", **changes})


def answered(seconds: float) -> ModelFinding:
    return ModelFinding(at(seconds), Completion(90.0, 400.0, 8, 25.0))


def failed(seconds: float, fault: ModelFault = ModelFault.TIMEOUT, **changes: Any) -> ModelFinding:
    return ModelFinding(at(seconds), ModelFailure(fault, "no answer", **changes))


def observed(seconds: float | None = 0.0, revision: int | None = 3, **changes: Any) -> ModelRouteObserved:
    """Both models and both replicas were asked so many seconds after the start; None: nothing was yet. Fields of what
    is kept go into that."""
    kept: dict[str, Any] = {}
    if seconds is not None:
        kept = {
            "probes": {name: (answered(seconds),) for name in ("large", "small")},
            "replicas": {name: replica(name, revision, seconds) for name in PODS},
            "asked_at": at(seconds),
        }
    fields = set(ModelKept.__dataclass_fields__)
    kept |= {name: changes.pop(name) for name in list(changes) if name in fields}
    access = {name: ModelAccess(api_key="canary") for name in ("large", "small")}
    pods = tuple(GatewayPod(name, f"10.0.0.{i}", ready=True) for i, name in enumerate(PODS))
    usual: dict[str, Any] = {"access": access, "pods": pods, "kept": ModelKept(**kept)}
    return ModelRouteObserved(**{**usual, **changes})


def step(
    view: ModelRouteView, seen: ModelRouteObserved, judged: Ranking, planned: SwitchPlan, seconds: float
) -> ModelRouteStatus:
    """The status that follows. Every one has lawful conditions and can be read back."""
    status = project(view, seen, judged, planned, at(seconds), endpoint=lambda _route, _observed: URL)
    lawful(status, view.generation)
    return status


def lawful(status: ModelRouteStatus, generation: int = 1) -> None:
    """Its conditions keep to the rules, and it can be read back."""
    assert violations(status.conditions, generation) == []
    assert ModelRouteStatus.model_validate(status.to_dict()) == status


def after(view: ModelRouteView, status: ModelRouteStatus, **changes: Any) -> ModelRouteView:
    """The route once that was written down."""
    return replace(view, status=status, **changes)


def settled(wish: ModelRouteSpec | None = None) -> ModelRouteView:
    """A route that was checked at the start, and is as it should be."""
    view = route(wish)
    return after(view, step(view, observed(), ranking(), plan(), 0))


def condition(status: ModelRouteStatus, kind: ConditionType) -> Condition:
    """The condition, which must be there."""
    found = find(status.conditions, kind)
    assert found is not None, kind
    return found


def says(status: ModelRouteStatus, kind: ConditionType) -> tuple[str, str] | None:
    """Status and reason of the condition; None when it is not there."""
    found = find(status.conditions, kind)
    return None if found is None else (found.status.value, found.reason)
