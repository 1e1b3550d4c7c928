"""Before a stage that asks for it, the release's own generation must be filled in its caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sophia_operator.api.binding_version import BindingVersion
from sophia_operator.api.cache_tier_status import WarmUpPhase, WarmUpStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Intent, ReleaseStatus
from sophia_operator.core.bound import tiers_of
from sophia_operator.core.scene import Scene
from sophia_operator.core.transition import Step
from sophia_operator.core.views import CacheView, ReleaseView


@dataclass(frozen=True, slots=True)
class Cold:
    """What keeps a release from a stage."""

    reason: Reason
    message: str
    #: Whether only a person can mend it.
    stalls: bool


def hold(status: ReleaseStatus, cold: Cold, wait: float | None = None) -> Step:
    """The release stays where it is. A change of the tier ends the wait; no deadline counts meanwhile."""
    return Step(status, wait=wait, held_by=(cold.reason, cold.message), stalls=cold.stalls)


def missing(release: ReleaseView, index: int | None, scene: Scene) -> Cold | None:
    """What of its caches keeps a release from a stage; None when nothing does.

    Without a stage it is about to take all traffic at once, and needs what any of them asks for. Who wants it promoted
    wants it as it is.
    """
    stages = release.spec.snapshot.plan.stages
    asked = (stage.warm_percent or 0 for stage in (stages if index is None else stages[index : index + 1]))
    percent = max(asked, default=0)
    if percent == 0 or release.spec.intent is Intent.PROMOTE:
        return None
    held = [
        found
        for bound in release.spec.snapshot.bindings
        if bound.own_generation
        for found in _cold(bound, release, percent, scene.observed.caches)
    ]
    # What waits for a person is told first: nothing else would ever be.
    return min(held, key=lambda c: not c.stalls, default=None)


def _cold(bound: BindingVersion, release: ReleaseView, percent: int, caches: Mapping[str, CacheView]) -> list[Cold]:
    """Of one chain: its tiers that have a warm-up must all be filled so far, and there must be such a tier."""
    tiers = tiers_of(bound)
    gone = next((name for name in tiers if name not in caches), None)
    if gone is not None:
        words = f"CacheTier {gone} is missing or cannot be read, so nobody knows how warm it is"
        return [Cold(Reason.TIER_NOT_FOUND, f"{words}: bring it back, or promote the release as it is", stalls=True)]
    warmed = [name for name in tiers if caches[name].warms]
    if not warmed:
        chain = f"CacheTier {bound.name}" + (f" (nor {', '.join(tiers[1:])} below it)" if tiers[1:] else "")
        words = f"the stage needs a cache that is filled to {percent} %, but {chain} has no spec.warmUp"
        remedy = "add it, or promote the release as it is and remove warmPercent from spec.rollout"
        return [Cold(Reason.WARM_UP_FAILED, f"{words}: {remedy}", stalls=True)]
    found = (_of_tier(name, _this_time(release, caches[name]), release.name, percent) for name in warmed)
    return [held for held in found if held is not None]


def _this_time(release: ReleaseView, cache: CacheView) -> WarmUpStatus | None:
    """Its warm-up, unless that is of an earlier try: then it is warmed anew."""
    seen, began = cache.warm_ups.get(release.name), release.status.started_at
    return None if seen is not None and began is not None and seen.started_at < began else seen


def _of_tier(tier: str, seen: WarmUpStatus | None, release: str, percent: int) -> Cold | None:
    if seen is None:
        return Cold(Reason.WARMING_UP, f"CacheTier {tier} has not begun to warm {release} up", stalls=False)
    told = f": {seen.message}" if seen.message else ""
    if seen.phase is WarmUpPhase.FAILED:
        words = f"CacheTier {tier} failed to warm {release} up, at {seen.percent} %{told}"
        remedy = "promote the release as it is; or abort it, mend the cause, and retry it: then it is warmed anew"
        return Cold(Reason.WARM_UP_FAILED, f"{words}; {remedy}", stalls=True)
    if seen.percent >= percent:
        return None
    if seen.phase is WarmUpPhase.DONE:
        words = f"CacheTier {tier} is done with {release} at {seen.percent} %, {percent} % are needed{told}"
        return Cold(Reason.WARM_UP_FAILED, f"{words}; promote the release as it is, or abort it", stalls=True)
    how = "paused" if seen.phase is WarmUpPhase.PAUSED else "under way"
    words = f"CacheTier {tier} has filled {seen.percent} % of what {release} reads, {percent} % are needed"
    return Cold(Reason.WARMING_UP, f"{words}; the warm-up is {how}{told}", stalls=False)
