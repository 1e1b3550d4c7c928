"""Rolling back: one write put all traffic on the stable release; confirm it, then let the release go."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Intent, Outcome, ReleaseState, WeightStatus
from sophia_operator.core import sighting
from sophia_operator.core.placement import needed_ready
from sophia_operator.core.roles import can_return_at_once
from sophia_operator.core.scene import Scene
from sophia_operator.core.transition import Step, move, roll_back, seconds_since
from sophia_operator.core.views import ReleaseView

_LOOK_AGAIN_SECONDS = 1.0


def step(release: ReleaseView, scene: Scene) -> Step:
    """Wait until no traffic is seen at the release, then end where the outcome says."""
    status = release.status
    outcome = status.outcome or Outcome(state=ReleaseState.ROLLED_BACK, reason=Reason.ROLLED_BACK.value, message="")
    if status.color is None or not _had_traffic(release) or scene.roles.stable is None:
        return _end(release, outcome, "it had no traffic", scene.now)
    held = _stable_cannot_serve(release, scene)
    if held is not None:
        return Step(status, wait=_LOOK_AGAIN_SECONDS, held_by=(Reason.STABLE_NOT_READY, held))
    seen = sighting.look(status.color, 0, weight_before(release), scene, status.weights)
    current = replace(release, status=status.model_copy(update={"weights": seen.weights}))
    if seen.agrees:
        return _end(current, outcome, f"all traffic is at {scene.roles.stable.name}: {seen.message}", scene.now)
    route = scene.observed.route
    settled = route is not None and route.in_effect and scene.observed.written_weight(status.color) == 0
    # Counted from when the route settled: a gateway that was late, and says so before it is done, gets the same time.
    overdue = (
        seconds_since(status.without_traffic_since, scene.now) >= release.spec.snapshot.plan.route_deadline_seconds
    )
    if settled and overdue:
        # The gateway says that it did as told; holding on would leave a failed release in place for good.
        return _end(current, outcome, f"not confirmed by what was seen of the traffic: {seen.message}", scene.now)
    # A gateway that refuses the route may go on as before: then the release has traffic, and needs its pods.
    reason = Reason.ROUTE_REFUSED if seen.refused else Reason.ROLLING_BACK
    wait = sighting.look_interval_seconds(seconds_since(status.state_since, scene.now))
    return Step(current.status, wait=wait, held_by=(reason, seen.message), stalls=seen.refused)


def _had_traffic(release: ReleaseView) -> bool:
    return release.status.stage is not None or release.status.promoted_at is not None or lost_with_traffic(release)


def lost_with_traffic(release: ReleaseView) -> bool:
    """Whether the status was rebuilt from traffic that the release had: the way back began so, also when a person asked
    to abort it since."""
    way_back = takewhile(lambda t: t.state is ReleaseState.ROLLING_BACK, reversed(release.status.transitions))
    return any(t.reason == Reason.REBUILT.value for t in way_back)


def weight_before(release: ReleaseView) -> int:
    """Share of the traffic before the way back, in percent."""
    if release.status.promoted_at is not None:
        return 100
    return release.status.stage.weight_percent if release.status.stage is not None else 100


def _stable_cannot_serve(release: ReleaseView, scene: Scene) -> str | None:
    stable = scene.roles.stable
    assert stable is not None
    color = release.status.color
    if color is None or stable.status.color is None or scene.observed.ready(stable.status.color, stable.name) > 0:
        return None
    if (scene.observed.written_weight(color) or 0) == 0 or scene.observed.ready(color, release.name) == 0:
        return None
    return f"{stable.name} has no ready pods: traffic stays at {release.name} until it has"


def _end(release: ReleaseView, outcome: Outcome, how: str, now: datetime) -> Step:
    message = f"{outcome.message}; {how}" if outcome.message else how
    reason = Reason.ROLLED_BACK if outcome.state is ReleaseState.ROLLED_BACK else Reason(outcome.reason)
    restart = outcome.state is ReleaseState.PENDING
    return move(
        release,
        outcome.state,
        reason,
        f"release {release.name}: {message}",
        now,
        state_since=now,
        ended_at=None if restart else now,
        promoted_at=None,
        outcome=None if restart else outcome,
        pause=None,
        weights=WeightStatus() if restart else release.status.weights,
    )


def abort(scene: Scene) -> Step | None:
    """Abort wins over everything: the first release that a person wants aborted and that can be."""
    for release in scene.observed.releases:
        if release.spec.intent is not Intent.ABORT:
            continue
        why = f"asked to abort: {release.spec.reason or 'no reason given'}"
        state, outcome = release.status.state, release.status.outcome
        if state is ReleaseState.PENDING and release is scene.roles.target:
            return move(
                release,
                ReleaseState.ROLLED_BACK,
                Reason.ABORTED,
                why,
                scene.now,
                state_since=scene.now,
                ended_at=scene.now,
                outcome=Outcome(state=ReleaseState.ROLLED_BACK, reason=Reason.ABORTED.value, message=why),
            )
        if state is ReleaseState.ROLLING_BACK and outcome is not None and outcome.state is ReleaseState.PENDING:
            # It would start again by itself: now it must not.
            latched = Outcome(state=ReleaseState.ROLLED_BACK, reason=Reason.ABORTED.value, message=why)
            return move(release, state, Reason.ABORTED, why, scene.now, outcome=latched)
        if state.is_active and state is not ReleaseState.ROLLING_BACK:
            return roll_back(release, ReleaseState.ROLLED_BACK, Reason.ABORTED, why, scene.now)
        if release is scene.roles.stable and can_return_at_once(scene.roles, scene.observed, scene.now):
            return roll_back(release, ReleaseState.ROLLED_BACK, Reason.ABORTED, why, scene.now)
    return None


def short_of_pods(scene: Scene, previous: ReleaseView) -> str | None:
    """Why the previous release cannot take all users at once by itself; None when it can."""
    assert previous.status.color is not None
    size = scene.service.spec.replicas
    ready = scene.observed.ready(previous.status.color, previous.name)
    needed = needed_ready(previous.spec.snapshot.plan, size)
    if ready >= needed:
        return None
    return f"{ready} of {size} pods of {previous.name} are ready, {needed} needed to go back to it"


def revert(scene: Scene) -> Step | None:
    """The spec asks for the previous release, and it still stands: one write brings it back, without stages."""
    stable, target = scene.roles.stable, scene.roles.target
    if stable is None or target is None or target is not scene.roles.previous or scene.roles.active is not None:
        return None
    if not can_return_at_once(scene.roles, scene.observed, scene.now):
        return None
    short = short_of_pods(scene, target)
    if short is not None:
        # It is the target all the same: its pods may be on their way, and until then what serves goes on.
        return Step(target.status, wait=_LOOK_AGAIN_SECONDS, held_by=(Reason.NOT_READY, short))
    why = f"the spec went back to {target.name}, which still stands ready"
    return roll_back(stable, ReleaseState.SUPERSEDED, Reason.REVERTED, why, scene.now)
