"""Status of a ManagedService: a projection of its releases and of what is seen, so that it can always be rebuilt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sophia_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason, put
from sophia_operator.api.managed_service import ManagedServiceStatus, ReleaseRef
from sophia_operator.core import names
from sophia_operator.core.decision import NewRelease
from sophia_operator.core.release_conditions import phase
from sophia_operator.core.roles import Roles, kept_until
from sophia_operator.core.transition import Step
from sophia_operator.core.views import Blocker, Observed, ReleaseView, ServiceView

_Add = Callable[[ConditionType, ConditionStatus, Reason, str], None]

_PAUSES = frozenset(
    {Reason.PAUSED_BY_INTENT, Reason.PAUSED_BY_SERVICE, Reason.INCONCLUSIVE_LIMIT, Reason.GATE_FAILED_PAUSE}
)


def project(
    service: ServiceView, observed: Observed, roles: Roles, step: Step | None, create: NewRelease | None, now: datetime
) -> ManagedServiceStatus:
    """The status that follows from everything else."""
    serving = _serving(roles, observed)
    deployment = observed.deployments.get(serving.name) if serving is not None else None
    last = max([service.status.last_revision, *(r.spec.revision for r in observed.releases)])
    rollout = roles.active or (roles.target if roles.target is not roles.stable else None)
    weight = _weight(rollout, observed)
    return ManagedServiceStatus(
        observed_generation=service.generation,
        last_revision=max(last, create.spec.revision if create is not None else 0),
        stable=_ref(roles.stable, service, observed),
        rollout=_ref(rollout, service, observed),
        previous=_ref(roles.previous, service, observed) if _kept(roles, now) else None,
        summary=_summary(roles, rollout, service),
        weight=None if weight is None else f"{weight}%",
        replicas=deployment.pods if deployment is not None else 0,
        ready_replicas=deployment.ready_pods if deployment is not None else 0,
        selector=_selector(service, serving),
        conditions=_conditions(service, observed, roles, rollout, step, create, now),
    )


def _serving(roles: Roles, observed: Observed) -> ReleaseView | None:
    """The release with most of the traffic: an autoscaler must see the load of that one."""
    active = roles.active
    if active is not None and active.status.color is not None:
        written = observed.written_weight(active.status.color) or 0
        if written > 50 or roles.stable is None:
            return active
    return roles.stable


def _kept(roles: Roles, now: datetime) -> bool:
    return roles.stable is not None and roles.previous is not None and now < kept_until(roles.stable)


def _weight(rollout: ReleaseView | None, observed: Observed) -> int | None:
    if rollout is None or rollout.status.color is None or not rollout.status.state.is_active:
        return None
    seen = observed.endpoints.get(rollout.status.color)
    if seen is None or seen.release != rollout.name:
        return 0
    return observed.written_weight(rollout.status.color) or 0


def _ref(release: ReleaseView | None, service: ServiceView, observed: Observed) -> ReleaseRef | None:
    if release is None:
        return None
    weight = None
    if release.status.color is not None:
        seen = observed.endpoints.get(release.status.color)
        written = observed.written_weight(release.status.color) or 0
        weight = written if seen is not None and seen.release == release.name else 0
    return ReleaseRef(
        name=release.name,
        revision=release.spec.revision,
        color=release.status.color,
        weight_percent=weight,
        phase=phase(release, release.status, service),
    )


def _selector(service: ServiceView, serving: ReleaseView | None) -> str | None:
    if serving is None:
        return None
    return ",".join(f"{k}={v}" for k, v in sorted(names.pod_selector(service.name, serving.name).items()))


def _summary(roles: Roles, rollout: ReleaseView | None, service: ServiceView) -> str:
    serves = f"{roles.stable.name} serves" if roles.stable is not None else "nothing serves yet"
    if rollout is None:
        return serves
    return f"{serves}; {rollout.name}: {phase(rollout, rollout.status, service)}"


def _conditions(
    service: ServiceView,
    observed: Observed,
    roles: Roles,
    rollout: ReleaseView | None,
    step: Step | None,
    create: NewRelease | None,
    now: datetime,
) -> list[Condition]:
    out: list[Condition] = []

    def add(kind: ConditionType, value: ConditionStatus, reason: Reason, message: str) -> None:
        old = [c for c in service.status.conditions if c.type == kind.value]
        out[:] = put([*out, *old], kind, value, reason, message, generation=service.generation, now=now)

    stalled = _stall(service, observed, roles, rollout, step)
    _availability(service, observed, roles, add)
    if stalled is not None:
        add(ConditionType.STALLED, ConditionStatus.TRUE, stalled.reason, stalled.message)
        add(ConditionType.READY, ConditionStatus.FALSE, stalled.reason, stalled.message)
        return out
    going = _going_on(service, observed, roles, rollout, step, create)
    if going is not None:
        add(ConditionType.RECONCILING, ConditionStatus.TRUE, going.reason, going.message)
        add(ConditionType.READY, ConditionStatus.FALSE, going.reason, going.message)
        if going.reason in _PAUSES:
            add(ConditionType.PAUSED, ConditionStatus.TRUE, going.reason, going.message)
        return out
    assert roles.stable is not None
    message = f"release {roles.stable.name} is what the spec asks for, and it serves"
    add(ConditionType.READY, ConditionStatus.TRUE, Reason.SETTLED, message)
    return out


def _stall(
    service: ServiceView, observed: Observed, roles: Roles, rollout: ReleaseView | None, step: Step | None
) -> Blocker | None:
    """What only a change by a person, or of the cluster, can mend."""
    serves = f"; {roles.stable.name} keeps serving" if roles.stable is not None else ""
    if observed.blockers:
        blocker = observed.blockers[0]
        return Blocker(blocker.reason, blocker.message + serves)
    missing = next((c for c in observed.config if c.hash is None), None)
    if missing is not None:
        words = f"{missing.kind.value} {service.namespace}/{missing.name}, named in spec.config, is missing: create it"
        return Blocker(Reason.CONFIG_NOT_FOUND, words + serves)
    if observed.template_refused is not None and roles.target is None:
        return Blocker(
            Reason.INVALID_TEMPLATE, f"the API server refuses spec.template: {observed.template_refused}{serves}"
        )
    if rollout is None:
        return None
    if rollout.status.state.is_latched:
        told = rollout.status.outcome.message if rollout.status.outcome is not None else ""
        words = f"release {rollout.name} failed: {told}{serves}. Change the spec, or set spec.intent of the Release to Retry"
        return Blocker(Reason.RELEASE_LATCHED, words)
    held = step.held_by if step is not None else None
    if held is not None and (held[0] is Reason.SNAPSHOT_ALTERED or "not ready within" in held[1]):
        return Blocker(held[0], held[1] + serves)
    return None


def _going_on(
    service: ServiceView,
    observed: Observed,
    roles: Roles,
    rollout: ReleaseView | None,
    step: Step | None,
    create: NewRelease | None,
) -> Blocker | None:
    """What is still under way."""
    if create is not None:
        return Blocker(Reason.NEW_RELEASE, f"release {create.name} is made")
    if rollout is not None:
        held = step.held_by if step is not None else None
        if held is not None:
            return Blocker(held[0], f"release {rollout.name}: {held[1]}")
        last = rollout.status.transitions[-1] if rollout.status.transitions else None
        reason = Reason(last.reason) if last is not None else Reason.PROGRESSING
        return Blocker(reason, last.message if last is not None else f"release {rollout.name} is about to start")
    stable = roles.stable
    if stable is None or stable.status.color is None:
        return Blocker(Reason.NO_RELEASE, "no release yet")
    ready = observed.ready(stable.status.color, stable.name)
    if ready < service.spec.replicas:
        return Blocker(Reason.NOT_READY, f"{ready} of {service.spec.replicas} pods of {stable.name} are ready")
    if observed.written_weight(stable.status.color) != 100 and service.spec.replicas > 0:
        return Blocker(Reason.PROGRESSING, f"the route does not yet give {stable.name} all traffic")
    return None


def _availability(service: ServiceView, observed: Observed, roles: Roles, add: _Add) -> None:
    stable = roles.stable
    if stable is None or stable.status.color is None:
        add(ConditionType.AVAILABLE, ConditionStatus.FALSE, Reason.NO_RELEASE, "no release serves yet")
        return
    ready = observed.ready(stable.status.color, stable.name)
    if ready == 0 and service.spec.replicas > 0:
        words = f"{stable.name} has no ready pods"
        add(ConditionType.AVAILABLE, ConditionStatus.FALSE, Reason.STABLE_NOT_READY, words)
        return
    add(ConditionType.AVAILABLE, ConditionStatus.TRUE, Reason.AVAILABLE, f"{stable.name} serves")
