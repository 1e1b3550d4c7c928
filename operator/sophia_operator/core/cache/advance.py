"""One pass over a CacheTier: what its status becomes, what its nodes are told, and which work goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache import names
from sophia_operator.core.cache.acts import plan_acts, with_wishes
from sophia_operator.core.cache.decision import TierDecision
from sophia_operator.core.cache.findings import NodeVerb
from sophia_operator.core.cache.live_config import configure
from sophia_operator.core.cache.needs import next_look
from sophia_operator.core.cache.notices import notices_of
from sophia_operator.core.cache.sight import node_of, view_of
from sophia_operator.core.cache.status import Planned, project, with_topology
from sophia_operator.core.cache.topology import plan_topology
from sophia_operator.core.cache.topology.plan_values import TopologyPlan
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.cache.work.plan import plan_work
from sophia_operator.core.decision import RequeueAfter

#: A pass now and then even when nothing is due, in case an event got lost.
_LONGEST_SECONDS: Final = 600.0


def advance(tier: TierView, observed: TierObserved, now: datetime, jitter: float) -> TierDecision:
    """What follows from what is seen. The status is persisted before anything that the decision asks for is done."""
    topology = _topology(tier, observed, now, jitter)
    known = replace(tier, status=with_topology(tier.status, topology))
    acts = plan_acts(known, observed, now)
    work = plan_work(with_wishes(known, acts), observed, now)
    status = project(tier, observed, Planned(topology, work, acts), now)
    after = replace(tier, status=status)
    busy = {c.node for c in topology.commands if c.verb is NodeVerb.CONFIGURE}
    waits = [w for w in (topology.wait, work.wait) if w is not None]
    planned = (*topology.notices, *work.notices)
    return TierDecision(
        status=status,
        commands=(*topology.commands, *configure(after, observed, now, busy), *acts.commands),
        labels=topology.labels,
        delete=topology.delete,
        tasks=work.tasks,
        notices=notices_of(planned, tier.status.conditions, status.conditions),
        next=RequeueAfter(max(0.0, min([_LONGEST_SECONDS, next_look(after, observed, now), *waits]))),
    )


def _topology(tier: TierView, observed: TierObserved, now: datetime, jitter: float) -> TopologyPlan:
    redis = tier.spec.redis
    if redis is not None and redis.managed is not None:
        return plan_topology(tier, observed, now, jitter)
    if redis is None:
        return TopologyPlan(primary=None, primary_run_id=None, guarded=False, scale=None)
    return _adopted(tier, observed)


def _adopted(tier: TierView, observed: TierObserved) -> TopologyPlan:
    """An adopted Redis is looked at, and left as it is."""
    view = view_of(observed, names.EXTERNAL)
    node = node_of(observed, view) if view is not None else None
    if node is None:
        # Nothing is known, or it does not answer: it is what it was.
        return TopologyPlan(tier.status.primary, tier.status.primary_run_id, guarded=False, scale=None)
    if node.role is NodeRole.REPLICA:
        return TopologyPlan(primary=None, primary_run_id=node.run_id, guarded=False, scale=None)
    return TopologyPlan(primary=names.EXTERNAL, primary_run_id=node.run_id, guarded=False, scale=None)
