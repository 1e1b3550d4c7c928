"""Status of a route: a projection of what is seen, of what was judged and of what was planned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from sophia_operator.api.connection_pool_status import BindingRef
from sophia_operator.api.model_gateway import MAX_REPLICAS
from sophia_operator.api.model_route_status import MAX_SWITCHES, GatewayReplica, ModelRouteStatus, Share
from sophia_operator.core.model import names
from sophia_operator.core.model.conditions import conditions
from sophia_operator.core.model.findings import ReplicaFinding
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.scoreboard import scoreboard
from sophia_operator.core.model.verdicts import Sight
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

#: Where clients send requests, by a route and what is seen; None while that is not known.
Endpoint = Callable[[ModelRouteView, ModelRouteObserved], str | None]

_MESSAGE: Final = 512


def project(
    route: ModelRouteView,
    observed: ModelRouteObserved,
    ranking: Ranking,
    plan: SwitchPlan,
    now: datetime,
    *,
    endpoint: Endpoint,
) -> ModelRouteStatus:
    """The status that follows."""
    table = scoreboard(route, ranking, plan, now)
    status = route.status.model_copy(
        update={
            "observed_generation": route.generation,
            "models": table.models,
            "best": table.best,
            "figures_at": table.figures_at,
            "replicas": replicas(route, observed, plan),
            **_planned(route, plan),
            **_reached(route, observed, endpoint),
        }
    )
    sight = Sight(route, observed, plan, status, now)
    return status.model_copy(update={"conditions": conditions(sight)})


def _planned(route: ModelRouteView, plan: SwitchPlan) -> dict[str, Any]:
    ended = [*route.status.switches, *([plan.past] if plan.past is not None else [])][-MAX_SWITCHES:]
    order = [m.name for m in route.spec.models]
    return {
        "active": plan.active,
        "preferred": plan.preferred,
        "shares": [Share(name=n, percent=plan.shares[n]) for n in order if n in plan.shares],
        "fallbacks": list(plan.fallbacks),
        "revision": plan.revision,
        "proved_revision": plan.proved_revision,
        "revision_at": plan.revision_at,
        "switch": plan.switch,
        "switches": ended,
        "switched_at": plan.switched_at,
        "failed_failbacks": plan.failed_failbacks,
        "hold_until": plan.hold_until,
        "better_since": plan.better_since,
        "told": plan.told,
        "acts": list(plan.acts),
        "config_hash": plan.config_hash,
    }


def _reached(route: ModelRouteView, observed: ModelRouteObserved, endpoint: Endpoint) -> dict[str, Any]:
    where = endpoint(route, observed)
    if where is None:
        return {}
    # Named only when its Secret is made: others take the name for a promise.
    return {"endpoint": where, "binding": BindingRef(name=names.binding_secret(route.name))}


def replicas(route: ModelRouteView, observed: ModelRouteObserved, plan: SwitchPlan) -> list[GatewayReplica]:
    """Each replica, as seen last; those of before until they were asked once."""
    kept, known = observed.kept, {r.name: r for r in route.status.replicas}
    if kept.asked_at is None and not kept.replicas:
        return route.status.replicas
    # Of too many, those are shown that people look for.
    shown = sorted(kept.replicas.values(), key=lambda r: (r.revision == plan.revision, r.name))[:MAX_REPLICAS]
    return [_replica(known.get(f.name), f, plan) for f in sorted(shown, key=lambda r: r.name)]


def _replica(before: GatewayReplica | None, found: ReplicaFinding, plan: SwitchPlan) -> GatewayReplica:
    new = GatewayReplica(
        name=found.name,
        revision=found.revision,
        model=found.model,
        message=found.failure.message[:_MESSAGE] or None if found.failure is not None else None,
    )
    if before is None or before.revision != new.revision or _gist(before.message) != _gist(new.message):
        return new
    # Each request of a stage may be answered by either model: that is no news.
    both = {name for name, percent in plan.shares.items() if percent > 0}
    return before if {before.model, new.model} <= both else new


def _gist(message: str | None) -> tuple[str, list[str]] | None:
    """What a message says but for numbers in the words of others: each answer may name a request of its own, and
    replicas are asked several times a second."""
    if message is None:
        return None
    ours, _, theirs = message.partition(": ")
    return ours, [word for word in theirs.split() if not any(c.isdigit() for c in word)]
