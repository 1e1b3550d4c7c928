"""Acts of recovery on a tier: FlushNamespace and PurgeMemory.

A flush that an act asks for is a flush like any other: named after the act, done once for that name, at a pace, and
told in the status. A flush of the spec goes first, and is disturbed by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_flush import Flush
from sophia_operator.api.cache_tier import CacheLevel, CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, FlushPhase, FlushStatus, NamespaceStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.cache.findings import NodeCommand, NodeCommandResult, NodeVerb
from sophia_operator.core.cache.sight import primary_of, reachable, table_of
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.recovery.acts import begun, ended, replaced, tidied, to_begin
from sophia_operator.core.recovery.views import ActRequest
from sophia_operator.core.words import count

_RATE: Final = 2000
_SUBJECT: Final = "namespace "
#: What a scan found is good for a choice for so long, and while it accounts for the keys that are there now: what fills
#: the memory in a burst came after a scan that is some seconds old, and another namespace would pay for it.
_FRESH_SECONDS: Final = 60
_LEAST_SHARE: Final = 0.75
#: Between two scans while an act waits for one.
_SCAN_SECONDS: Final = 5
#: Of a namespace whose hit ratio is not known: as if every second read was answered.
_HALF: Final = 50
_MEBIBYTE: Final = 1024 * 1024
_ENDS: Final = {
    FlushPhase.DONE: ActPhase.DONE,
    FlushPhase.STOPPED: ActPhase.FAILED,
    FlushPhase.REFUSED: ActPhase.REFUSED,
}


@dataclass(frozen=True, slots=True)
class ActsPlan:
    """What the status says of acts, and what follows for the other planners."""

    acts: tuple[ActStatus, ...] = ()
    #: The flush that an act asks for, while no flush of the spec is to be done.
    wish: Flush | None = None
    commands: tuple[NodeCommand, ...] = ()
    #: Whether a scan is wanted now: an act waits for what it finds.
    scan: bool = False


def plan_acts(tier: TierView, observed: TierObserved, now: datetime) -> ActsPlan:
    """One act at a time. The status is written before anything is done."""
    acts = tidied(tier.status.acts, observed.acts)
    running = next((act for act in acts if act.phase is ActPhase.RUNNING), None)
    if running is None:
        request = to_begin(acts, (r for r in observed.acts if r.action in _BEGIN))
        if request is None:
            return ActsPlan(tuple(acts))
        running = _BEGIN[request.action](tier, observed, request, now)
        acts = replaced(acts, running)
    if running.phase is not ActPhase.RUNNING:
        return ActsPlan(tuple(acts))
    if running.action is Action.FLUSH_NAMESPACE:
        return _flushing(tier, observed, acts, running, now)
    return _purging(observed, acts, running, now)


def with_wishes(tier: TierView, plan: ActsPlan) -> TierView:
    """The tier as its planners of work see it."""
    changes: dict[str, Any] = {"flush": plan.wish} if plan.wish is not None else {}
    if plan.scan:
        seconds = min(_SCAN_SECONDS, tier.spec.scan.interval_seconds)
        changes["scan"] = tier.spec.scan.model_copy(update={"interval_seconds": seconds})
    return replace(tier, spec=tier.spec.model_copy(update=changes)) if changes else tier


def flush_name(act: ActStatus) -> str:
    """Name of the flush that the act asks for: another act of the same name is another flush."""
    return f"recovery-{act.uid}"[:63].rstrip("-")


def cheapest(spec: CacheTierSpec, status: CacheTierStatus) -> tuple[str, str] | None:
    """The namespace that is missed least for the memory that it gives, and why; None while none is known to use any.

    What a namespace gives is its memory, what it costs is the share of reads that it answers: most is gained by the
    one with the most bytes times the share of reads that it does not answer. Of equals the shortest life goes first,
    which would go soonest anyhow.
    """
    lives = {n.name: n.ttl_seconds for n in spec.namespaces}
    known = [n for n in status.namespaces if n.name in lives and n.used_bytes]
    if not known:
        return None
    best = min(known, key=lambda n: (-_gain(n), lives[n.name], n.name))
    ratio = best.hit_ratio_percent
    answered = f"answers {ratio} % of its reads" if ratio is not None else "has no known hit ratio"
    size = f"{max(1, (best.used_bytes or 0) // _MEBIBYTE)} MiB"
    return best.name, f"{best.name} gives most for what it costs: it uses about {size}, and {answered}"


def _gain(namespace: NamespaceStatus) -> float:
    ratio = namespace.hit_ratio_percent if namespace.hit_ratio_percent is not None else _HALF
    # One that answers everything still gives its memory back, so it is worth something.
    return (namespace.used_bytes or 0) * max(1, 100 - ratio) / 100


def _begin_flush(tier: TierView, observed: TierObserved, request: ActRequest, now: datetime) -> ActStatus:
    if tier.spec.level is CacheLevel.MEMORY:
        why = "entries in the memory of clients cannot be taken away one by one"
        return ended(begun(request, now), ActPhase.REFUSED, why, now)
    named = request.parameters.namespace_name
    known = [n.name for n in tier.spec.namespaces]
    if named is not None and named not in known:
        why = f"there is no namespace {named}; there are: {', '.join(known) or 'none'}"
        return ended(begun(request, now), ActPhase.REFUSED, why, now)
    if named is not None:
        return begun(request, now, subject=f"{_SUBJECT}{named}", message=f"flushes {named}, as asked")
    act = begun(request, now, message="waits for a scan, which tells the cheapest namespace")
    return _chosen(tier, observed, act, now)


def _chosen(tier: TierView, observed: TierObserved, act: ActStatus, now: datetime) -> ActStatus:
    """With the namespace that it is about, chosen by a scan that is not old and knows the keys that are there."""
    scanned, tallies = tier.status.scanned_at, _tallies(tier, observed)
    fresh = scanned is not None and scanned >= act.started_at - timedelta(seconds=_FRESH_SECONDS)
    chosen = cheapest(tier.spec, tier.status) if fresh and tallies else None
    if chosen is not None:
        return act.model_copy(update={"subject": f"{_SUBJECT}{chosen[0]}", "message": chosen[1]})
    if scanned is None or scanned <= act.started_at or not tallies:
        return act
    return ended(act, ActPhase.REFUSED, "no namespace uses memory: what fills it is of none, and is left alone", now)


def _tallies(tier: TierView, observed: TierObserved) -> bool:
    """Whether the last scan found about as many keys as there are now. Where that is not known, it is believed."""
    node, table, found = primary_of(observed, tier.status.primary), table_of(observed), tier.status.keys
    there = node.keys if node is not None else table.keys if table is not None else None
    if there is None or found is None:
        return True
    return min(there, found) >= _LEAST_SHARE * max(there, found)


def _begin_purge(tier: TierView, observed: TierObserved, request: ActRequest, now: datetime) -> ActStatus:
    if tier.spec.level is not CacheLevel.REDIS:
        why = f"a {tier.spec.level.value} level has no allocator that could give memory back"
        return ended(begun(request, now), ActPhase.REFUSED, why, now)
    names = [view.name for view in reachable(observed)]
    if not names:
        return ended(begun(request, now), ActPhase.FAILED, "no node answers", now)
    return begun(request, now, subject=", ".join(names)[:512])


_BEGIN: Final = {Action.FLUSH_NAMESPACE: _begin_flush, Action.PURGE_MEMORY: _begin_purge}


def _flushing(
    tier: TierView, observed: TierObserved, acts: Sequence[ActStatus], act: ActStatus, now: datetime
) -> ActsPlan:
    if act.subject is None:
        act = _chosen(tier, observed, act, now)
        acts = replaced(acts, act)
        if act.subject is None:
            return ActsPlan(tuple(acts), scan=act.phase is ActPhase.RUNNING)
    name = flush_name(act)
    over = next((f for f in tier.status.flushes if f.name == name), None)
    if over is not None:
        done = _over(act, over, now)
        return ActsPlan(tuple(replaced(acts, done)))
    if _is_busy(tier, name):
        assert tier.spec.flush is not None
        waiting = act.model_copy(update={"message": f"waits for flush {tier.spec.flush.name} of the spec"})
        return ActsPlan(tuple(replaced(acts, waiting)))
    request = next((r for r in observed.acts if r.uid == act.uid), None)
    rate = request.parameters.keys_per_second if request is not None else None
    wish = Flush(name=name, namespace_name=act.subject.removeprefix(_SUBJECT), keys_per_second=rate or _RATE)
    return ActsPlan(tuple(acts), wish)


def _is_busy(tier: TierView, name: str) -> bool:
    """Whether a flush of the spec is under way, or to be done, which this one has to wait for."""
    wish, going = tier.spec.flush, tier.status.flush
    if going is not None and going.name == name:
        return False
    return wish is not None and all(past.name != wish.name for past in tier.status.flushes)


def _over(act: ActStatus, flush: FlushStatus, now: datetime) -> ActStatus:
    did = f"flushed {act.subject}: {flush.deleted} keys deleted, of {flush.scanned} looked at"
    return ended(act, _ENDS.get(flush.phase, ActPhase.FAILED), flush.message or did, now, [did])


def _purging(observed: TierObserved, acts: Sequence[ActStatus], act: ActStatus, now: datetime) -> ActsPlan:
    """MEMORY PURGE at every node that there was; one that is gone meanwhile has nothing to give."""
    there = {view.name for view in reachable(observed)}
    nodes = [name for name in (act.subject or "").split(", ") if name in there]
    results = {name: _told_since(observed, name, act.started_at) for name in nodes}
    waiting = [name for name, result in results.items() if result is None]
    if waiting:
        commands = tuple(NodeCommand(name, NodeVerb.PURGE_MEMORY) for name in waiting)
        return ActsPlan(tuple(acts), commands=commands)
    failures = [f"{n}: {r.failure.message}" for n, r in results.items() if r is not None and r.failure is not None]
    did = [f"MEMORY PURGE at {name}" for name, r in results.items() if r is not None and r.failure is None]
    if failures:
        done = ended(act, ActPhase.FAILED, "; ".join(failures), now, did)
    else:
        done = ended(act, ActPhase.DONE, f"{count(len(did), 'node')} gave back what held no entries", now, did)
    return ActsPlan(tuple(replaced(acts, done)))


def _told_since(observed: TierObserved, name: str, since: datetime) -> NodeCommandResult | None:
    told = observed.kept.commands.get((name, NodeVerb.PURGE_MEMORY.value))
    return told if told is not None and told.at >= since else None


def kept_flushes(newest: Iterable[FlushStatus], before: Iterable[FlushStatus], wish: Flush | None) -> list[FlushStatus]:
    """The newest flushes that ended, and that of the spec in any case: acts may have more flushes than are kept, and
    one of the spec that is forgotten would be done again."""
    kept = list(newest)
    own = next((f for f in before if wish is not None and f.name == wish.name), None)
    return kept if own is None or any(f.name == own.name for f in kept) else [own, *kept[1:]]
