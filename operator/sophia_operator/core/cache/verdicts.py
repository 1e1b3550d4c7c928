"""What each condition of a tier says, from what is seen. Without anything seen, None: it stays what it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.core.cache.figures import MEBIBYTE
from sophia_operator.core.cache.findings import NodeVerb
from sophia_operator.core.cache.live_config import differing, unknown
from sophia_operator.core.cache.names import EXTERNAL
from sophia_operator.core.cache.settings import live_settings
from sophia_operator.core.cache.sight import finding_of, node_of, staying, view_of
from sophia_operator.core.cache.topology.plan_values import TopologyPlan
from sophia_operator.core.cache.views import TierObserved, TierView
from sophia_operator.core.cache.work.plans import WorkPlan
from sophia_operator.core.sayings import Saying

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Sight:
    """A tier, what is seen of it, what was planned, and the status that is being made of that."""

    tier: TierView
    observed: TierObserved
    topology: TopologyPlan
    work: WorkPlan
    status: CacheTierStatus
    now: datetime

    def before(self, kind: ConditionType) -> Saying | None:
        """What was said."""
        found = find(self.tier.status.conditions, kind)
        return None if found is None else Saying(found.status, Reason(found.reason), found.message)

    def was(self, kind: ConditionType, status: ConditionStatus) -> bool:
        found = self.before(kind)
        return found is not None and found.status is status


def within_quota(sight: Sight) -> Saying | None:
    """Whether every namespace keeps to its quota; nothing is said of a level without keys."""
    view = view_of(sight.observed, EXTERNAL)
    if view is not None and finding_of(sight.observed, view) is None and sight.before(ConditionType.WITHIN_QUOTA):
        return None  # how big it is is not known since the operator started
    said, too_much = _kept_quotas(sight), _too_much(sight)
    return replace(said, message=said.message + too_much) if too_much else said


def _too_much(sight: Sight) -> str:
    """That the quotas do not fit into an adopted Redis. Of managed nodes, admission sees to that."""
    redis, view = sight.tier.spec.redis, view_of(sight.observed, EXTERNAL)
    found = finding_of(sight.observed, view) if view is not None else None
    if redis is None or redis.external is None or found is None or found.last is None or not found.last.max_memory:
        return ""
    total, most = (
        sum(n.max_memory_megabytes or 0 for n in sight.tier.spec.namespaces),
        found.last.max_memory // MEBIBYTE,
    )
    if total <= most:
        return ""
    where = f"{redis.external.host}:{redis.external.port}"
    return f"; together quotas are {total} MiB, and maxmemory of {where} is {most} MiB: lower them, or raise that"


def _kept_quotas(sight: Sight) -> Saying:
    quotas = {n.name: n.max_memory_megabytes for n in sight.tier.spec.namespaces if n.max_memory_megabytes is not None}
    if not quotas:
        return Saying(TRUE, Reason.QUOTAS_KEPT, "no namespace has a quota")
    found = {n.name: n for n in sight.status.namespaces if n.name in quotas}
    over = [n for n in found.values() if n.quota_percent is not None and n.quota_percent > 100]
    if over:
        worst = max(over, key=lambda n: n.quota_percent or 0)
        of = f"{round((worst.used_bytes or 0) / MEBIBYTE)} MiB of {quotas[worst.name]} MiB"
        why = sight.work.quota_why.get(worst.name)
        message = f"namespace {worst.name} uses {of}: keys that were idle for longest are evicted"
        if why is not None:
            message = f"namespace {worst.name} uses {of}: {why}"
        remedy = "; raise its maxMemoryMegabytes, or shorten its ttlSeconds, if that goes on"
        return Saying(FALSE, Reason.OVER_QUOTA, message + remedy)
    if any(name not in found or found[name].quota_percent is None for name in quotas):
        if sight.work.scan_why is not None:
            return Saying(UNKNOWN, *sight.work.scan_why)
        return Saying(UNKNOWN, Reason.NOT_SCANNED, "keys were not looked over yet")
    return Saying(TRUE, Reason.QUOTAS_KEPT, "every namespace keeps to its quota")


def hit_ratio_on_target(sight: Sight) -> Saying:
    """Whether reads are answered as often as the spec asks for."""
    target, ratio = sight.tier.spec.hit_ratio_target_percent, sight.status.hit_ratio_percent
    low = [n for n in sight.status.namespaces if n.hit_ratio_percent is not None and n.hit_ratio_percent < target]
    remedy = "see which keys are missed; longer TTLs, more memory or a warm-up raise it, or lower hitRatioTargetPercent"
    if ratio is not None and ratio < target:
        return Saying(FALSE, Reason.HIT_RATIO_LOW, f"{ratio} % of the reads are answered, of {target} %: {remedy}")
    if low:
        worst = min(low, key=lambda n: n.hit_ratio_percent or 0)
        message = f"namespace {worst.name} answers {worst.hit_ratio_percent} % of its reads, of {target} %: {remedy}"
        return Saying(FALSE, Reason.HIT_RATIO_LOW, message)
    if ratio is None:
        return Saying(UNKNOWN, Reason.NO_READS, _unread(sight))
    return Saying(TRUE, Reason.HIT_RATIO_REACHED, f"at least {target} % of the reads are answered")


def _unread(sight: Sight) -> str:
    if sight.tier.spec.level is CacheLevel.REDIS:
        return "nobody reads, or too few reads were seen yet"
    failed = next((r.message for r in sight.observed.kept.hit_ratios.values() if r.ratio is None and r.message), None)
    if failed is not None:
        return f"the hit ratio cannot be found out: {failed}; see hitRatioQuery of its namespace"
    return "this level counts no reads: give its namespaces a hitRatioQuery"


def live_config_applied(sight: Sight) -> Saying | None:
    """Whether every node has every setting as wanted; nothing where none is the operator's."""
    wanted = live_settings(sight.tier)
    there = staying(sight.observed)
    if not there:
        return None
    for view in there:
        node = node_of(sight.observed, view)
        if node is None or not node.settings:
            return None
        missing = unknown(wanted, node)
        if missing:
            words = f"{node.version} at {view.name} has no {', '.join(missing)}: choose a newer image"
            return Saying(FALSE, Reason.CONFIG_PENDING, words)
        late = sorted(differing(wanted, node))
        if late:
            told = sight.observed.kept.commands.get((view.name, NodeVerb.CONFIGURE.value))
            words = f"node {view.name} is told to set {', '.join(late)}"
            if told is not None and told.failure is not None:
                words = f"node {view.name} does not take {', '.join(late)}: {told.failure.message}; correct the spec"
            return Saying(FALSE, Reason.CONFIG_PENDING, words)
    return Saying(TRUE, Reason.CONFIG_CONFIRMED, "every node has every setting of the spec")


def paused(sight: Sight) -> Saying | None:
    """Whether keys are left alone; nothing when nobody asked for it."""
    if not sight.tier.spec.paused:
        return None
    return Saying(TRUE, Reason.PAUSED_BY_SPEC, "keys are left alone, and no node is replaced, until paused is false")
