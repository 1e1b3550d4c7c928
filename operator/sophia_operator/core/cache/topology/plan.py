"""One plan for the topology of a Redis level: what is seen, what the status says, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sophia_operator.api.cache_tier_status import FailoverPhase
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import NodeCommand
from sophia_operator.core.cache.topology import failover, switchover
from sophia_operator.core.cache.topology.elect import candidate
from sophia_operator.core.cache.topology.guard import guard, wanted_replicas
from sophia_operator.core.cache.topology.labels import plan_labels
from sophia_operator.core.cache.topology.outcome import Outcome, held, settled
from sophia_operator.core.cache.topology.plan_values import TopologyPlan
from sophia_operator.core.cache.topology.replicas import follow, strangers
from sophia_operator.core.cache.topology.roll import Roll, plan_roll, plan_scale
from sophia_operator.core.cache.topology.sight import Seen, Sight, follows, lost, sight
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.decision import EventType, Notice

__all__ = ["TopologyPlan", "plan_topology"]


def plan_topology(tier: TierView, observed: TierObserved, now: datetime, jitter: float) -> TopologyPlan:
    """What becomes of the primary and its replicas. `jitter` is from 0 to 1."""
    seen = sight(tier, observed, now, jitter)
    redis = tier.spec.redis
    if redis is None or redis.managed is None:
        return _adopted(seen)
    outcome = _primary(seen)
    primary = seen.get(outcome.primary)
    if outcome.failover is not None or primary is None or not primary.is_primary:
        return _plan(seen, outcome, scale=plan_scale(seen, None))
    return _steady(seen, outcome, primary)


def _adopted(seen: Sight) -> TopologyPlan:
    """Somebody else's: it is only told what it is."""
    primary = next((n for n in seen.nodes if n.is_primary), None)
    run_id = primary.node.run_id if primary is not None and primary.node is not None else None
    known = any(n.answer is not None for n in seen.nodes)
    if not known:
        return TopologyPlan(seen.status.primary, seen.status.primary_run_id, False, None)
    return TopologyPlan(primary.name if primary is not None else None, run_id, False, None)


def _primary(seen: Sight) -> Outcome:
    """Who the primary is, or the next step towards one."""
    status = seen.status
    under_way = status.failover
    if under_way is not None and under_way.phase is FailoverPhase.SWITCHING:
        return switchover.go_on(seen, under_way)
    if under_way is not None and (under_way.from_node is not None or under_way.told_at is not None):
        return failover.go_on(seen, under_way)
    if status.primary is None:
        return failover.first(seen)
    return _known(seen, status.primary)


def _known(seen: Sight, name: str) -> Outcome:
    old = seen.get(name)
    if old is None:
        return failover.begin(seen, name, f"{name} is gone")
    if old.is_primary:
        return switchover.begin(seen, old) or settled(seen, old)
    if old.handing_over:
        return held(seen, Reason.SWITCHING_OVER, f"{name} hands over, though the operator did not tell it to", 0.5)
    if old.node is not None:
        return _is_none(seen, old)
    return _silent(seen, old)


def _is_none(seen: Sight, old: Seen) -> Outcome:
    """What was the primary says that it is a replica."""
    others = [n for n in seen.nodes if n.is_primary]
    if len(others) == 1 and follows(old, others[0]):
        message = f"{old.name} follows {others[0].name}, which is the primary, though the operator did not tell them to"
        return settled(seen, others[0]).with_notice(Notice(EventType.NORMAL, Reason.FAILED_OVER.value, message))
    assert old.node is not None
    anew = old.node.run_id != seen.status.primary_run_id
    why = f"{old.name} was started anew" if anew else f"{old.name} says that it is a replica"
    return failover.begin(seen, old.name, why)


def _silent(seen: Sight, old: Seen) -> Outcome:
    if old.answer is None and not old.view.ended:
        return held(seen, Reason.NODE_UNREACHABLE, f"{old.name} was not looked at yet", 0.5)
    if not lost(old, seen):
        message = f"{old.name} gives no answer: {old.failure.message if old.failure is not None else ''}"
        return held(seen, Reason.NODE_UNREACHABLE, message, 0.5)
    if candidate(seen, failover.start(seen, old.name, "")) is None and not (old.view.ended or old.refused):
        message = (
            f"no node answers: nothing is done, since it may be the operator that is cut off ({old.name} was primary)"
        )
        return held(seen, Reason.NODE_UNREACHABLE, message, 1.0)
    ended = old.view.ended or old.refused
    why = f"the process of {old.name} ended" if ended else f"{old.name} does not answer, and no replica hears from it"
    return failover.begin(seen, old.name, why)


def _steady(seen: Sight, outcome: Outcome, primary: Seen) -> TopologyPlan:
    """There is a primary: the others follow it, and nodes are replaced."""
    roll = plan_roll(seen, primary) if not seen.status.failover and outcome.past is None else Roll()
    going = (roll.victim.name,) if roll.victim is not None else ()
    guarded = guard(seen, primary, outcome.guarded, wanted_replicas(seen, primary, going))
    commands: list[NodeCommand] = [*follow(seen, primary), *switchover.cut_off(seen, outcome.past)]
    commands += [guarded.command] if guarded.command is not None else []
    out = replace(
        outcome,
        guarded=guarded.guarded,
        commands=(*outcome.commands, *dict.fromkeys(commands)),
        reason=strangers(seen, primary) or roll.reason or _cannot(seen, primary),
        wait=_soonest(outcome.wait, 0.5 if commands or outcome.past else None, 1.0 if roll.reason else None),
    )
    return replace(_plan(seen, out, scale=plan_scale(seen, primary)), delete=roll.delete)


def _cannot(seen: Sight, primary: Seen) -> tuple[Reason, str] | None:
    """Why a primary that should hand over does not."""
    why = switchover.cause(seen, primary)
    if why is None:
        return None
    return Reason.SYNCING, f"{primary.name} cannot hand over, since no replica that stays is in sync: {why}"


def _soonest(*waits: float | None) -> float | None:
    return min((w for w in waits if w is not None), default=None)


def _plan(seen: Sight, outcome: Outcome, scale: int) -> TopologyPlan:
    labels = plan_labels(seen, outcome)
    return TopologyPlan(
        primary=outcome.primary,
        primary_run_id=outcome.run_id,
        guarded=outcome.guarded,
        scale=scale,
        failover=outcome.failover,
        past=outcome.past,
        commands=outcome.commands,
        labels=labels,
        notices=outcome.notices,
        wait=_soonest(outcome.wait, 0.2 if labels else None),
        reason=outcome.reason,
    )
