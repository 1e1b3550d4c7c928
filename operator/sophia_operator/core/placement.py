"""Where releases run, how large, and how the traffic is spread: what `render` puts into objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sophia_operator.api.release import Color, ReleaseState
from sophia_operator.api.rollout_plan import RolloutPlan
from sophia_operator.api.smoke import SmokeVia
from sophia_operator.core.roles import Roles, kept_until, select
from sophia_operator.core.views import Observed, ReleaseView, RouteView, ServiceView


@dataclass(frozen=True, slots=True)
class Placement:
    """The shape that the cluster should have."""

    #: Release that each colour's Services select; a colour without one has no Services' pods (selects nothing).
    releases: Mapping[Color, str | None]
    #: Share of the traffic of each colour, in percent; they add up to 100 (or to 0 before there is any release).
    weights: Mapping[Color, int]
    #: Size of each release's Deployment; a release that is not named has no Deployment.
    replicas: Mapping[str, int] = field(default_factory=dict)
    #: The colour whose check Service gets marked requests of the kind "candidate"; None without a rollout.
    candidate: Color | None = None


def placement(service: ServiceView, observed: Observed, now: datetime) -> Placement:
    """The shape that follows from the persisted statuses."""
    roles = select(service, observed, now)
    occupants = _occupants(roles, observed, now)
    return Placement(
        releases=occupants,
        weights=_weights(roles, observed),
        replicas=_sizes(service, roles, observed, now),
        candidate=_candidate(roles),
    )


def _occupants(roles: Roles, observed: Observed, now: datetime) -> dict[Color, str | None]:
    out: dict[Color, str | None] = {}
    for color in Color:
        seen = observed.endpoints.get(color)
        # The last occupant stays when nobody else needs the colour: no write without a reason. One whose Release is
        # gone, or cannot be read, stays while it may have traffic: its pods may be all that serves.
        goes = deleted_occupant(color, observed) is not None and not may_serve_deleted(
            color, roles.stable, observed, now
        )
        out[color] = seen.release if seen is not None and not goes else None
    stable, previous, active = roles.stable, roles.previous, roles.active
    if stable is not None and stable.status.color is not None:
        out[stable.status.color] = stable.name
        free = stable.status.color.other
        if previous is not None and previous.status.color is free and now < kept_until(stable):
            # Whoever else stands there, as a rollout whose status was lost, keeps what traffic it has.
            vacant = out[free] is None or not _may_have_traffic(free, observed)
            out[free] = previous.name if vacant else out[free]
    if active is not None and active.status.color is not None and not _must_wait(active, out, roles, observed):
        out[active.status.color] = active.name
    return out


def deleted_occupant(color: Color, observed: Observed) -> str | None:
    """Name of the release that the colour's Service selects, if its Release is gone or cannot be read."""
    seen = observed.endpoints.get(color)
    name = seen.release if seen is not None else None
    return name if name not in {r.name for r in observed.releases} else None


def may_serve_deleted(color: Color, stable: ReleaseView | None, observed: Observed, now: datetime) -> bool:
    """Whether requests may still go to the colour, or be under way there, though nobody keeps its status any more."""
    if stable is None or observed.written_weight(color):
        return True
    until = _deleted_drained_at(stable)
    return until is None or now < until


def _deleted_drained_at(stable: ReleaseView) -> datetime | None:
    since = stable.status.deleted_drain_since
    return since + timedelta(seconds=stable.spec.snapshot.plan.drain_seconds) if since is not None else None


def _must_wait(active: ReleaseView, occupants: Mapping[Color, str | None], roles: Roles, observed: Observed) -> bool:
    """Whether somebody gave the colour weight just as it was taken: its users are led away first."""
    color, route = active.status.color, observed.route
    if active.status.state is not ReleaseState.PROVISIONING or roles.stable is None or color is None or route is None:
        return False
    return occupants[color] not in (None, active.name) and is_busy(color, route)


def is_busy(color: Color, route: RouteView) -> bool:
    """Whether requests may still go to the colour."""
    return route.weights.get(color, 0) > 0 or not route.caught_up


def _may_have_traffic(color: Color, observed: Observed) -> bool:
    route = observed.route
    return route is None or route.weights.get(color, 0) > 0 or not route.in_effect


def _weights(roles: Roles, observed: Observed) -> dict[Color, int]:
    stable, active = roles.stable, roles.active
    if stable is None or stable.status.color is None:
        return {Color.BLUE: 0, Color.GREEN: 0}
    home = stable.status.color
    elsewhere = observed.written_weight(home.other) or 0
    if active is None and elsewhere > 0 and not observed.ready(home, stable.name) and _serves(home.other, observed):
        # Whoever serves there, as a release that somebody deleted, goes on until the stable one can.
        return {home: 100 - elsewhere, home.other: elsewhere}
    share = 0
    if active is not None and active.status.color is not None:
        share = _share_of(active, active.status.color, stable, stable.status.color, observed)
    return {stable.status.color: 100 - share, stable.status.color.other: share}


def _serves(color: Color, observed: Observed) -> bool:
    seen = observed.endpoints.get(color)
    return seen is not None and seen.ready > 0


def _share_of(active: ReleaseView, color: Color, stable: ReleaseView, home: Color, observed: Observed) -> int:
    """Share of the release under way: never any for one without ready endpoints while the other has some."""
    ready, stable_ready = observed.ready(color, active.name), observed.ready(home, stable.name)
    wanted = 0
    if active.status.state is ReleaseState.SHIFTING and active.status.stage is not None:
        wanted = active.status.stage.weight_percent
    written = observed.written_weight(color) or 0
    if wanted > 0 and ready == 0:
        return 0 if stable_ready > 0 else min(wanted, written)
    if wanted < written and stable_ready == 0 and ready > 0:
        return written
    return wanted


def rollout_size(service: ServiceView, release: ReleaseView) -> int:
    """Size of both releases of a rollout: as asked for, but never below the size at its beginning.

    An autoscaler that sees half the load on each release would otherwise shrink both below what one of them needs.
    """
    return max(service.spec.replicas, release.status.base_replicas or 0)


def needed_ready(plan: RolloutPlan, size: int) -> int:
    """Ready pods that a release of that size must have to take more traffic."""
    value = plan.max_unavailable
    allowed = size * int(value.rstrip("%")) // 100 if isinstance(value, str) else value
    return max(min(size, 1), size - max(0, allowed))


def is_drained(release: ReleaseView, now: datetime) -> bool:
    """Whether the release has carried no traffic for its drain time."""
    since = release.status.without_traffic_since
    return since is not None and now - since >= timedelta(seconds=release.spec.snapshot.plan.drain_seconds)


def _sizes(service: ServiceView, roles: Roles, observed: Observed, now: datetime) -> dict[str, int]:
    out: dict[str, int] = {}
    for release in observed.releases:
        deployment = observed.deployments.get(release.name)
        size = _size(service, release, roles, now, deployment.spec_replicas if deployment is not None else 0)
        if size > 0 or release.name in observed.deployments or release in (roles.stable, roles.active):
            out[release.name] = size
    return out


def _size(service: ServiceView, release: ReleaseView, roles: Roles, now: datetime, current: int) -> int:
    status = release.status
    if release.status_lost:
        return current  # not before it is known what it was doing
    if release is roles.active:
        return rollout_size(service, release)
    if release is roles.stable:
        return service.spec.replicas if roles.active is None else rollout_size(service, roles.active)
    if status.color is None:
        # It never had a place; or that was forgotten: then it may still drain, or, while nothing is known to serve, be
        # what does, until another is known to.
        ended = _forgotten_until(release, roles.stable)
        drains = ended is not None and now < ended
        return current if drains or roles.stable is None else 0
    if status.state is ReleaseState.PENDING:
        return current if release is roles.target or not is_drained(release, now) else 0
    if not is_drained(release, now):
        return rollout_size(service, release)
    if release is roles.previous and roles.stable is not None and now < kept_until(roles.stable):
        return rollout_size(service, roles.stable)
    if status.state.is_latched and status.ended_at is not None:
        keep = timedelta(seconds=release.spec.snapshot.plan.abort_keep_seconds)
        return rollout_size(service, release) if now - status.ended_at < keep else 0
    return 0


def _forgotten_until(release: ReleaseView, stable: ReleaseView | None) -> datetime | None:
    """When a release is drained whose place was forgotten; None when it never had traffic, as far as anybody knows."""
    since = release.status.without_traffic_since
    if since is None:
        return None
    found = stable.status.promoted_at if stable is not None else None
    return max(since, found or since) + timedelta(seconds=release.spec.snapshot.plan.drain_seconds)


def next_change(service: ServiceView, observed: Observed, now: datetime) -> float | None:
    """Seconds until time alone changes the placement; None when it does not."""
    roles = select(service, observed, now)
    moments: list[datetime] = []
    if roles.stable is not None and roles.previous is not None:
        moments.append(kept_until(roles.stable))
    if roles.stable is not None and (drained_at := _deleted_drained_at(roles.stable)) is not None:
        moments.append(drained_at)
    for release in observed.releases:
        plan, status = release.spec.snapshot.plan, release.status
        if release in (roles.stable, roles.active):
            continue
        if status.without_traffic_since is not None:
            moments.append(status.without_traffic_since + timedelta(seconds=plan.drain_seconds))
        forgotten = _forgotten_until(release, roles.stable) if status.color is None else None
        if forgotten is not None:
            moments.append(forgotten)
        if status.state.is_latched and status.color is not None and status.ended_at is not None:
            moments.append(status.ended_at + timedelta(seconds=plan.abort_keep_seconds))
    ahead = [(m - now).total_seconds() for m in moments if m > now]
    return min(ahead) if ahead else None


def _candidate(roles: Roles) -> Color | None:
    active = roles.active
    if active is None or active.status.state not in (ReleaseState.PROVISIONING, ReleaseState.SMOKE_TESTING):
        return None
    through_gateway = any(t.via is SmokeVia.GATEWAY for t in active.spec.snapshot.plan.smoke_tests)
    return active.status.color if through_gateway else None
