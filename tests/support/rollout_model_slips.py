"""Mutants that see rightly and do wrong: each function is one slip in what follows from what a pass sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sophia_operator.api.release import Color, Intent, Outcome, ReleaseState, ReleaseStatus
from sophia_operator.core import advance as real_advance
from sophia_operator.core import placement as real_placement
from sophia_operator.core import render as real_render
from sophia_operator.core.decision import Decision, Next
from sophia_operator.core.placement import Placement
from sophia_operator.core.render import ChildRef, Desired
from sophia_operator.core.roles import Roles, select
from sophia_operator.core.views import Observed, ServiceView
from sophia_operator.runtime.world import Mind

Shape = Callable[[Placement, Roles, ServiceView, Observed, datetime], Placement]
Amend = Callable[[Decision, Roles, ServiceView, Observed, datetime], Decision]
Draw = Callable[[Desired, Placement], Desired]


def misplaced(shape: Shape) -> Mind:
    """A mind that puts things where they do not belong."""

    def placement(service: ServiceView, observed: Observed, now: datetime) -> Placement:
        right = real_placement.placement(service, observed, now)
        return shape(right, select(service, observed, now), service, observed, now)

    return Mind(placement=placement)


def amended(amend: Amend) -> Mind:
    """A mind that changes what it decided."""

    def advance(service: ServiceView, observed: Observed, now: datetime) -> Decision:
        right = real_advance.advance(service, observed, now)
        return amend(right, select(service, observed, now), service, observed, now)

    return Mind(advance=advance)


def misdrawn(draw: Draw) -> Mind:
    """A mind that draws other objects than were placed."""

    def render(
        service: ServiceView, observed: Observed, placement: Placement, existing: Sequence[ChildRef] = ()
    ) -> Desired:
        return draw(real_render.render(service, observed, placement, existing), placement)

    return Mind(render=render)


# -- what is wrong about where things go


def weight_from_the_start(right: Placement, roles: Roles, *_: Any) -> Placement:
    """The release under way has traffic as soon as it has a colour."""
    active, stable = roles.active, roles.stable
    if stable is None or active is None or active.status.color is None:
        return right
    if active.status.state is not ReleaseState.PROVISIONING:
        return right
    return replace(right, weights={active.status.color: 10, active.status.color.other: 90})


def all_at_once(right: Placement, roles: Roles, *_: Any) -> Placement:
    """From its first stage on the release under way has all the traffic."""
    active, stable = roles.active, roles.stable
    if stable is None or active is None or active.status.color is None:
        return right
    if active.status.state is not ReleaseState.SHIFTING:
        return right
    return replace(right, weights={active.status.color: 100, active.status.color.other: 0})


def weight_stays(right: Placement, roles: Roles, service: ServiceView, observed: Observed, _: datetime) -> Placement:
    """The release that goes back keeps the weight that it had."""
    active = roles.active
    if active is None or active.status.state is not ReleaseState.ROLLING_BACK or observed.route is None:
        return right
    return replace(right, weights=dict(observed.route.weights))


def previous_shares(right: Placement, roles: Roles, *_: Any) -> Placement:
    """A release that was replaced goes on with a small share."""
    stable, previous = roles.stable, roles.previous
    if stable is None or stable.status.color is None or previous is None or roles.active is not None:
        return right
    if right.releases.get(stable.status.color.other) != previous.name:
        return right
    return replace(right, weights={stable.status.color: 95, stable.status.color.other: 5})


def more_than_all(right: Placement, *_: Any) -> Placement:
    """The new release's share is added to the whole, not taken from it."""
    return replace(right, weights={c: 100 if w >= 50 else w for c, w in right.weights.items()})


def stable_shrinks(right: Placement, roles: Roles, *_: Any) -> Placement:
    """Blue gives up pods as green gets traffic."""
    stable, active = roles.stable, roles.active
    if stable is None or active is None or active.status.stage is None:
        return right
    return replace(right, replicas={**right.replicas, stable.name: 1})


def previous_goes_at_once(right: Placement, roles: Roles, *_: Any) -> Placement:
    """The release that was replaced loses its pods with the write that replaced it."""
    if roles.previous is None or roles.active is not None:
        return right
    return replace(right, replicas={**right.replicas, roles.previous.name: 0})


def previous_goes_when_drained(
    right: Placement, roles: Roles, service: ServiceView, observed: Observed, now: datetime
) -> Placement:
    """The release that was replaced is not kept for a way back."""
    if roles.previous is None or roles.active is not None or not real_placement.is_drained(roles.previous, now):
        return right
    return replace(right, replicas={**right.replicas, roles.previous.name: 0})


def size_of_the_beginning(right: Placement, roles: Roles, *_: Any) -> Placement:
    """The stable release keeps the size that its rollout began with."""
    stable = roles.stable
    if stable is None or stable.status.base_replicas is None:
        return right
    return replace(right, replicas={**right.replicas, stable.name: stable.status.base_replicas})


def restless_when_paused(
    right: Placement, roles: Roles, service: ServiceView, observed: Observed, now: datetime
) -> Placement:
    """While a person holds the rollout, a pod comes and goes."""
    active = roles.active
    if active is None or active.spec.intent is not Intent.PAUSE:
        return right
    size = right.replicas.get(active.name, 0) + now.minute % 2
    return replace(right, replicas={**right.replicas, active.name: size})


def newest_takes_the_colour(
    right: Placement, roles: Roles, service: ServiceView, observed: Observed, _: datetime
) -> Placement:
    """The free colour selects the newest release, whoever has traffic there."""
    stable = roles.stable
    if stable is None or stable.status.color is None:
        return right
    newest = max(observed.releases, key=lambda r: r.spec.revision)
    if newest is stable:
        return right
    return replace(right, releases={**right.releases, stable.status.color.other: newest.name})


# -- what is wrong about the objects


def heaviest_backend_first(right: Desired, placement: Placement) -> Desired:
    """The backends of the route are in the order of their weights."""
    if placement.weights.get(Color.GREEN, 0) <= placement.weights.get(Color.BLUE, 0):
        return right
    return replace(right, objects=tuple(_reversed_backends(o) for o in right.objects))


def no_route_between_rollouts(right: Desired, placement: Placement) -> Desired:
    """While all the traffic is at green, the route is taken away."""
    if placement.weights.get(Color.GREEN) != 100:
        return right
    routes = [o for o in right.objects if o["kind"] == "HTTPRoute"]
    gone = tuple(ChildRef(o["apiVersion"], o["kind"], o["metadata"]["name"]) for o in routes)
    return replace(right, objects=tuple(o for o in right.objects if o not in routes), delete=(*right.delete, *gone))


# -- what is wrong about what was decided


def abort_needs_no_way_back(
    right: Decision, roles: Roles, service: ServiceView, observed: Observed, now: datetime
) -> Decision:
    """An aborted release leaves, also when there is nothing to go back to."""
    stable = roles.stable
    if stable is None or stable.spec.intent is not Intent.ABORT or roles.active is not None:
        return right
    outcome = Outcome(state=ReleaseState.ROLLED_BACK, reason="Aborted", message="asked to")
    status = stable.status.model_copy(update={"state": ReleaseState.ROLLING_BACK, "outcome": outcome})
    return replace(right, release_statuses={**right.release_statuses, stable.name: status})


def starts_as_the_colour_that_serves(right: Decision, roles: Roles, *_: Any) -> Decision:
    """A new release takes the colour of the stable one."""
    if roles.stable is None:
        return right
    taken = {"color": roles.stable.status.color}
    return replace(
        right,
        release_statuses={
            name: status.model_copy(update=taken) if status.state is ReleaseState.PROVISIONING else status
            for name, status in right.release_statuses.items()
        },
    )


def two_steps(right: Decision, roles: Roles, service: ServiceView, observed: Observed, now: datetime) -> Decision:
    """What would be decided in the next pass is decided in this one too."""
    if right.create is not None or not right.release_statuses or any(r.status_lost for r in observed.releases):
        return right
    after = tuple(replace(r, status=right.release_statuses.get(r.name, r.status)) for r in observed.releases)
    second = real_advance.advance(replace(service, status=right.service_status), replace(observed, releases=after), now)
    return replace(second, release_statuses={**right.release_statuses, **second.release_statuses})


def ready_forgotten(right: Decision, *_: Any) -> Decision:
    """The service's status says nothing of Ready."""
    kept = [c for c in right.service_status.conditions if c.type != "Ready"]
    return replace(right, service_status=right.service_status.model_copy(update={"conditions": kept}))


def too_many_words(right: Decision, *_: Any) -> Decision:
    """A message is longer than the API takes."""

    def wordy(status: ReleaseStatus) -> ReleaseStatus:
        last = [t.model_copy(update={"message": "so " * 2000}) for t in status.transitions[-1:]]
        return status.model_copy(update={"transitions": [*status.transitions[:-1], *last]})

    return replace(right, release_statuses={n: wordy(s) for n, s in right.release_statuses.items()})


def the_hour_in_the_status(
    right: Decision, roles: Roles, service: ServiceView, observed: Observed, now: datetime
) -> Decision:
    """The service's status says when it was last looked at, to the hour."""
    summary = f"{right.service_status.summary}, at {now:%H} o'clock"
    return replace(right, service_status=right.service_status.model_copy(update={"summary": summary}))


def look_again(next_: Next) -> Amend:
    """Every pass wants the next one so."""
    return lambda right, *_: replace(right, next=next_)


def asleep_in_stages(next_: Next) -> Amend:
    """While a stage goes on, time alone wakes nobody."""

    def amend(right: Decision, roles: Roles, *_: Any) -> Decision:
        shifting = roles.active is not None and roles.active.status.state is ReleaseState.SHIFTING
        return replace(right, next=next_) if shifting else right

    return amend


def never_starts(next_: Next) -> Amend:
    """What waits for its turn never gets it."""

    def amend(right: Decision, roles: Roles, *_: Any) -> Decision:
        starting = any(s.state is ReleaseState.PROVISIONING for s in right.release_statuses.values())
        return replace(right, release_statuses={}, next=next_) if starting and roles.stable is not None else right

    return amend


def _reversed_backends(obj: dict[str, Any]) -> dict[str, Any]:
    if obj["kind"] != "HTTPRoute":
        return obj
    rules = [{**rule, "backendRefs": rule["backendRefs"][::-1]} for rule in obj["spec"]["rules"]]
    return {**obj, "spec": {**obj["spec"], "rules": rules}}
