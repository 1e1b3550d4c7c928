"""Status of a ManagedService: a projection of its releases and of what is seen, so that it can always be rebuilt."""

from __future__ import annotations

from sophia_operator.api.conditions import PAUSES, Author, Condition, ConditionStatus, ConditionType, Reason
from sophia_operator.api.managed_service import ManagedServiceStatus, ReleaseRef
from sophia_operator.core import names
from sophia_operator.core.decision import NewRelease
from sophia_operator.core.release_conditions import phase
from sophia_operator.core.roles import kept_until
from sophia_operator.core.scene import Scene
from sophia_operator.core.transition import Step
from sophia_operator.core.views import BindingView, Blocker, Observed, ReleaseView, ServiceView


def project(scene: Scene, step: Step | None, create: NewRelease | None) -> ManagedServiceStatus:
    """The status that follows from everything else."""
    service, observed, roles = scene.service, scene.observed, scene.roles
    serving = _serving(scene)
    deployment = observed.deployments.get(serving.name) if serving is not None else None
    last = max([service.status.last_revision, *(r.spec.revision for r in observed.releases)])
    rollout = roles.active or (roles.target if roles.target is not roles.stable else None)
    weight = _weight(rollout, observed)
    return ManagedServiceStatus(
        observed_generation=service.generation,
        last_revision=max(last, create.spec.revision if create is not None else 0),
        stable=_ref(roles.stable, scene),
        rollout=_ref(rollout, scene),
        previous=_ref(roles.previous, scene) if _kept(scene) else None,
        summary=_summary(scene, rollout),
        weight=None if weight is None else f"{weight}%",
        replicas=deployment.pods if deployment is not None else 0,
        ready_replicas=deployment.ready_pods if deployment is not None else 0,
        selector=_selector(service, serving),
        conditions=_conditions(scene, rollout, step, create),
    )


def _serving(scene: Scene) -> ReleaseView | None:
    """The release with most of the traffic: an autoscaler must see the load of that one."""
    active = scene.roles.active
    if active is not None and active.status.color is not None:
        written = scene.observed.written_weight(active.status.color) or 0
        if written > 50 or scene.roles.stable is None:
            return active
    return scene.roles.stable


def _kept(scene: Scene) -> bool:
    return (
        scene.roles.stable is not None
        and scene.roles.previous is not None
        and scene.now < kept_until(scene.roles.stable)
    )


def _weight(rollout: ReleaseView | None, observed: Observed) -> int | None:
    if rollout is None or rollout.status.color is None or not rollout.status.state.is_active:
        return None
    seen = observed.endpoints.get(rollout.status.color)
    if seen is None or seen.release != rollout.name:
        return 0
    return observed.written_weight(rollout.status.color) or 0


def _ref(release: ReleaseView | None, scene: Scene) -> ReleaseRef | None:
    if release is None:
        return None
    weight = None
    if release.status.color is not None:
        seen = scene.observed.endpoints.get(release.status.color)
        written = scene.observed.written_weight(release.status.color) or 0
        weight = written if seen is not None and seen.release == release.name else 0
    return ReleaseRef(
        name=release.name,
        revision=release.spec.revision,
        color=release.status.color,
        weight_percent=weight,
        phase=phase(release, release.status, scene.service),
    )


def _selector(service: ServiceView, serving: ReleaseView | None) -> str | None:
    if serving is None:
        return None
    return ",".join(f"{k}={v}" for k, v in sorted(names.pod_selector(service.name, serving.name).items()))


def _summary(scene: Scene, rollout: ReleaseView | None) -> str:
    serves = f"{scene.roles.stable.name} serves" if scene.roles.stable is not None else "nothing serves yet"
    if rollout is None:
        return serves
    return f"{serves}; {rollout.name}: {phase(rollout, rollout.status, scene.service)}"


def _conditions(
    scene: Scene, rollout: ReleaseView | None, step: Step | None, create: NewRelease | None
) -> list[Condition]:
    author = Author(scene.service.status.conditions, scene.service.generation, scene.now)
    available, why_available = _availability(scene)
    out = author.put([], ConditionType.AVAILABLE, why_available, available)
    stalled = _stall(scene, rollout, step)
    going = _going_on(scene, rollout, step, create) if stalled is None else None
    if stalled is not None:
        why = (stalled.reason, stalled.message)
        out = author.put(out, ConditionType.STALLED, why)
        return author.put(out, ConditionType.READY, why, ConditionStatus.FALSE)
    if going is not None:
        why = (going.reason, going.message)
        out = author.put(out, ConditionType.RECONCILING, why)
        if going.reason in PAUSES:
            out = author.put(out, ConditionType.PAUSED, why)
        return author.put(out, ConditionType.READY, why, ConditionStatus.FALSE)
    assert scene.roles.stable is not None
    settled = f"release {scene.roles.stable.name} is what the spec asks for, and it serves"
    return author.put(out, ConditionType.READY, (Reason.SETTLED, settled))


def _stall(scene: Scene, rollout: ReleaseView | None, step: Step | None) -> Blocker | None:
    """What only a change by a person, or of the cluster, can mend."""
    serves = f"; {scene.roles.stable.name} keeps serving" if scene.roles.stable is not None else ""
    if scene.observed.blockers:
        blocker = scene.observed.blockers[0]
        return Blocker(blocker.reason, blocker.message + serves)
    missing = next((c for c in scene.observed.config if c.hash is None), None)
    if missing is not None:
        place = f"{missing.kind.value} {scene.service.namespace}/{missing.name}"
        words = f"{place}, named in spec.config, is missing: create it"
        return Blocker(Reason.CONFIG_NOT_FOUND, words + serves)
    unbound = next((b for b in scene.observed.bindings if b.missing is not None), None)
    if unbound is not None:
        return Blocker(Reason.BINDING_NOT_FOUND, _unbound(unbound, scene.service.namespace) + serves)
    if scene.observed.template_refused is not None and scene.roles.target is None:
        return Blocker(
            Reason.INVALID_TEMPLATE, f"the API server refuses spec.template: {scene.observed.template_refused}{serves}"
        )
    if rollout is None:
        return None
    if rollout.status.state.is_latched:
        told = rollout.status.outcome.message if rollout.status.outcome is not None else ""
        remedy = "Change the spec, or set spec.intent of the Release to Retry"
        words = f"release {rollout.name} failed: {told}{serves}. {remedy}"
        return Blocker(Reason.RELEASE_LATCHED, words)
    if step is not None and step.stalls and step.held_by is not None:
        return Blocker(step.held_by[0], step.held_by[1] + serves)
    return None


def _unbound(binding: BindingView, namespace: str) -> str:
    part, kind = binding.missing, binding.kind.value
    assert part is not None
    how = "named in spec.bindings" if part.name == binding.name else f"below {binding.name} of spec.bindings"
    what = f"{kind} {namespace}/{part.name}, {how},"
    if not part.exists:
        return f"{what} is missing: create it"
    secret = f"Secret {namespace}/{part.secret_name}"
    return f"{what} has no {secret} yet, which says how to connect: see the conditions of the {kind}"


def _going_on(
    scene: Scene,
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
    stable = scene.roles.stable
    if stable is None or stable.status.color is None:
        return Blocker(Reason.NO_RELEASE, "no release yet")
    ready = scene.observed.ready(stable.status.color, stable.name)
    if ready < scene.service.spec.replicas:
        return Blocker(Reason.NOT_READY, _short_of_pods(scene, stable, ready))
    if scene.observed.written_weight(stable.status.color) != 100 and scene.service.spec.replicas > 0:
        return Blocker(Reason.PROGRESSING, f"the route does not yet give {stable.name} all traffic")
    return None


def _short_of_pods(scene: Scene, stable: ReleaseView, ready: int) -> str:
    deployment = scene.observed.deployments.get(stable.name)
    words = f"{ready} of {scene.service.spec.replicas} pods of {stable.name} are ready"
    problem = deployment.problem if deployment is not None else None
    return words if problem is None else f"{words}: {problem.message}"


def _availability(scene: Scene) -> tuple[ConditionStatus, tuple[Reason, str]]:
    stable = scene.roles.stable
    if stable is None or stable.status.color is None:
        return ConditionStatus.FALSE, (Reason.NO_RELEASE, "no release serves yet")
    if scene.observed.ready(stable.status.color, stable.name) == 0 and scene.service.spec.replicas > 0:
        return ConditionStatus.FALSE, (Reason.STABLE_NOT_READY, f"{stable.name} has no ready pods")
    return ConditionStatus.TRUE, (Reason.AVAILABLE, f"{stable.name} serves")
