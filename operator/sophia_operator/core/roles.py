"""Which release plays which part: what serves, what is being rolled out, what the spec asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sophia_operator.api.release import ConfigKind, ConfigVersion, ReleaseSpec, ReleaseState, Snapshot
from sophia_operator.api.rollout_plan import RolloutPlan
from sophia_operator.core import names
from sophia_operator.core.bound import binding_versions, content_of
from sophia_operator.core.hashing import release_hash
from sophia_operator.core.views import Observed, ReleaseView, ServiceView


@dataclass(frozen=True, slots=True)
class Roles:
    """The parts. Each is None when no release plays it."""

    #: Serves, or last served, all users: the Promoted release that was promoted last.
    stable: ReleaseView | None
    #: Promoted before the stable one.
    previous: ReleaseView | None
    #: Under way: provisioning, tested, getting traffic, or rolling back.
    active: ReleaseView | None
    #: What the spec asks for, if there is a release of it that may still serve.
    target: ReleaseView | None
    #: Hash that the spec asks for; None while a ConfigMap, a Secret or a binding that it names is missing.
    wanted_hash: str | None


def wanted_hash(service: ServiceView, observed: Observed) -> str | None:
    """Hash of what the spec asks for; None while a part of its configuration, or a binding, is missing."""
    config: list[tuple[str, str, str]] = []
    for view in observed.config:
        if view.hash is None:
            return None
        config.append((view.kind.value, view.name, view.hash))
    bound = binding_versions(service.name, observed.bindings)
    if bound is None:
        return None
    ports = [p.to_dict() for p in service.spec.ports]
    return release_hash(service.spec.template, ports, config, [content_of(b) for b in bound])


def select(service: ServiceView, observed: Observed, now: datetime) -> Roles:
    """The parts that releases play now."""
    promoted = sorted(
        (r for r in observed.releases if r.status.state is ReleaseState.PROMOTED and r.status.promoted_at),
        key=lambda r: (r.status.promoted_at, r.spec.revision),
    )
    stable = promoted[-1] if promoted else None
    previous = promoted[-2] if len(promoted) > 1 else None
    active = max(
        (r for r in observed.releases if r.status.state.is_active), key=lambda r: r.spec.revision, default=None
    )
    if stable is not None and active is not None and stable.status.color is active.status.color:
        # It gave its colour away, so it is not what serves: the status of the one that does was lost.
        stable = previous = None
    roles = Roles(stable, previous, active, target=None, wanted_hash=wanted_hash(service, observed))
    standby = previous if can_return_at_once(roles, observed, now) else None
    return replace(roles, target=_target(observed.releases, stable, standby, roles.wanted_hash))


def _target(
    releases: Sequence[ReleaseView], stable: ReleaseView | None, standby: ReleaseView | None, wanted: str | None
) -> ReleaseView | None:
    """The newest release of what is wanted; one that served before counts only while it stands by."""
    if wanted is None:
        return None
    if stable is not None and stable.spec.hash == wanted:
        return stable
    eligible = [
        r
        for r in releases
        if r.spec.hash == wanted
        and r.status.state is not ReleaseState.SUPERSEDED
        and not _superseded_on_its_way(r)
        and (r.status.state is not ReleaseState.PROMOTED or r is standby)
    ]
    return max(eligible, key=lambda r: r.spec.revision, default=None)


def _superseded_on_its_way(release: ReleaseView) -> bool:
    outcome = release.status.outcome
    return (
        release.status.state is ReleaseState.ROLLING_BACK
        and outcome is not None
        and outcome.state is ReleaseState.SUPERSEDED
    )


def kept_until(stable: ReleaseView) -> datetime:
    """End of the window in which the release before `stable` keeps its full size."""
    assert stable.status.promoted_at is not None
    return stable.status.promoted_at + timedelta(seconds=stable.spec.snapshot.plan.keep_previous_seconds)


def can_return_at_once(roles: Roles, observed: Observed, now: datetime) -> bool:
    """Whether the previous release still stands ready behind its colour, so that one write brings it back."""
    stable, previous = roles.stable, roles.previous
    if stable is None or previous is None or previous.status.color is None:
        return False
    if previous.status.color is stable.status.color or now >= kept_until(stable):
        return False
    return observed.ready(previous.status.color, previous.name) > 0


def next_revision(service: ServiceView, observed: Observed) -> int:
    """Number for a new release: above every one there ever was."""
    return 1 + max([service.status.last_revision, *(r.spec.revision for r in observed.releases)])


def plan_of(service: ServiceView) -> RolloutPlan:
    """The plan for a release made now. A plain Service knows no shares: of its stages only the last is left."""
    plan = service.spec.rollout
    return plan if service.spec.traffic.none is None else plan.model_copy(update={"stages": plan.stages[-1:]})


def new_release_spec(service: ServiceView, observed: Observed, wanted: str) -> ReleaseSpec:
    """The snapshot of what the spec asks for now."""
    return ReleaseSpec(
        service_name=service.name,
        revision=next_revision(service, observed),
        hash=wanted,
        snapshot=Snapshot(
            template=service.spec.template,
            ports=service.spec.ports,
            config=[
                ConfigVersion(
                    kind=ConfigKind(view.kind),
                    name=view.name,
                    hash=view.hash,
                    copy_name=names.config_copy_name(service.name, view.name, view.hash),
                )
                for view in observed.config
                if view.hash is not None
            ],
            bindings=binding_versions(service.name, observed.bindings) or [],
            plan=plan_of(service),
        ),
    )
