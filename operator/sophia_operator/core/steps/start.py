"""Pending: wait for the turn, then take the free colour."""

from __future__ import annotations

from datetime import datetime

from sophia_operator.api.conditions import PAUSES, Reason
from sophia_operator.api.release import Color, ReleaseState, WeightStatus
from sophia_operator.core.placement import deleted_occupant, is_busy, is_drained, may_serve_deleted
from sophia_operator.core.recovery import interlock
from sophia_operator.core.scene import Scene
from sophia_operator.core.steps import hold
from sophia_operator.core.transition import Step, move, seconds_since
from sophia_operator.core.views import ReleaseView

_LOOK_AGAIN_SECONDS = 1.0


def step(release: ReleaseView, scene: Scene) -> Step:
    """Start the rollout when nothing holds it and the colour it needs carries no traffic."""
    held = _held(release, scene)
    if held is not None:
        return Step(release.status, held_by=held, stalls=held[0] not in PAUSES | interlock.HOLDS)
    color = _free_color(scene)
    busy = _busy(release, color, scene)
    if busy is not None:
        return Step(release.status, held_by=(Reason.AWAITING_DRAIN, busy), wait=_LOOK_AGAIN_SECONDS)
    first = scene.roles.stable is None
    return move(
        release,
        ReleaseState.PROVISIONING,
        Reason.FIRST_RELEASE if first else Reason.PROVISIONING,
        f"release {release.name} starts as {color.value}"
        + ("; it is the first" if first else f"; {scene.roles.stable.name if scene.roles.stable else ''} serves"),
        scene.now,
        color=color,
        state_since=scene.now,
        started_at=scene.now,
        ended_at=None,
        base_replicas=scene.service.spec.replicas,
        without_traffic_since=None,
        not_ready_since=None,
        weights=WeightStatus(),
        stage=None,
        smoke_tests=[],
        gates=[],
        pause=None,
        outcome=None,
    )


def _free_color(scene: Scene) -> Color:
    """The colour that the stable release does not have; without one, that which nobody serves as."""
    stable = scene.roles.stable
    if stable is not None and stable.status.color is not None:
        return stable.status.color.other
    return Color.GREEN if (scene.observed.written_weight(Color.BLUE) or 0) > 0 else Color.BLUE


def _held(release: ReleaseView, scene: Scene) -> tuple[Reason, str] | None:
    if scene.observed.blockers:
        blocker = scene.observed.blockers[0]
        return blocker.reason, blocker.message
    if not release.snapshot_intact:
        return (
            Reason.SNAPSHOT_ALTERED,
            f"the snapshot of {release.name} is not what its hash says; delete the Release, and it is made anew",
        )
    return hold.asked(release, scene)


def _busy(release: ReleaseView, color: Color, scene: Scene) -> str | None:
    """Why the colour cannot be taken yet: it has weight, or its last occupant was not drained."""
    route = scene.observed.route
    if route is not None and scene.roles.stable is not None and is_busy(color, route):
        return f"{color.value} still has traffic, or the route has not settled"
    seen = scene.observed.endpoints.get(color)
    occupant = seen.release if seen is not None else None
    stable = scene.roles.stable
    deleted = deleted_occupant(color, scene.observed)
    if stable is not None and deleted is not None and may_serve_deleted(color, stable, scene.observed, scene.now):
        return f"{deleted}, whose Release is gone, is still draining as {color.value}"
    if stable is not None and occupant == stable.name:
        # It was found there, and moved: since it is stable, all new requests go to its own colour.
        left = stable.spec.snapshot.plan.drain_seconds - seconds_since(stable.status.promoted_at, scene.now)
        if left > 0:
            return f"{stable.name} is still draining as {color.value}"
    for other in scene.observed.releases:
        if other.name == occupant and other is not release and _drains(other, color, scene.now):
            return f"{other.name} is still draining as {color.value}"
    return None


def _drains(occupant: ReleaseView, color: Color, now: datetime) -> bool:
    """Whether requests may still be under way to it; it may have forgotten its colour since it got the last of them."""
    status = occupant.status
    was_there = status.color is color or (status.color is None and status.without_traffic_since is not None)
    return was_there and not is_drained(occupant, now)


def retry(release: ReleaseView, now: datetime) -> Step:
    """A failed release starts again, because a person asked for it."""
    return move(
        release,
        ReleaseState.PENDING,
        Reason.RETRIED,
        f"release {release.name} starts again: {release.spec.reason or 'no reason given'}",
        now,
        state_since=now,
        attempt=release.status.attempt + 1,
        handled_generation=release.generation,
        outcome=None,
        pause=None,
        ended_at=None,
        stage=None,
        smoke_tests=[],
        gates=[],
        weights=WeightStatus(),
    )


def supersede(release: ReleaseView, by: str, now: datetime) -> Step:
    """A release that never started makes way."""
    return move(
        release,
        ReleaseState.SUPERSEDED,
        Reason.SUPERSEDED,
        f"release {release.name} is skipped: {by}",
        now,
        state_since=now,
        ended_at=now,
    )
