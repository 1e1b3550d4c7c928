"""What is wrong with objects: for each symptom a check, and what all of them say of a namespace.

A new symptom is a name in `api/recovery_values.py` and a check here. Nothing else knows what a symptom looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from sophia_operator.api.recovery_policy import TargetSelector
from sophia_operator.api.recovery_values import SYMPTOM_KINDS, Symptom
from sophia_operator.core.recovery.symptoms import caches, models, pods, pools
from sophia_operator.core.recovery.symptoms.sight import Check
from sophia_operator.core.recovery.views import PolicyView, Symptoms, SymptomSeen, TargetKey, TargetView

__all__ = ["CHECKS", "Check", "read", "selects"]

#: By the symptom: how it is seen.
CHECKS: Final[Mapping[Symptom, Check]] = {
    Symptom.CONNECTION_LOST: pools.connection_lost,
    Symptom.SLOW_QUERIES: pools.slow_queries,
    Symptom.REPLICATION_LAG: pools.replication_lag,
    Symptom.BUDGET_EXCEEDED: pools.budget_exceeded,
    Symptom.HIGH_MEMORY: caches.high_memory,
    Symptom.CACHE_HIT_RATIO_LOW: caches.cache_hit_ratio_low,
    Symptom.MODEL_TIMEOUT: models.model_timeout,
    Symptom.POD_CRASH_LOOP: pods.pod_crash_loop,
}


def read(
    targets: Iterable[TargetView],
    policies: Iterable[PolicyView],
    now: datetime,
    checks: Mapping[Symptom, Check] = CHECKS,
) -> Symptoms:
    """What is seen of every object that a policy selects, by each of its rules whose symptom the kind can show.

    An object that is being deleted is selected by nobody: nothing is done to it any more.
    """
    there = sorted((t for t in targets if not t.deleting), key=lambda t: t.key)
    selected: dict[str, tuple[TargetKey, ...]] = {}
    seen: list[SymptomSeen] = []
    for policy in sorted(policies, key=lambda p: p.name):
        chosen = [target for target in there if selects(policy, target)]
        selected[policy.name] = tuple(target.key for target in chosen)
        for target in chosen:
            for rule in policy.spec.rules:
                if target.kind in SYMPTOM_KINDS[rule.symptom]:
                    sign = checks[rule.symptom](target, rule, now)
                    seen.append(SymptomSeen(policy.name, target.key, rule.symptom, sign))
    return Symptoms(selected, tuple(seen))


def selects(policy: PolicyView, target: TargetView) -> bool:
    """Whether the policy is for the object."""
    return policy.namespace == target.namespace and any(_selects(s, target) for s in policy.spec.targets)


def _selects(selector: TargetSelector, target: TargetView) -> bool:
    named = not selector.names or target.name in selector.names
    labelled = all(target.labels.get(key) == value for key, value in selector.match_labels.items())
    return selector.kind is target.kind and named and labelled
