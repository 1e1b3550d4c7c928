"""The scan of all keys: gives TTLs, counts, and evicts what is above a quota.

It is due after an interval, and at once after a change of what it goes by. One that finds a namespace above its quota
is followed at once by one that evicts, while what it found is fresh; so what it evicts by is never old. A namespace
that may be above its quota is given TTLs by the second of the two alone, since that makes keys young. Parts are
remembered in memory alone: with another run of the node, or of the operator, a scan begins anew, which is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.cache_tier import CacheNamespace
from sophia_operator.api.cache_tier_status import NamespaceStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.findings import NamespaceCount, NamespaceRule, ScanResult, ScanTask
from sophia_operator.core.cache.work.counts import merged, used_bytes
from sophia_operator.core.cache.work.eviction import GOAL, Eviction, eviction, percent
from sophia_operator.core.cache.work.keeping import START
from sophia_operator.core.cache.work.node import Sight
from sophia_operator.core.cache.work.pace import retry_seconds
from sophia_operator.core.cache.work.patterns import beginning
from sophia_operator.core.cache.work.plans import PART_SECONDS, SCAN, Why
from sophia_operator.core.decision import EventType, Notice

#: What a scan found is fresh enough to evict by.
FRESH_SECONDS: Final = 60.0
_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LastScan:
    """The newest scan that is remembered: through, or under way."""

    at: datetime
    node: str
    rules: tuple[NamespaceRule, ...]
    cursor: str
    through: bool
    failures: int
    failure: str
    found: ScanResult

    @property
    def evicted(self) -> bool:
        """Whether it was to evict."""
        return any(rule.evict_idle_seconds is not None for rule in self.rules)

    @property
    def lacks_ttls(self) -> bool:
        """Whether it left keys without a TTL for the next one."""
        held = (self.found.namespaces.get(rule.name) for rule in self.rules if not rule.gives_ttls)
        return any(count is not None and count.without_ttl > 0 for count in held)


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """What the planner decided. The task has the rate that the scan may go at when nothing else works."""

    namespaces: tuple[NamespaceStatus, ...]
    scanned_at: datetime | None
    keys: int | None
    unclaimed_keys: int | None
    task: ScanTask | None = None
    notices: tuple[Notice, ...] = ()
    wait: float | None = None
    why: Why | None = None
    quota_why: Mapping[str, str] = field(default_factory=dict)


def plan_scan(sight: Sight, numbers: Mapping[str, int]) -> ScanPlan:
    """The next part of the scan, if there is one, and the figures of the last that is through."""
    tier, last = sight.tier, last_scan(sight)
    plan = _folded(sight, numbers, last)
    if tier.spec.paused:
        return replace(plan, why=(Reason.NOT_SCANNED, "the tier is paused"))
    if last is not None and not last.through and _same_policy(last.rules, _rules(sight)):
        return _go_on(plan, sight, last)
    due = _due_at(sight, plan, last)
    if sight.now < due:
        return replace(plan, wait=(due - sight.now).total_seconds())
    return _begin(plan, sight, last)


def last_scan(sight: Sight) -> LastScan | None:
    """The newest scan, with what its parts found in all."""
    kept = sight.observed.kept
    finding = kept.tasks.get(SCAN)
    if finding is None or not isinstance(finding.task, ScanTask) or not isinstance(finding.result, ScanResult):
        return None
    failed = finding.result.failure
    return LastScan(
        at=finding.at,
        node=finding.node,
        rules=tuple(_left(rule, finding.result.namespaces.get(rule.name)) for rule in finding.task.rules),
        cursor=finding.result.cursor or finding.task.cursor,
        through=finding.result.cursor is None and failed is None,
        failures=finding.failures,
        failure="" if failed is None else failed.message,
        found=merged(kept.scan or (finding.result,)),
    )


def _left(rule: NamespaceRule, count: NamespaceCount | None) -> NamespaceRule:
    """Less what was evicted already."""
    if rule.evict_bytes is None or count is None:
        return rule
    return replace(
        rule,
        evict_bytes=max(0, rule.evict_bytes - count.evicted_bytes),
        evict_share_bytes=max(0, (rule.evict_share_bytes or 0) - count.evicted_share_bytes),
    )


def _go_on(plan: ScanPlan, sight: Sight, last: LastScan) -> ScanPlan:
    node = sight.node
    if node is None:
        return replace(plan, why=(Reason.NOT_SCANNED, "waits for a primary"))
    if node.run_id != last.node:
        return _begin(plan, sight, None)
    if last.failures or last.failure:
        due = last.at + timedelta(seconds=retry_seconds(last.failures))
        why = (Reason.NOT_SCANNED, f"the scan failed, and is tried again: {last.failure}"[:1024])
        if sight.now < due:
            return replace(plan, why=why, wait=(due - sight.now).total_seconds())
        plan = replace(plan, why=why)
    return replace(plan, task=_task(sight, last.cursor, last.rules))


def _begin(plan: ScanPlan, sight: Sight, last: LastScan | None) -> ScanPlan:
    if sight.node is None:
        return replace(plan, why=(Reason.NOT_SCANNED, "waits for a primary"))
    evictions, waits = _evictions(sight, last), _wait_for_ttls(sight, plan, last)
    rules = tuple(
        _to_evict(r, e) if (e := evictions.get(r.name)) is not None else replace(r, gives_ttls=r.name not in waits)
        for r in _rules(sight)
    )
    return replace(plan, task=_task(sight, START, rules))


def _to_evict(rule: NamespaceRule, found: Eviction) -> NamespaceRule:
    return replace(
        rule,
        evict_idle_seconds=found.idle_seconds,
        evict_share=found.share,
        evict_bytes=found.most_bytes,
        evict_share_bytes=found.share_bytes,
    )


def _wait_for_ttls(sight: Sight, plan: ScanPlan, last: LastScan | None) -> frozenset[str]:
    """Namespaces that may be above their quotas. Their keys are given TTLs by the scan that follows, which evicts what
    is to go first; after one that waited, none does again."""
    if last is not None and last.through and last.lacks_ttls:
        return frozenset()
    quotas = _quotas(sight)
    return frozenset(
        n.name
        for n in plan.namespaces
        if (quota := quotas[n.name]) is not None and (n.used_bytes is None or n.used_bytes > GOAL * quota)
    )


def _task(sight: Sight, cursor: str, rules: tuple[NamespaceRule, ...]) -> ScanTask:
    sample = max((rule.sample or 0.0 for rule in rules), default=0.0)
    return ScanTask(cursor, rules, sight.tier.spec.scan.keys_per_second, sample, PART_SECONDS)


def _due_at(sight: Sight, plan: ScanPlan, last: LastScan | None) -> datetime:
    """When the next scan is to begin."""
    tier, now = sight.tier, sight.now
    if plan.scanned_at is None or any(n.scanned_at is None for n in plan.namespaces):
        return now
    if last is None and tier.status.observed_generation != tier.generation:
        return now
    if last is not None and not _same_policy(last.rules, _rules(sight)):
        return now
    if _evictions(sight, last) or (last is not None and last.through and last.lacks_ttls):
        return now
    return plan.scanned_at + timedelta(seconds=tier.spec.scan.interval_seconds)


def _rules(sight: Sight) -> tuple[NamespaceRule, ...]:
    """By the longest prefix first, so that the first that fits a key is the right one."""
    namespaces = sorted(sight.tier.spec.namespaces, key=lambda n: (-len(n.prefix), n.name))
    return tuple(
        NamespaceRule(n.name, beginning(n.prefix), n.ttl_seconds, sample=_sample(sight, n)) for n in namespaces
    )


def _sample(sight: Sight, namespace: CacheNamespace) -> float:
    """The part that comes to about as many keys as are to be sampled, by what is known of their number."""
    known = next((n.keys for n in sight.tier.status.namespaces if n.name == namespace.name), None)
    if known is None:
        known = sight.node.keys if sight.node is not None else 0
    return min(1.0, sight.tier.spec.scan.sampled_keys / max(1, known))


def _same_policy(one: tuple[NamespaceRule, ...], other: tuple[NamespaceRule, ...]) -> bool:
    return [(r.name, r.prefix, r.ttl_seconds) for r in one] == [(r.name, r.prefix, r.ttl_seconds) for r in other]


def _quotas(sight: Sight) -> dict[str, int | None]:
    return {
        n.name: None if n.max_memory_megabytes is None else n.max_memory_megabytes * _MEBIBYTE
        for n in sight.tier.spec.namespaces
    }


def _evictions(sight: Sight, last: LastScan | None) -> dict[str, Eviction]:
    """What the next scan evicts: after one that is through, is fresh, went by the same policy, and only measured."""
    if last is None or not last.through or last.evicted or not _same_policy(last.rules, _rules(sight)):
        return {}
    if sight.now - last.at > timedelta(seconds=FRESH_SECONDS):
        return {}
    found = {name: _eviction(last, name, quota) for name, quota in _quotas(sight).items()}
    return {name: one for name, one in found.items() if isinstance(one, Eviction)}


def _eviction(last: LastScan, name: str, quota: int | None) -> Eviction | str | None:
    return eviction(last.found.namespaces.get(name, NamespaceCount()), quota)


def _folded(sight: Sight, numbers: Mapping[str, int], last: LastScan | None) -> ScanPlan:
    """The status of each namespace, with what the last scan found once it is through."""
    status = sight.tier.status
    known = {n.name: n for n in status.namespaces}
    namespaces = tuple(
        known.get(name, NamespaceStatus(name=name)).model_copy(update={"generation": number})
        for name, number in numbers.items()
    )
    plan = ScanPlan(namespaces, status.scanned_at, status.keys, status.unclaimed_keys)
    if last is None or not last.through or not _same_policy(last.rules, _rules(sight)):
        return plan
    quotas = _quotas(sight)
    plan = replace(plan, quota_why=_quota_why(last, quotas))
    if status.scanned_at is not None and last.at <= status.scanned_at:
        return plan
    counts = last.found.namespaces
    return replace(
        plan,
        namespaces=tuple(_figures(n, counts.get(n.name, NamespaceCount()), quotas[n.name], last) for n in namespaces),
        scanned_at=last.at,
        keys=last.found.unclaimed + sum(c.keys for c in counts.values()),
        unclaimed_keys=last.found.unclaimed,
        notices=_notices(counts),
    )


def _figures(namespace: NamespaceStatus, count: NamespaceCount, quota: int | None, last: LastScan) -> NamespaceStatus:
    used = used_bytes(count)
    was_to_evict = any(r.name == namespace.name and r.evict_idle_seconds is not None for r in last.rules)
    return namespace.model_copy(
        update={
            "keys": count.keys,
            "used_bytes": used,
            "quota_percent": percent(used, quota),
            "without_ttl_keys": count.without_ttl,
            "ttls_given": count.ttls_given,
            "evicted": count.evicted if was_to_evict else namespace.evicted,
            "scanned_at": last.at,
        }
    )


def _notices(counts: Mapping[str, NamespaceCount]) -> tuple[Notice, ...]:
    gone = {name: count.evicted for name, count in counts.items() if count.evicted}
    message = "namespace {} was above its quota: {} of its keys were evicted"
    return tuple(Notice(EventType.NORMAL, Reason.EVICTED.value, message.format(*pair)) for pair in gone.items())


def _quota_why(last: LastScan, quotas: Mapping[str, int | None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quota in quotas.items():
        what = _eviction(last, name, quota)
        if isinstance(what, str):
            found[name] = what
        elif what is not None and not last.evicted:
            found[name] = "its oldest entries are evicted next"
        elif what is not None:
            found[name] = _after_eviction(last.found.namespaces[name].evicted)
    return found


def _after_eviction(gone: int) -> str:
    if gone == 0:
        return "none of its entries was idle for long enough: all of them were used meanwhile"
    return f"{gone} keys were evicted, and it is written to faster than that"
