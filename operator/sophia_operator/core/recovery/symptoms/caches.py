"""What may be wrong with a tier of a cache."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from sophia_operator.api.cache_tier import CacheLevel, CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason
from sophia_operator.api.recovery_policy import Rule
from sophia_operator.core.recovery.symptoms.sight import NOT_SEEN, absent, said, unknown
from sophia_operator.core.recovery.views import Sign, TargetView

#: More of what it may use is too much, in percent, where the rule says nothing.
THRESHOLD_PERCENT: Final = 90
_USED: Final = re.compile(r"^([0-9]+)Mi/([0-9]+)Mi$")
_FULL: Final = 100.0


def high_memory(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """The primary uses too much of its memory, or a namespace of its quota, or writes are refused for want of memory.
    Its value is the largest of these shares, in percent.

    The memory of clients (level Memory) is their own: the symptom is never there. It cannot be told while the primary
    does not answer, or has no limit and no namespace has a quota.
    """
    del now
    spec, status, healthy = target.spec, target.status, said(target, ConditionType.HEALTHY)
    if not isinstance(spec, CacheTierSpec) or not isinstance(status, CacheTierStatus) or healthy is None:
        return NOT_SEEN
    if spec.level is CacheLevel.MEMORY:
        return absent("the memory is the clients' own")
    limit = rule.threshold_percent or THRESHOLD_PERCENT
    name, percent = max(_shares(status), key=lambda found: found[1], default=("", -1.0))
    if healthy.status is ConditionStatus.FALSE and healthy.reason == Reason.OUT_OF_MEMORY.value:
        return Sign(True, max(_FULL, percent), healthy.message)
    if percent < 0:
        return unknown("neither the memory in use nor a share of a quota is known")
    # No figures in the words: they would be others at each look.
    if percent < limit:
        return absent(f"less than {limit} % of the memory, and of each quota, is in use")
    return Sign(True, percent, f"{name} uses {limit} % or more of what it may")


def _shares(status: CacheTierStatus) -> list[tuple[str, float]]:
    """What is in use of what may be, in percent, by who uses it."""
    found = [(f"namespace {n.name}", float(n.quota_percent)) for n in status.namespaces if n.quota_percent is not None]
    used = _USED.match(status.used or "")
    if used is not None and int(used[2]):
        found.append((f"the memory of {status.primary or 'the primary'}", round(100 * int(used[1]) / int(used[2]), 1)))
    return found


def cache_hit_ratio_low(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """The tier, or one of its namespaces, answers a smaller share of the reads than the spec asks for. Its value is by
    how many percent points, of the worst of them."""
    del rule, now
    spec, status, reached = target.spec, target.status, said(target, ConditionType.HIT_RATIO_ON_TARGET)
    if not isinstance(spec, CacheTierSpec) or not isinstance(status, CacheTierStatus) or reached is None:
        return NOT_SEEN
    if reached.status is ConditionStatus.TRUE:
        return absent(reached.message)
    ratios = [status.hit_ratio_percent, *(n.hit_ratio_percent for n in status.namespaces)]
    lowest = min((ratio for ratio in ratios if ratio is not None), default=None)
    missing = None if lowest is None else float(max(0, spec.hit_ratio_target_percent - lowest))
    return Sign(True, missing, reached.message)
