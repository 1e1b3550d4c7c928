"""Which replicas of the gateway serve by the newest revision. Only what was seen counts: of none nothing is proved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.core.model.findings import ReplicaFinding
from sophia_operator.core.model.switches.scene import Scene

#: Numbers further ahead than that are none of the operator's.
_FAR: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Proof:
    """What marked requests to all replicas showed of a revision."""

    #: Every replica that is known serves by it, and there is one.
    proved: bool
    #: Replicas that do not, of those that were asked since it was set, with what they showed.
    late: tuple[str, ...] = ()
    #: Those of them that were seen to serve by another revision.
    behind: tuple[str, ...] = ()
    #: Replicas that serve by it, of which a model answered that has no share: the one asked first had just failed.
    by_fallback: tuple[str, ...] = ()
    replicas: int = 0


def prove(scene: Scene, shares: Mapping[str, int]) -> Proof:
    """What is seen of the revision in the status."""
    kept, since = scene.observed.kept, _since(scene)
    found = sorted((r for r in kept.replicas.values() if r.at >= since), key=lambda r: r.name)
    asked = kept.asked_at is not None and kept.asked_at >= since
    late, behind, by_fallback = [], [], []
    for replica in found:
        wrong = _wrong(scene, replica, shares)
        if wrong is None:
            if replica.model is not None and replica.model not in shares:
                by_fallback.append(f"{replica.name} by {replica.model}")
            continue
        late.append(wrong)
        if replica.revision is not None:
            behind.append(wrong)
    missing = [pod.name for pod in scene.observed.pods if pod.ready and pod.name not in kept.replicas]
    if asked:
        late += [f"{name} was not asked yet" for name in missing]
    whole = len(found) == len(kept.replicas) and kept.asking_failed is None and not missing
    told = scene.status.revision > 0
    return Proof(
        proved=told and whole and bool(found) and not late,
        late=tuple(late),
        behind=tuple(behind),
        by_fallback=tuple(by_fallback),
        replicas=len(found),
    )


def _since(scene: Scene) -> datetime:
    """When the revision was set. A time that is yet to come says that some clock was set: then the number decides."""
    revision_at = scene.status.revision_at
    earliest = scene.route.created_at
    return revision_at if revision_at is not None and revision_at <= scene.now else earliest


def _wrong(scene: Scene, replica: ReplicaFinding, shares: Mapping[str, int]) -> str | None:
    if replica.revision != scene.status.revision:
        if replica.revision is not None:
            return f"{replica.name} serves by {replica.revision}"
        return f"{replica.name} ({replica.failure.fault.value if replica.failure is not None else 'says no revision'})"
    model = replica.model
    if model is None or model in shares or model in scene.status.fallbacks:
        return None
    return f"{replica.name} sends requests to {model}"


def highest(scene: Scene) -> int:
    """The highest revision that is known of. One that a replica shows and the status does not know of was set before
    the status was lost: its number must not be used for something else."""
    status = scene.status
    shown = [r.revision for r in scene.observed.kept.replicas.values() if r.revision is not None]
    return max([status.revision, *(n for n in shown if n <= status.revision + _FAR)])
