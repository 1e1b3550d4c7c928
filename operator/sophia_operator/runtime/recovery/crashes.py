"""Pods of a target that end again and again. Pure functions over objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.api.recovery_values import TargetKind
from sophia_operator.core.cache.names import LABEL_CACHE
from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.core.recovery.action.after import pod_subject
from sophia_operator.core.recovery.views import CrashingPod
from sophia_operator.runtime.observe_workloads import ends_again_and_again, how_it_ended, is_ending
from sophia_operator.runtime.recovery.marks import time_of
from sophia_operator.runtime.store import ObjectStore

#: A container that ended so often, and so lately, crashes even while it happens to run.
MIN_RESTARTS: Final = 3
LATELY: Final = timedelta(minutes=10)

#: A ModelRoute has no pods: those of its gateway are somebody else's.
_LABELS: Final = {
    TargetKind.CONNECTION_POOL: LABEL_POOL,
    TargetKind.CACHE_TIER: LABEL_CACHE,
    TargetKind.MANAGED_SERVICE: LABEL_SERVICE,
}


def crashing_pods(
    store: ObjectStore, kind: TargetKind, namespace: str, name: str, now: datetime
) -> tuple[CrashingPod, ...]:
    """Pods of the target that crash, the worst first."""
    label = _LABELS.get(kind)
    pods = store.children("Pod", namespace, name, label) if label is not None else ()
    found = [crash for pod in pods if (crash := crash_of(pod, now)) is not None]
    return tuple(sorted(found, key=lambda crash: (-crash.restarts, crash.name)))


def pod_is_there(store: ObjectStore, kind: TargetKind, namespace: str, name: str, subject: str | None) -> bool:
    """Whether the pod of the target that an action is about is there, and not on its way out."""
    label = _LABELS.get(kind)
    if label is None or subject is None:
        return False
    pods = (pod for pod in store.children("Pod", namespace, name, label) if not is_ending(pod))
    return any(pod_subject(pod["metadata"]["name"], pod["metadata"]["uid"]) == subject for pod in pods)


def crash_of(pod: Mapping[str, Any], now: datetime) -> CrashingPod | None:
    """Why the pod counts as crashing; None when it does not, or it goes anyhow."""
    if is_ending(pod):
        return None
    crashed = [c for c in pod["status"].get("containerStatuses", ()) if _crashes(c, now)]
    if not crashed:
        return None
    worst = max(crashed, key=lambda c: int(c.get("restartCount", 0)))
    meta = pod["metadata"]
    message = f"pod {meta['name']}, container {worst['name']}: {how_it_ended(worst)}"
    return CrashingPod(meta["name"], meta["uid"], int(worst.get("restartCount", 0)), message)


def _crashes(container: Mapping[str, Any], now: datetime) -> bool:
    if ends_again_and_again(container):
        return True
    ended_at = time_of((container.get("ended") or {}).get("finishedAt"))
    return int(container.get("restartCount", 0)) >= MIN_RESTARTS and ended_at is not None and now - ended_at <= LATELY
