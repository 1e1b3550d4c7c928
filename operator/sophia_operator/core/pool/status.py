"""Status of a pool: a projection of what is seen and of what the planners decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sophia_operator.api.connection_pool_status import MAX_RECONNECTS, BindingRef, ConnectionPoolStatus
from sophia_operator.api.recovery_action_status import ActStatus
from sophia_operator.core.pool import autosize, budget, figures, insights, latencies, names
from sophia_operator.core.pool.act_limit import held_to
from sophia_operator.core.pool.conditions import conditions
from sophia_operator.core.pool.pause import Pause
from sophia_operator.core.pool.reconnect import Reconnect
from sophia_operator.core.pool.score import score_parts
from sophia_operator.core.pool.statements import statements
from sophia_operator.core.pool.target import next_target
from sophia_operator.core.pool.verdicts import Sight
from sophia_operator.core.pool.views import PoolObserved, PoolView

#: Hash of the configuration that instances should run with, by a status and what is seen.
ConfigHash = Callable[[PoolView, PoolObserved], str | None]


@dataclass(frozen=True, slots=True)
class Planned:
    """What the planners decided."""

    reconnect: Reconnect
    pause: Pause
    acts: tuple[ActStatus, ...] = ()


def project(
    pool: PoolView, observed: PoolObserved, planned: Planned, now: datetime, config_hash: ConfigHash
) -> ConnectionPoolStatus:
    """The status that follows."""
    status = pool.status.model_copy(update={**_shape(pool, observed), **_state(pool, planned)})
    status = status.model_copy(update={"target": next_target(pool.status, pool.spec.database, observed)})
    status = status.model_copy(update=_size(pool, observed, planned.acts, now))
    rendered = config_hash(replace(pool, status=status), observed)
    wanted = rendered or pool.status.config_hash
    # Named only when its Secret is made: others take the name for a promise.
    binding = BindingRef(name=names.binding_secret(pool.name)) if rendered is not None else pool.status.binding
    status = status.model_copy(
        update={"binding": binding, "config_hash": wanted, **_seen(pool, observed, wanted, status.size, now)}
    )
    status = status.model_copy(update={"conditions": conditions(Sight(pool, observed, status, now))})
    parts = score_parts(pool.spec, status)
    score = sum(p.points for p in parts) if parts else None
    return status.model_copy(update={"score": score, "score_parts": parts})


def _shape(pool: PoolView, observed: PoolObserved) -> dict[str, Any]:
    fleet = observed.fleet
    ready = fleet.ready_pods if fleet is not None else 0
    return {
        "observed_generation": pool.generation,
        "instances": fleet.pods if fleet is not None else 0,
        "ready_instances": ready,
        "ready": f"{ready}/{pool.spec.instances}",
        "selector": ",".join(f"{k}={v}" for k, v in sorted(names.selector(pool.name).items())),
    }


def _state(pool: PoolView, planned: Planned) -> dict[str, Any]:
    past = planned.reconnect.past
    ended = [*pool.status.reconnects, *([past] if past is not None else [])][-MAX_RECONNECTS:]
    return {
        "reconnect": planned.reconnect.status,
        "reconnects": ended,
        "pause": planned.pause.status,
        "acts": list(planned.acts),
    }


def _size(pool: PoolView, observed: PoolObserved, acts: Sequence[ActStatus], now: datetime) -> dict[str, Any]:
    granted = budget.grant(pool, observed, pool.spec.size.max, now)
    most = held_to(pool.spec, observed, acts, now)
    sized = autosize.resize(pool, observed, budget.most(pool.spec, granted.granted), now, held=most is not None)
    needed = sized.size if most is None else min(sized.size, most)
    size = budget.effective_size(pool.spec, needed, granted.granted)
    return {"budget": granted, "autosize": sized, "size": size}


def _seen(pool: PoolView, observed: PoolObserved, wanted: str | None, size: int, now: datetime) -> dict[str, Any]:
    old, kept = pool.status, observed.kept
    members = figures.members(pool.spec, old, observed, wanted)
    fresh = any(True for _ in figures.full_findings(pool.spec, observed))
    in_use = sum(m.in_use for m in members)
    running, note = statements(pool, observed)
    return {
        "server": figures.server_status(pool.spec, old.server, observed, now, changing=old.reconnect is not None),
        "members": members,
        "in_use": in_use,
        "waiting": sum(m.waiting for m in members),
        "usage": f"{in_use}/{size}",
        "utilization_percent": min(100, round(100 * in_use / size)) if size else None,
        "hit_percent": figures.hit_percent(pool.spec, old.hit_percent, observed),
        "connect_ms": latencies.percentiles(pool.spec, old.connect_ms, kept.connect_ms, fresh),
        "query_ms": latencies.percentiles(pool.spec, old.query_ms, kept.query_ms, fresh),
        "statements": running,
        "statements_note": note,
        "insights": insights.judge(pool.spec, kept.insights, old.insights),
    }
