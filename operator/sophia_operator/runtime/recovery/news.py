"""What of a changed object matters to those who look at a whole namespace: policies, and rollouts that recovery holds.

They are woken for that alone. Figures are not in it: they change all the time, and who goes by them looks now and then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.core.cache.names import LABEL_CACHE
from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.runtime.observe_workloads import ends_again_and_again
from sophia_operator.runtime.recovery.marks import ACTED, ACTING, TARGET_KINDS, is_moving, phase_of, target_of

#: Kinds that policies of a namespace look at.
SEEN_BY_POLICIES: Final = frozenset({*TARGET_KINDS, "RecoveryPolicy", "RecoveryAction", "Release", "Pod"})
#: Kinds that say what recovery does in a namespace.
SEEN_BY_ROLLOUTS: Final = frozenset({"RecoveryPolicy", "RecoveryAction"})

#: Labels on pods of what is acted on.
_POD_LABELS: Final = (LABEL_SERVICE, LABEL_POOL, LABEL_CACHE)
#: A number, a share or a time, as statuses have them.
_FIGURE: Final = re.compile(r"-?[0-9][0-9.]*%?|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)")
#: Texts for people, which name figures.
_WORDS: Final = frozenset({"message", "why"})


def for_policies(obj: Mapping[str, Any] | None) -> Any:
    """What of it matters to policies; None when nothing does. Objects are as the store keeps them."""
    if obj is None:
        return None
    kind, meta, status = obj["kind"], obj["metadata"], obj.get("status") or {}
    gone = bool(meta.get("deletionTimestamp"))
    if kind == "Pod":
        return _ends(obj)
    if kind == "Release":
        traffic = bool((status.get("weights") or {}).get("wantedPercent"))
        return (traffic, status.get("startedAt"), gone) if is_moving(obj) else None
    if kind == "RecoveryAction":
        return meta.get("generation"), phase_of(obj), status.get("verified"), gone
    if kind == "RecoveryPolicy":
        # What else its status says is said of what others see for themselves.
        return meta.get("generation"), bool(status.get("storm")), gone
    return meta.get("generation"), meta.get("labels"), gone, without_figures(status)


def for_rollouts(obj: Mapping[str, Any] | None) -> Any:
    """What of it rollouts of the namespace are held by, or go back for; None when it is nothing to them."""
    if obj is None:
        return None
    status = obj.get("status") or {}
    if obj["kind"] == "RecoveryAction":
        return target_of(obj) if phase_of(obj) in ACTING else None
    keys = ("kind", "name", "symptom", "since", "verdict", "reason")
    symptoms = [[symptom.get(key) for key in keys] for symptom in status.get("symptoms") or ()]
    storm = (status.get("storm") or {}).get("since")
    return (obj["metadata"].get("generation"), storm, symptoms) if storm or symptoms else None


def for_target(action: Mapping[str, Any] | None) -> Any:
    """What of a RecoveryAction its target looks at; None until it was claimed."""
    if action is None or phase_of(action) not in ACTED:
        return None
    meta, status = action["metadata"], action["status"]
    return phase_of(action), status.get("claimedAt"), meta.get("uid"), bool(meta.get("deletionTimestamp"))


def without_figures(value: Any) -> Any:
    """The value without numbers, times, and texts for people. What is true or false is no number."""
    if isinstance(value, Mapping):
        return {key: without_figures(part) for key, part in value.items() if key not in _WORDS}
    if isinstance(value, list):
        return [without_figures(part) for part in value]
    if isinstance(value, str):
        return "" if _FIGURE.fullmatch(value) else value
    return value if isinstance(value, bool) else None


def _ends(pod: Mapping[str, Any]) -> Any:
    """How often its containers ended, and which are held back for it; None when none ever did."""
    labels = pod["metadata"].get("labels") or {}
    if not any(label in labels for label in _POD_LABELS):
        return None
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [
        (c.get("name"), c.get("restartCount"), (c.get("waiting") or {}).get("reason")) for c in containers if _ended(c)
    ]
    return ends or None


def _ended(container: Mapping[str, Any]) -> bool:
    return bool(container.get("restartCount")) or ends_again_and_again(container)
