"""Lost status is rebuilt from what serves traffic now, never from what the spec asks for."""

from __future__ import annotations

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Color, Outcome, ReleaseState, WeightStatus
from sophia_operator.core.scene import Scene
from sophia_operator.core.transition import Step, move
from sophia_operator.core.views import Observed, ReleaseView


def step(scene: Scene) -> Step | None:
    """Mend one release whose status was lost; None when there is nothing to mend."""
    lost = [r for r in scene.observed.releases if r.status_lost]
    if not lost:
        return _adopt(scene)
    if _is_doubtful(scene.roles.stable, lost, scene):
        found = _serving(scene, lost)
        if found is not None:
            release, color = found
            why = f"status of {release.name} was lost; it serves as {color.value}, so it is the stable release"
            return _make_stable(release, color, why, scene)
    stable = scene.roles.stable
    for release in lost:
        # Not as the colour of the stable release, where somebody may have pointed a Service at this one.
        home = stable.status.color if stable is not None else None
        place = _color_of(release, scene.observed, home)
        if place is not None and _runs(release, scene.observed) and stable is not None:
            ended = _ended_as(release, scene)
            after = "and starts again" if ended is None else f"since it had ended as {ended.value}"
            why = f"status of {release.name} was lost while it ran; it goes back {after}"
            return move(
                release,
                ReleaseState.ROLLING_BACK,
                Reason.REBUILT,
                why,
                scene.now,
                state_since=scene.now,
                color=place,
                handled_generation=release.generation if ended is not None else 0,
                outcome=Outcome(state=ended or ReleaseState.PENDING, reason=Reason.REBUILT.value, message=why),
            )
    return next((s for r in lost if (s := _relatch(r, scene)) is not None), None)


def _relatch(release: ReleaseView, scene: Scene) -> Step | None:
    """What failed stays failed, also when its status is gone, as long as the service's own status tells of it."""
    ended = _ended_as(release, scene)
    if ended is None or _runs(release, scene.observed):
        return None
    why = f"status of {release.name} was lost; it had ended as {ended.value}"
    return move(
        release,
        ended,
        Reason.REBUILT,
        why,
        scene.now,
        state_since=scene.now,
        ended_at=scene.now,
        # A Retry that stands may have been carried out already: it counts once it is set anew.
        handled_generation=release.generation,
        outcome=Outcome(state=ended, reason=Reason.REBUILT.value, message=why),
    )


def _ended_as(release: ReleaseView, scene: Scene) -> ReleaseState | None:
    """How the release failed, by the service's own status; None when that tells of no failure."""
    told = scene.service.status.rollout
    if told is None or told.name != release.name:
        return None
    return next((s for s in ReleaseState if s.is_latched and s.value == told.phase), None)


def _adopt(scene: Scene) -> Step | None:
    """A release that has traffic while nothing is known to be stable, as when that was forgotten for good.

    Without a route nobody has any, and it is the best there is.
    """
    active = scene.roles.active
    if scene.roles.stable is not None or active is None or active.status.state is not ReleaseState.SHIFTING:
        return None
    color = active.status.color
    if color is None or scene.observed.ready(color, active.name) == 0:
        return None
    if scene.observed.route is not None and not scene.observed.written_weight(color):
        return None
    why = f"{active.name} stands ready, and no release is known that it could go back to"
    return _make_stable(active, color, why, scene)


def _make_stable(release: ReleaseView, color: Color, why: str, scene: Scene) -> Step:
    return move(
        release,
        ReleaseState.PROMOTED,
        Reason.REBUILT,
        why,
        scene.now,
        state_since=scene.now,
        color=color,
        promoted_at=scene.now,
        started_at=release.status.started_at or scene.now,
        ended_at=scene.now,
        pause=None,
        outcome=None,
        weights=WeightStatus(wanted_percent=100),
    )


def _is_doubtful(stable: ReleaseView | None, lost: list[ReleaseView], scene: Scene) -> bool:
    """Whether the release that the statuses still there make the stable one may only have been it once."""
    if stable is None or _color_of(stable, scene.observed) is None:
        return True
    named = scene.service.status.stable
    if named is not None and any(r.name == named.name for r in lost):
        return True
    return _ready(stable, scene.observed) == 0 and any(_has_all_traffic(r, scene.observed) for r in lost)


def _ready(release: ReleaseView, observed: Observed) -> int:
    color = _color_of(release, observed)
    return 0 if color is None else observed.ready(color, release.name)


def _has_all_traffic(release: ReleaseView, observed: Observed) -> bool:
    color = _color_of(release, observed)
    return color is not None and observed.written_weight(color) == 100


def _runs(release: ReleaseView, observed: Observed) -> bool:
    deployment = observed.deployments.get(release.name)
    return deployment is not None and deployment.spec_replicas > 0


def _color_of(release: ReleaseView, observed: Observed, taken: Color | None = None) -> Color | None:
    """Colour whose Service selects the release; of two, as when somebody edited one, that with more traffic."""
    places = [c for c, seen in observed.endpoints.items() if seen.release == release.name and c is not taken]
    return max(places, key=lambda c: observed.written_weight(c) or 0, default=None)


def _serving(scene: Scene, lost: list[ReleaseView]) -> tuple[ReleaseView, Color] | None:
    """The lost release that must be the stable one.

    With a rollout under way it is the one at the other colour. Else it is what the service's own status names, if that
    still stands ready. Else the one with traffic; of two that share it, the older, which had proved itself. Without
    traffic it is what the status names all the same, else the oldest that has ready pods.
    """
    placed = [(r, c) for r in lost if (c := _color_of(r, scene.observed)) is not None]
    by_name = _named(scene, lost)
    active = scene.roles.active
    if active is not None and active.status.color is not None:
        home = active.status.color.other
        found = next(((r, c) for r, c in [*placed, *by_name] if c is home), None)
        return found or _without_a_place(active, home, lost, scene.observed)
    if by_name and _ready(by_name[0][0], scene.observed) > 0:
        return by_name[0]
    serving = [(r, c) for r, c in placed if (scene.observed.written_weight(c) or 0) > 0]
    if serving:
        return min(serving, key=lambda rc: rc[0].spec.revision)
    if by_name:
        return by_name[0]
    if scene.observed.route is None and scene.service.status.last_revision <= 1:
        return None  # there may never have been a release that served
    ready = [(r, c) for r, c in placed if scene.observed.ready(c, r.name) > 0]
    return min(ready, key=lambda rc: rc[0].spec.revision, default=None)


def _without_a_place(
    active: ReleaseView, home: Color, lost: list[ReleaseView], observed: Observed
) -> tuple[ReleaseView, Color] | None:
    """The newest lost release that stands ready, when the Service of the other colour is gone: one that gets traffic
    in stages was made beside another that serves."""
    if active.status.state is not ReleaseState.SHIFTING or home in observed.endpoints:
        return None
    older = [r for r in lost if r.spec.revision < active.spec.revision and _color_of(r, observed) is None]
    ready = [r for r in older if (d := observed.deployments.get(r.name)) is not None and d.ready_pods > 0]
    return max(((r, home) for r in ready), key=lambda rc: rc[0].spec.revision, default=None)


def _named(scene: Scene, lost: list[ReleaseView]) -> list[tuple[ReleaseView, Color]]:
    """The lost release that the service's own status names, where it is placed, or was, when it has pods at all."""
    named = scene.service.status.stable
    if named is None:
        return []
    found = [r for r in lost if r.name == named.name and _runs(r, scene.observed)]
    return [(r, c) for r in found if (c := _color_of(r, scene.observed) or named.color) is not None]
