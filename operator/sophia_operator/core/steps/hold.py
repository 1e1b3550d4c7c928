"""Who asked that a release goes no further: a person, or recovery."""

from __future__ import annotations

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Intent
from sophia_operator.core.recovery import interlock
from sophia_operator.core.recovery.views import TargetKey
from sophia_operator.core.scene import Scene
from sophia_operator.core.views import ReleaseView


def asked(release: ReleaseView, scene: Scene) -> tuple[Reason, str] | None:
    """Reason and words of the hold that a person, or recovery, asks for; None without one."""
    if scene.service.spec.paused:
        return Reason.PAUSED_BY_SERVICE, f"spec.paused of {scene.service.name} holds release {release.name}"
    if release.spec.intent is Intent.PAUSE:
        why = release.spec.reason or "no reason given"
        return Reason.PAUSED_BY_INTENT, f"release {release.name} was asked to pause: {why}"
    return interlock.hold(scene.observed.recovery, bound_of(release))


def bound_of(release: ReleaseView) -> frozenset[TargetKey]:
    """What the release stands on."""
    return interlock.bound_to(release.spec.service_name, release.spec.snapshot.bindings)
