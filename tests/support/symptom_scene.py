"""Targets of recovery whose status says this or that, and policies that look at them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.api.recovery_policy import RecoveryPolicySpec, Rule
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_values import SYMPTOM_KINDS, Symptom, TargetKind
from sophia_operator.core.recovery.symptoms import CHECKS
from sophia_operator.core.recovery.views import PolicyView, Sign, TargetSpec, TargetStatus, TargetView

START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
GENERATION: Final = 3


def at(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def said(kind: str, status: str, reason: str, generation: int = GENERATION) -> dict[str, Any]:
    """A condition, as a status has it."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": f"it is {reason}",
        "observedGeneration": generation,
        "lastTransitionTime": "2026-03-01T11:59:00Z",
    }


def target(kind: TargetKind, spec: TargetSpec | None, status: TargetStatus, name: str, **more: Any) -> TargetView:
    usual: dict[str, Any] = {"namespace": "shop", "uid": f"uid-{name}", "generation": GENERATION, "labels": {}}
    return TargetView(kind=kind, name=name, spec=spec, status=status, **{**usual, **more})


def pool(
    *conditions: dict[str, Any], spec: dict[str, Any] | None = None, name: str = "db", **status: Any
) -> TargetView:
    """A pool whose status says that."""
    database = {"host": "db", "name": "orders", "credentialsSecretRef": {"name": "db-user"}}
    known = {"observedGeneration": GENERATION, "conditions": list(conditions), **status}
    wish = ConnectionPoolSpec.model_validate({"database": database, **(spec or {})})
    return target(TargetKind.CONNECTION_POOL, wish, ConnectionPoolStatus.model_validate(known), name)


def tier(
    *conditions: dict[str, Any], spec: dict[str, Any] | None = None, name: str = "hot", **status: Any
) -> TargetView:
    """A tier of Redis whose status says that."""
    wish = CacheTierSpec.model_validate(spec or {"level": "Redis", "redis": {"managed": {}}})
    known = {"observedGeneration": GENERATION, "conditions": list(conditions), **status}
    return target(TargetKind.CACHE_TIER, wish, CacheTierStatus.model_validate(known), name)


def model(name: str, state: str, **more: Any) -> dict[str, Any]:
    """A model, as the status of its route has it."""
    eligible = state in ("Healthy", "Failing")
    return {"name": name, "state": state, "eligible": eligible, "requests": 20, "failures": 0, **more}


def route(*models: dict[str, Any], conditions: tuple[dict[str, Any], ...] = (), **status: Any) -> TargetView:
    """A route whose status says that of its models, the first of which serves."""
    endpoints = [
        {"name": n, "model": n, "endpoint": {"url": f"https://{n}.example.com/v1"}} for n in ("large", "small")
    ]
    wish = ModelRouteSpec.model_validate({"models": endpoints, "gateway": {"liteLLM": {"selector": {"app": "g"}}}})
    active = models[0]["name"] if models else None
    known = {"observedGeneration": GENERATION, "active": active, "models": list(models), "conditions": list(conditions)}
    return target(TargetKind.MODEL_ROUTE, wish, ModelRouteStatus.model_validate({**known, **status}), "answers")


def rule(symptom: Symptom, **more: Any) -> Rule:
    """A rule that looks for it."""
    return Rule.model_validate({"symptom": symptom.value, "escalation": [{"action": "Notify"}], **more})


def look(of: TargetView, symptom: Symptom, seconds: float = 0.0, **more: Any) -> Sign:
    """What its check says."""
    assert of.kind in SYMPTOM_KINDS[symptom]
    return CHECKS[symptom](of, rule(symptom, **more), at(seconds))


def policy(name: str, *targets: dict[str, Any], symptoms: tuple[Symptom, ...], namespace: str = "shop") -> PolicyView:
    """A policy that looks for these, and only tells."""
    rules = [rule(symptom).to_dict() for symptom in symptoms]
    spec = RecoveryPolicySpec.model_validate({"targets": list(targets), "rules": rules})
    return PolicyView(namespace, name, f"uid-{name}", 1, "1", START, spec, RecoveryPolicyStatus())
