"""Which looks at nodes, at the table and elsewhere are due now, and when the next one is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.api.cache_tier_status import FlushPhase, NodeRole, WarmUpPhase
from sophia_operator.api.conditions import ConditionType, find, is_true
from sophia_operator.core.cache import names
from sophia_operator.core.cache.findings import Node, NodeFinding, TierNeeds
from sophia_operator.core.cache.live_config import is_current
from sophia_operator.core.cache.remedies import REFUSALS
from sophia_operator.core.cache.sight import finding_of, is_synced, node_of, reachable, wanted_nodes
from sophia_operator.core.cache.table import Table
from sophia_operator.core.cache.views import NodeView, TierObserved, TierView

#: In calm, a node is looked at that often, since one that hangs breaks no connection.
QUICK_SECONDS: Final = 4.0
#: While something is under way, every node is looked at that often.
CLOSE_SECONDS: Final = 1.0
#: The same once it has been for long, as when a pod cannot be placed.
PATIENT_SECONDS: Final = 3.0
_LONG_SECONDS: Final = 600.0
#: A node that was told something is looked at again so much later.
TOLD_SECONDS: Final = 0.25
#: What is not there, or refuses, is tried that often where nothing else hangs on it.
RETRY_SECONDS: Final = 5.0
#: The origin's load while a flush or a warm-up waits for it, and hit ratios that others measure.
LOAD_SECONDS: Final = 5.0
HIT_RATIO_SECONDS: Final = 30.0
_LONGEST_SECONDS: Final = 3600.0
#: Due since ever, and never.
_AT_ONCE: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
_NEVER: Final = datetime.fromisoformat("9000-01-01T00:00:00+00:00")


def needs(tier: TierView, observed: TierObserved, now: datetime) -> TierNeeds:
    """The looks that are due."""
    return TierNeeds(
        nodes={
            view.name: _full_due(tier, observed, view) <= now
            for view in _looked_at(tier, observed)
            if _due(tier, observed, view) <= now
        },
        table=_table_due(tier, observed) <= now,
        load=_load_due(tier, observed) <= now,
        hit_ratios=tuple(name for name, due in _hit_ratios_due(tier, observed) if due <= now),
    )


def next_look(tier: TierView, observed: TierObserved, now: datetime) -> float:
    """Seconds until the next look is due; 0 when one is."""
    times = [_due(tier, observed, view) for view in _looked_at(tier, observed)]
    times += [_table_due(tier, observed), _load_due(tier, observed)]
    times += [due for _, due in _hit_ratios_due(tier, observed)]
    return min(_LONGEST_SECONDS, max(0.0, (min(times) - now).total_seconds()))


def _later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def _interval(tier: TierView) -> float:
    return float(tier.spec.health_check.interval_seconds)


def _looked_at(tier: TierView, observed: TierObserved) -> tuple[NodeView, ...]:
    if tier.spec.redis is None or observed.access is None:
        return ()
    return reachable(observed)


def _due(tier: TierView, observed: TierObserved, view: NodeView) -> datetime:
    """When the node is to be looked at, in whichever way."""
    finding = finding_of(observed, view)
    if finding is None:
        return _AT_ONCE
    due = [_later(finding.at, min(_interval(tier), QUICK_SECONDS)), _full_due(tier, observed, view)]
    broke = observed.kept.broke_at.get(view.name)
    if broke is not None and broke > finding.at:
        due.append(_AT_ONCE)
    # What one node is told in a failover changes what others are.
    failing_over = tier.status.failover is not None
    told = (t for (name, _), t in observed.kept.commands.items() if failing_over or name == view.name)
    if any(command.at >= finding.at for command in told):
        due.append(_later(finding.at, TOLD_SECONDS))
    if not is_settled(tier, observed):
        due.append(_later(finding.at, _close(tier, finding)))
    return min(due)


def _close(tier: TierView, finding: NodeFinding) -> float:
    reconciling = find(tier.status.conditions, ConditionType.RECONCILING)
    ready = find(tier.status.conditions, ConditionType.STALLED) or reconciling
    if ready is None or tier.status.failover is not None:
        return CLOSE_SECONDS
    long = finding.at - ready.last_transition_time >= timedelta(seconds=_LONG_SECONDS)
    return PATIENT_SECONDS if long else CLOSE_SECONDS


def _full_due(tier: TierView, observed: TierObserved, view: NodeView) -> datetime:
    """When it is to be looked at with a write, where it accepts writes."""
    finding = finding_of(observed, view)
    full_at = _full_at(observed, finding)
    if finding is None or full_at is None:
        return _AT_ONCE if finding is None else _later(finding.at, CLOSE_SECONDS)
    if _is_unchecked(finding) and not is_true(tier.status.conditions, ConditionType.HEALTHY):
        return _later(finding.at, CLOSE_SECONDS)
    return _later(full_at, min(_interval(tier), RETRY_SECONDS) if _was_refused(tier) else _interval(tier))


def _is_unchecked(finding: NodeFinding) -> bool:
    """Whether it is a primary that no write was tried at since it is one."""
    node = finding.answer
    return (
        isinstance(node, Node)
        and node.role is NodeRole.PRIMARY
        and node.check_ms is None
        and node.check_failure is None
    )


def _was_refused(tier: TierView) -> bool:
    """Whether the last write was refused: that it is not any more is told only by another."""
    healthy = find(tier.status.conditions, ConditionType.HEALTHY)
    return healthy is not None and healthy.reason in REFUSALS


def _full_at(observed: TierObserved, finding: NodeFinding | None) -> datetime | None:
    if finding is None:
        return None
    if finding.full_at is not None or not isinstance(finding.answer, Node):
        return finding.full_at
    node, totals = finding.answer, observed.kept.totals
    if node.role is NodeRole.REPLICA or node.check_ms is not None or node.check_failure is not None:
        return finding.at  # no look at a replica writes anything
    return totals[-1][0] if totals else None


def is_settled(tier: TierView, observed: TierObserved) -> bool:
    """Whether every node is what it should be, so that only what breaks can change anything. Decided by what is found,
    never by the time of this pass: so that what is due, and when, are one answer."""
    views = reachable(observed)
    answers = [node_of(observed, view) for view in views]
    if tier.status.failover is not None or None in answers:
        return False
    if any(node.loading or is_current(tier, node) is False for node in answers if node is not None):
        return False
    managed = tier.spec.redis is not None and tier.spec.redis.managed is not None
    return not managed or _is_complete(tier, observed)


def _is_complete(tier: TierView, observed: TierObserved) -> bool:
    nodes, status = observed.stateful_set, tier.status
    views = reachable(observed)
    if nodes is None or not nodes.caught_up or len(views) != wanted_nodes(tier) or len(observed.nodes) != len(views):
        return False
    if any(not v.ready or v.terminating or v.ended or not (v.current or tier.spec.paused) for v in views):
        return False
    primaries = [v for v in views if (n := node_of(observed, v)) is not None and n.role is NodeRole.PRIMARY]
    if [v.name for v in primaries] != [status.primary]:
        return False
    node = node_of(observed, primaries[0])
    if node is None or node.run_id != status.primary_run_id or node.failover_state != "no-failover":
        return False
    if len(views) > 1 and not status.guarded:
        return False
    return all(_is_in_place(observed, v, status.primary) for v in views)


def _is_in_place(observed: TierObserved, view: NodeView, primary: str | None) -> bool:
    if view.name == primary:
        return view.role_label == names.ROLE_PRIMARY
    return is_synced(observed, view, primary) is True and view.role_label == names.ROLE_REPLICA


def _table_due(tier: TierView, observed: TierObserved) -> datetime:
    if tier.spec.level is not CacheLevel.POSTGRESQL or observed.access is None:
        return _NEVER
    found = observed.kept.table
    if found is None:
        return _AT_ONCE
    fine = isinstance(found.answer, Table) and found.answer.check_failure is None
    return _later(found.at, _interval(tier) if fine else min(_interval(tier), RETRY_SECONDS))


def _load_due(tier: TierView, observed: TierObserved) -> datetime:
    if tier.spec.origin is None or tier.spec.paused or not _is_paced(tier, observed):
        return _NEVER
    found = observed.kept.load
    return _AT_ONCE if found is None else _later(found.at, LOAD_SECONDS)


def _is_paced(tier: TierView, observed: TierObserved) -> bool:
    """Whether there is work that goes at a pace, or is about to begin."""
    status, wish = tier.status, tier.spec.flush
    if status.flush is not None and status.flush.phase in (FlushPhase.RUNNING, FlushPhase.PAUSED):
        return True
    if wish is not None and not wish.stop and wish.name not in {f.name for f in status.flushes}:
        return True
    if any(w.phase in (WarmUpPhase.RUNNING, WarmUpPhase.PAUSED) for w in status.warm_ups):
        return True
    known = {w.release for w in status.warm_ups}
    return any(release.warming and release.name not in known for release in observed.releases)


def _hit_ratios_due(tier: TierView, observed: TierObserved) -> Iterator[tuple[str, datetime]]:
    seconds = max(_interval(tier), HIT_RATIO_SECONDS)
    for namespace in tier.spec.namespaces:
        if namespace.hit_ratio_query is not None:
            found = observed.kept.hit_ratios.get(namespace.name)
            yield namespace.name, _AT_ONCE if found is None else _later(found.at, seconds)
