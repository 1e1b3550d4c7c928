"""What may be wrong with the pods of a target."""

from __future__ import annotations

from datetime import datetime

from sophia_operator.api.recovery_policy import Rule
from sophia_operator.core.recovery.symptoms.sight import absent
from sophia_operator.core.recovery.views import Sign, TargetView
from sophia_operator.core.words import count


def pod_crash_loop(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """A container of a pod ended several times. Its value is the number of restarts of the worst pod.

    Pods are seen as they are, whatever the target's status says: this can always be told.
    """
    del rule, now
    worst = max(target.crashing, key=lambda pod: pod.restarts, default=None)
    if worst is None:
        return absent("no pod crashes")
    more = f"; so do {count(len(target.crashing) - 1, 'other pod')}" if len(target.crashing) > 1 else ""
    return Sign(True, float(worst.restarts), f"pod {worst.name} crashes again and again: {worst.message}{more}")
