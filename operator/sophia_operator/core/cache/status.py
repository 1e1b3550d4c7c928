"""Status of a tier: a projection of what is seen and of what the planners decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sophia_operator.api.cache_tier_status import MAX_PAST, CacheTierStatus, TierBinding
from sophia_operator.core.cache import figures, names, ratios
from sophia_operator.core.cache.acts import ActsPlan, kept_flushes
from sophia_operator.core.cache.conditions import conditions
from sophia_operator.core.cache.render.binding import binding_secret
from sophia_operator.core.cache.score import score_parts
from sophia_operator.core.cache.settings import live_settings, settings_hash
from sophia_operator.core.cache.sight import wanted_nodes
from sophia_operator.core.cache.topology.plan_values import TopologyPlan
from sophia_operator.core.cache.verdicts import Sight
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.cache.work.plans import WorkPlan

_MAX_CHAIN: Final = 8


@dataclass(frozen=True, slots=True)
class Planned:
    """What the planners decided."""

    topology: TopologyPlan
    work: WorkPlan
    acts: ActsPlan = field(default_factory=ActsPlan)


def with_topology(status: CacheTierStatus, plan: TopologyPlan) -> CacheTierStatus:
    """The status as the planner of the topology wants it: the other planners go by it."""
    past = [*status.failovers, *([plan.past] if plan.past is not None else [])][-MAX_PAST:]
    return status.model_copy(
        update={
            "primary": plan.primary,
            "primary_run_id": plan.primary_run_id,
            "guarded": plan.guarded,
            "scale": plan.scale,
            "failover": plan.failover,
            "failovers": past,
        }
    )


def project(tier: TierView, observed: TierObserved, planned: Planned, now: datetime) -> CacheTierStatus:
    """The status that follows."""
    status = with_topology(tier.status, planned.topology).model_copy(update=_shape(tier, observed))
    status = status.model_copy(update=_work(planned.work, tier, observed))
    status = status.model_copy(update={"acts": list(planned.acts.acts)})
    status = status.model_copy(update=_seen(tier, observed, status.primary))
    status = status.model_copy(update={"hit_ratio_percent": ratios.hit_ratio(tier, observed, status)})
    sight = Sight(tier, observed, planned.topology, planned.work, status, now)
    status = status.model_copy(update={"conditions": conditions(sight)})
    parts = score_parts(tier.spec, status)
    return status.model_copy(update={"score": sum(p.points for p in parts) if parts else None, "score_parts": parts})


def _shape(tier: TierView, observed: TierObserved) -> dict[str, Any]:
    managed = tier.spec.redis is not None and tier.spec.redis.managed is not None
    wanted, ready = wanted_nodes(tier), sum(n.ready for n in observed.nodes if not n.terminating)
    return {
        "observed_generation": tier.generation,
        "replicas": len(observed.nodes),
        "ready": f"{ready}/{wanted}" if wanted else None,
        "selector": ",".join(f"{k}={v}" for k, v in sorted(names.selector(tier.name).items())) if managed else None,
        "chain": [tier.name, *(link.name for link in observed.below if link.spec is not None)][:_MAX_CHAIN],
        "binding": _binding(tier, observed),
        "config_hash": settings_hash(tier) if live_settings(tier) else None,
    }


def _binding(tier: TierView, observed: TierObserved) -> TierBinding | None:
    """Named only when its Secret is made: others take the name for a promise."""
    if binding_secret(tier, observed.access) is None:
        return tier.status.binding
    return TierBinding(name=names.binding_secret(tier.name), config_map_name=names.chain_config_map(tier.name))


def _work(plan: WorkPlan, tier: TierView, observed: TierObserved) -> dict[str, Any]:
    return {
        "namespaces": ratios.namespaces(plan.namespaces, tier, observed),
        "first_generation": plan.first_generation,
        "flush": plan.flush,
        "flushes": kept_flushes(plan.flushes, tier.status.flushes, tier.spec.flush),
        "warm_ups": sorted(plan.warm_ups, key=lambda w: w.release),
        "scanned_at": plan.scanned_at,
        "keys": plan.keys,
        "unclaimed_keys": plan.unclaimed_keys,
    }


def _seen(tier: TierView, observed: TierObserved, primary: str | None) -> dict[str, Any]:
    members = figures.nodes(tier, observed, primary)
    return {
        "nodes": members,
        "used": figures.used(tier, observed, members, primary),
        "latency_ms": figures.latency(tier, observed, primary),
    }
