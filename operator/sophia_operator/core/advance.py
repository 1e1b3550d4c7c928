"""One pass over a service: at most one transition, taken from an ordered list of questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sophia_operator.api.conditions import Reason
from sophia_operator.api.release import Intent, ReleaseState, ReleaseStatus
from sophia_operator.core import names, placement, rebuild, release_conditions, service_status
from sophia_operator.core.decision import Blocked, Decision, Done, EventType, NewRelease, Next, Notice, RequeueAfter
from sophia_operator.core.recovery import interlock
from sophia_operator.core.roles import new_release_spec, plan_of
from sophia_operator.core.scene import Scene, scene_of
from sophia_operator.core.steps import back, hold, provision, shift, start
from sophia_operator.core.transition import Step, roll_back
from sophia_operator.core.views import Observed, ReleaseView, ServiceView


@dataclass(frozen=True, slots=True)
class _Taken:
    """A step and the release it is about."""

    release: ReleaseView
    step: Step


_Question = Callable[[Scene], "_Taken | None"]


def advance(service: ServiceView, observed: Observed, now: datetime) -> Decision:
    """Decide what one pass does.

    Pure: the same arguments give the same decision. The decision holds the new status of every Release whose status
    changes; they must be persisted before anything is made of them.
    """
    scene = scene_of(service, observed, now)
    taken = next((t for ask in _QUESTIONS if (t := ask(scene)) is not None), None)
    create = None if taken is not None and taken.step.moved else _missing(scene)
    changed: dict[str, ReleaseStatus] = {}
    for release in observed.releases:
        step = taken.step if taken is not None and taken.release.name == release.name else None
        if release.status_lost and step is None and taken is not None and taken.step.moved:
            continue  # one repair a pass, from what is seen then
        status = _note_traffic(release, step.status if step is not None else release.status, scene)
        if release is scene.roles.stable:
            status = _note_deleted(status, scene)
        status = release_conditions.refresh(release, status, step, scene)
        if status != release.status or release.status_lost:
            changed[release.name] = status
    after = replace(
        observed,
        releases=tuple(
            replace(r, status=changed.get(r.name, r.status), status_lost=r.status_lost and r.name not in changed)
            for r in observed.releases
        ),
    )
    step = taken.step if taken is not None else None
    projected = service_status.project(scene_of(service, after, now), step, create)
    return Decision(
        service_status=projected,
        release_statuses=changed,
        create=create,
        notices=_notices(service, step, create, projected.conditions != service.status.conditions, observed),
        next=_next(service, step, create, after, now),
    )


def _rebuild(scene: Scene) -> _Taken | None:
    return _of(scene.observed, rebuild.step(scene))


def _abort(scene: Scene) -> _Taken | None:
    return _of(scene.observed, back.abort(scene))


def _finish_rollback(scene: Scene) -> _Taken | None:
    active = scene.roles.active
    if active is None or active.status.state is not ReleaseState.ROLLING_BACK:
        return None
    return _Taken(active, back.step(active, scene))


def _supersede_active(scene: Scene) -> _Taken | None:
    active, target = scene.roles.active, scene.roles.target
    if active is None or target is None or active.spec.hash == target.spec.hash:
        # Until the newer release is there (its template may be refused), the one under way goes on.
        return None
    if target is scene.roles.stable:
        step = roll_back(
            active, ReleaseState.SUPERSEDED, Reason.REVERTED, f"the spec went back to {target.name}", scene.now
        )
    else:
        step = roll_back(active, ReleaseState.SUPERSEDED, Reason.SUPERSEDED, f"superseded by {target.name}", scene.now)
    return _Taken(active, step)


def _revert(scene: Scene) -> _Taken | None:
    step = back.revert(scene)
    if step is not None and not step.moved and scene.roles.target is not None:
        return _Taken(scene.roles.target, step)
    return _of(scene.observed, step)


def _step_active(scene: Scene) -> _Taken | None:
    active = scene.roles.active
    if active is None:
        return None
    state = active.status.state
    if state is ReleaseState.PROVISIONING:
        return _Taken(active, provision.provision(active, scene))
    if state is ReleaseState.SMOKE_TESTING:
        return _Taken(active, provision.smoke_test(active, scene))
    return _Taken(active, shift.step(active, scene))


def _symptom_began(scene: Scene) -> _Taken | None:
    """A symptom that began with a release is answered by its rollback: a recovery would hide it."""
    active = scene.roles.active
    if active is None or active.status.state is not ReleaseState.SHIFTING or active.spec.intent is Intent.PROMOTE:
        return None
    why = interlock.began_with(scene.observed.recovery, hold.bound_of(active), active.status.started_at)
    if why is None:
        return None
    return _Taken(active, roll_back(active, ReleaseState.ROLLED_BACK, Reason.SYMPTOM_BEGAN, why, scene.now))


def _skip_stale(scene: Scene) -> _Taken | None:
    if scene.roles.target is None:
        return None
    for release in scene.observed.releases:
        if (
            release.status.state is ReleaseState.PENDING
            and release is not scene.roles.target
            and not release.status_lost
        ):
            return _Taken(
                release, start.supersede(release, f"{scene.roles.target.name} is what the spec asks for", scene.now)
            )
    return None


def _retry(scene: Scene) -> _Taken | None:
    target = scene.roles.target
    if target is None or not target.status.state.is_latched:
        return None
    if target.spec.intent is Intent.RETRY and target.generation > target.status.handled_generation:
        if target.spec.snapshot.plan != plan_of(scene.service):
            return _Taken(target, start.supersede(target, "it is tried again with the plan as it is now", scene.now))
        return _Taken(target, start.retry(target, scene.now))
    mended = target.status.outcome is not None and target.status.outcome.reason == Reason.INVALID_QUERY.value
    if mended and target.spec.snapshot.plan != plan_of(scene.service):
        return _Taken(target, start.supersede(target, "the plan was mended", scene.now))
    return None


def _start(scene: Scene) -> _Taken | None:
    target = scene.roles.target
    if target is None or target.status.state is not ReleaseState.PENDING or target.status_lost:
        return None
    return _Taken(target, start.step(target, scene))


#: In this order. Abort comes before everything but the repair of lost state.
_QUESTIONS: tuple[_Question, ...] = (
    _rebuild,
    _abort,
    _finish_rollback,
    _supersede_active,
    _revert,
    _symptom_began,
    _skip_stale,
    _step_active,
    _retry,
    _start,
)


def _of(observed: Observed, step: Step | None) -> _Taken | None:
    if step is None:
        return None
    name = step.notices[0].release
    return _Taken(next(r for r in observed.releases if r.name == name), step)


def _missing(scene: Scene) -> NewRelease | None:
    """The Release that the spec asks for and that is not there yet."""
    if scene.roles.wanted_hash is None or scene.roles.target is not None or scene.observed.template_refused is not None:
        return None
    if any(b.reason in _NO_NEW_RELEASE for b in scene.observed.blockers):
        return None
    spec = new_release_spec(scene.service, scene.observed, scene.roles.wanted_hash)
    return NewRelease(names.release_name(scene.service.name, spec.revision), spec)


_NO_NEW_RELEASE = frozenset({Reason.INVALID_SPEC, Reason.NOT_OWNED, Reason.CHAIN_CYCLE})


def _note_traffic(release: ReleaseView, status: ReleaseStatus, scene: Scene) -> ReleaseStatus:
    """Since when the release has no weight: what drains, and what may be scaled down, hangs on it."""
    observed, roles, now = scene.observed, scene.roles, scene.now
    selected = any(seen.release == release.name for seen in observed.endpoints.values())
    if status.color is None and release.status_lost and (selected or release.name in observed.deployments):
        # It has no place any more, but may have had one, with traffic, until a moment ago: its pods may be gone, and a
        # gateway that trails behind what it says would send their share to whoever takes the place.
        return status.model_copy(update={"without_traffic_since": now})
    if status.color is None:
        return status
    # Also behind the other colour, where somebody may have pointed its Service at it; and at home without a Service, or
    # with one that is about to be pointed at it again.
    served = [color for color, seen in observed.endpoints.items() if seen.release == release.name]
    if status.color not in observed.endpoints or release in (roles.active, roles.stable, roles.previous):
        served.append(status.color)
    # A route that is missing is made again, and what becomes of the traffic is known when that has settled: whoever
    # runs where it may have gone until a moment ago may still have some.
    settled = roles.stable is None if observed.route is None else observed.route.in_effect
    deployment = observed.deployments.get(release.name)
    unknown = observed.route is None and not settled and deployment is not None and deployment.spec_replicas > 0
    if any(unknown or observed.written_weight(color) for color in served):
        return status.model_copy(update={"without_traffic_since": None})
    if settled and status.without_traffic_since is None:
        return status.model_copy(update={"without_traffic_since": now})
    return status


def _note_deleted(status: ReleaseStatus, scene: Scene) -> ReleaseStatus:
    """The status of the stable release, with since when nothing goes to a release whose Release somebody deleted.

    That one has no status any more to keep it in.
    """
    observed, home = scene.observed, status.color
    if home is None or placement.deleted_occupant(home.other, observed) is None or observed.written_weight(home.other):
        since = None
    elif status.deleted_drain_since is None and observed.route is not None and observed.route.in_effect:
        since = scene.now
    else:
        since = status.deleted_drain_since
    return status if since == status.deleted_drain_since else status.model_copy(update={"deleted_drain_since": since})


def _notices(
    service: ServiceView, step: Step | None, create: NewRelease | None, conditions_changed: bool, observed: Observed
) -> tuple[Notice, ...]:
    out = list(step.notices) if step is not None else []
    if create is not None:
        message = f"{service.name} changed: release {create.name} is made"
        out.append(Notice(EventType.NORMAL, Reason.NEW_RELEASE.value, message))
    if conditions_changed:
        out += [Notice(EventType.WARNING, b.reason.value, b.message) for b in observed.blockers]
        if observed.template_refused is not None:
            out.append(Notice(EventType.WARNING, Reason.INVALID_TEMPLATE.value, observed.template_refused[:1024]))
    return tuple(out)


def _next(service: ServiceView, step: Step | None, create: NewRelease | None, after: Observed, now: datetime) -> Next:
    waits = [placement.next_change(service, after, now)]
    if step is not None:
        waits.append(step.wait)
    if create is not None:
        waits.append(0.0)
    known = [w for w in waits if w is not None]
    if known:
        return RequeueAfter(max(0.0, min(known)))
    if step is not None and step.held_by is not None:
        return Blocked(step.held_by[0].value, step.held_by[1])
    return Done()
