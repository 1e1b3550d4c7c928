"""Conditions of a tier, by the rules of kstatus."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sophia_operator.api.cache_tier import CacheLevel
from sophia_operator.api.conditions import Author, Condition, ConditionType, Reason, find
from sophia_operator.core.cache import health, names, remedies, verdicts
from sophia_operator.core.cache.settings import live_settings
from sophia_operator.core.cache.sight import (
    failure_of,
    finding_of,
    node_of,
    primary_of,
    reachable,
    table_failure_of,
    table_of,
    view_of,
    wanted_nodes,
)
from sophia_operator.core.cache.verdicts import FALSE, TRUE, UNKNOWN, Sight
from sophia_operator.core.sayings import Saying, Why, as_before, put

#: A host that is being replaced may for a moment be unknown, or refuse everybody: no mistake in the spec yet.
GRACE_SECONDS: Final = 60.0
_STALLING: Final = frozenset({Reason.CRASH_LOOP, Reason.IMAGE_PULL_FAILED, Reason.QUOTA_EXCEEDED})
_KEPT: Final = "; the tier keeps what it has"


def conditions(sight: Sight) -> list[Condition]:
    """The list, from a status in which everything else is set."""
    author = Author(sight.tier.status.conditions, sight.tier.generation, sight.now)
    out = put(author, [], ConditionType.HEALTHY, health.healthy(sight) or as_before(author, ConditionType.HEALTHY))
    out = put(author, out, ConditionType.HIT_RATIO_ON_TARGET, verdicts.hit_ratio_on_target(sight))
    if sight.tier.spec.level is not CacheLevel.MEMORY:
        kept = verdicts.within_quota(sight) or as_before(author, ConditionType.WITHIN_QUOTA)
        out = put(author, out, ConditionType.WITHIN_QUOTA, kept)
    if live_settings(sight.tier):
        applied = verdicts.live_config_applied(sight) or as_before(author, ConditionType.LIVE_CONFIG_APPLIED)
        out = put(author, out, ConditionType.LIVE_CONFIG_APPLIED, applied)
    paused = verdicts.paused(sight)
    if paused is not None:
        out = put(author, out, ConditionType.PAUSED, paused)
    stall = _stall(sight)
    going = _going_on(sight, out) if stall is None else None
    if stall is not None:
        out = author.put(out, ConditionType.STALLED, stall)
    if going is not None:
        out = author.put(out, ConditionType.RECONCILING, going)
    return put(author, out, ConditionType.READY, _ready(sight, stall, going))


def _stall(sight: Sight) -> Why | None:
    """What only a change by a person, or of the cluster, can mend."""
    kept = _KEPT if sight.was(ConditionType.READY, TRUE) or reachable(sight.observed) else ""
    for blocker in sight.observed.blockers:
        return blocker.reason, blocker.message + kept
    return _chain(sight) or _mistake(sight) or _pods(sight, kept)


def _chain(sight: Sight) -> Why | None:
    tiers = [sight.tier.name, *(link.name for link in sight.observed.below)]
    if sight.observed.cycle:
        specs = (sight.tier.spec, *(link.spec for link in sight.observed.below))
        last = specs[-1].next if specs[-1] is not None else None
        circle = " -> ".join([*tiers, last or tiers[0]])
        return Reason.CHAIN_CYCLE, f"by spec.next the tiers form a circle, {circle}: take spec.next from one of them"
    for above, link in zip(tiers, sight.observed.below, strict=False):
        if link.spec is None:
            message = (
                f"tier {link.name}, which spec.next of {above} names, is not there or cannot be read: make it, or "
            )
            return Reason.TIER_NOT_FOUND, f"{message}correct spec.next; until then the chain ends above it"
    return None


def _mistake(sight: Sight) -> Why | None:
    tier, observed = sight.tier, sight.observed
    table = table_failure_of(observed)
    if table is not None and table.fault in remedies.TABLE_MISTAKES:
        return remedies.of_table(tier, table)
    if tier.spec.redis is None or tier.spec.redis.external is None:
        return None
    view = view_of(observed, names.EXTERNAL)
    failure = failure_of(observed, view) if view is not None else None
    if view is None or failure is None or failure.fault not in remedies.MISTAKES:
        return None
    finding = finding_of(observed, view)
    answered = finding.last_at if finding is not None else None
    fresh = answered is not None and sight.now - answered < timedelta(seconds=GRACE_SECONDS)
    return None if fresh else remedies.of_node(tier, view.name, failure)


def _pods(sight: Sight, kept: str) -> Why | None:
    nodes = sight.observed.stateful_set
    problem = nodes.problem if nodes is not None else None
    if problem is None or problem.reason not in _STALLING:
        return None
    return problem.reason, f"nodes do not start: {problem.message}{kept}"


def _going_on(sight: Sight, out: list[Condition]) -> Why | None:
    """What is still under way."""
    why = health.of_topology(sight)
    if why is not None:
        return why
    level = _table(sight) if sight.tier.spec.level is CacheLevel.POSTGRESQL else _nodes(sight)
    applied = find(out, ConditionType.LIVE_CONFIG_APPLIED)
    if level is not None:
        return level
    if applied is not None and applied.status is not TRUE:
        return Reason(applied.reason), applied.message
    return _first_checks(out) or _flush(sight)


def _table(sight: Sight) -> Why | None:
    failure = table_failure_of(sight.observed)
    return remedies.of_table(sight.tier, failure) if failure is not None else None


def _nodes(sight: Sight) -> Why | None:
    for view in reachable(sight.observed):
        failure = failure_of(sight.observed, view)
        if failure is not None:
            return remedies.of_node(sight.tier, view.name, failure)
    if sight.tier.spec.redis is None or sight.tier.spec.redis.managed is None:
        return None
    nodes = sight.observed.stateful_set
    if nodes is None:
        return Reason.PROGRESSING, "the nodes are being made"
    if not nodes.caught_up:
        return Reason.ROLLING, "nodes are brought to what the spec says, one at a time"
    missing, late = health.not_ready(sight), health.unsynced(sight)
    if missing is not None:
        return missing
    if late is not None:
        return Reason.SYNCING, f"replica {late} does not have all that the primary has yet"
    extra = nodes.pods - wanted_nodes(sight.tier)
    return (Reason.PROGRESSING, f"{extra} nodes too many are on their way out") if extra > 0 else None


def _first_checks(out: list[Condition]) -> Why | None:
    healthy = find(out, ConditionType.HEALTHY)
    if healthy is not None and healthy.status is UNKNOWN:
        return Reason.NOT_CHECKED, "the level is being checked"
    return None


def _flush(sight: Sight) -> Why | None:
    return sight.work.flush_why if sight.status.flush is not None else None


def _ready(sight: Sight, stall: Why | None, going: Why | None) -> Saying:
    """Whether clients are served."""
    if stall is not None:
        return Saying(FALSE, *stall)
    match sight.tier.spec.level:
        case CacheLevel.MEMORY:
            serves: Why | bool | None = True
        case CacheLevel.POSTGRESQL:
            serves = _table_serves(sight)
        case CacheLevel.REDIS:
            serves = _primary_serves(sight)
    if serves is None:
        # Nothing is known since the operator started.
        before = sight.before(ConditionType.READY)
        if before is not None and before.status is TRUE:
            return before
        return Saying(FALSE, *(going or (Reason.NOT_CHECKED, "the level is being checked")))
    if serves is True:
        return Saying(TRUE, Reason.TIER_READY, f"clients are served{_shared(sight)}{_refused_flush(sight)}")
    assert not isinstance(serves, bool)
    return Saying(FALSE, *serves)


def _shared(sight: Sight) -> str:
    """Two tiers may be meant to share keys, as for services of two namespaces: so it is told, and nothing more."""
    if not sight.observed.shared:
        return ""
    one, more = sight.observed.shared[0], len(sight.observed.shared) - 1
    others = f", and {more} more alike" if more else ""
    return (
        f"; keys of namespace {one.namespace} are also those of namespace {one.other} of tier {one.tier}{others}: "
        "TTLs, quotas and flushes of either take them away; choose another prefix unless that is meant"
    )


def _refused_flush(sight: Sight) -> str:
    """A flush that is refused does no harm, and is told all the same."""
    why = sight.work.flush_why
    if why is None or why[0] is not Reason.FLUSH_REFUSED:
        return ""
    return f"; {why[1]}: correct or remove spec.flush, nothing was deleted"


def _table_serves(sight: Sight) -> Why | bool | None:
    failure, table = table_failure_of(sight.observed), table_of(sight.observed)
    if failure is None and table is not None:
        failure = table.check_failure
    if failure is not None:
        return remedies.of_table(sight.tier, failure)
    return None if table is None else True


def _primary_serves(sight: Sight) -> Why | bool | None:
    observed, name = sight.observed, sight.status.primary
    view = view_of(observed, name)
    if view is None:
        return _without_primary(sight)
    if finding_of(observed, view) is None:
        return None
    failure = failure_of(observed, view)
    if failure is not None:
        return remedies.of_node(sight.tier, view.name, failure)
    if primary_of(observed, name) is None:
        return health.of_topology(sight) or (Reason.NO_PRIMARY, f"{view.name} is no primary any more")
    refused = health.refusal(sight)
    if refused is not None:
        return refused
    managed = sight.tier.spec.redis is not None and sight.tier.spec.redis.managed is not None
    labelled = view.role_label == names.ROLE_PRIMARY
    if managed and not labelled and not sight.was(ConditionType.READY, TRUE):
        return Reason.PROGRESSING, f"{view.name} is the primary, and the Service does not lead to it yet"
    return True


def _without_primary(sight: Sight) -> Why | None:
    """Before the first look there is nothing to say but what was said."""
    external = view_of(sight.observed, names.EXTERNAL)
    failure = failure_of(sight.observed, external) if external is not None else None
    if external is not None and failure is not None:
        return remedies.of_node(sight.tier, external.name, failure)
    if external is not None and node_of(sight.observed, external) is not None:
        return Reason.READ_ONLY, health.read_only(sight)
    if external is not None or not sight.observed.kept.nodes:
        return None
    return health.of_topology(sight) or (Reason.NO_PRIMARY, "no node is the primary yet")
