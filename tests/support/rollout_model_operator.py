"""The operator as the model runs it: the real decisions, with every single write as a step of its own.

`steps()` is one pass, as a generator that stops before each write: closing it is a crash at that place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import Color, ConfigKind, ReleaseStatus
from sophia_operator.core import names
from sophia_operator.core.decision import Decision, NewRelease, RequeueAfter
from sophia_operator.core.findings import Findings, Needs, collect
from sophia_operator.core.hashing import content_hash
from sophia_operator.core.render import ChildRef, Desired
from sophia_operator.core.roles import select, wanted_hash
from sophia_operator.core.views import (
    ConfigView,
    DeploymentView,
    EndpointsView,
    Observed,
    ReleaseView,
    RouteView,
    ServiceView,
)
from sophia_operator.ports import ClusterError, Refusal
from sophia_operator.runtime.prune import beyond_history
from sophia_operator.runtime.world import Mind
from tests.support.rollout_model_api import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINTS,
    K8S_SERVICE,
    POD,
    RELEASE,
    ROUTE,
    SERVICE,
    Stored,
)
from tests.support.rollout_model_specs import REFUSED_IMAGE
from tests.support.rollout_model_world import APP, START, World, weights_of

FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 30.0
_API_VERSIONS = {DEPLOYMENT: "apps/v1", ROUTE: "gateway.networking.k8s.io/v1"}


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass rests on, for those who judge its writes."""

    service: ServiceView
    observed: Observed
    #: Whether the operator saw the world as it is when it decided.
    fresh: bool
    #: What others had done to the world by then.
    changes: int


class Judge(Protocol):
    """Looks at every write of the operator, before and after."""

    def release_status(self, about: Pass, name: str, before: ReleaseStatus | None, after: ReleaseStatus) -> None: ...
    def service_status(self, after: ManagedServiceStatus) -> None: ...
    def created(self, new: NewRelease) -> None: ...
    def applied(self, about: Pass, kind: str, name: str, before: Any, after: Any) -> None: ...
    def deleted(self, about: Pass, kind: str, name: str, before: Any) -> None: ...
    def pass_ended(self, about: Pass) -> None: ...


class Operator:
    """Passes over the one service of a world."""

    def __init__(self, world: World, judge: Judge, mind: Mind) -> None:
        self._world = world
        self._judge = judge
        self._mind = mind
        #: Seconds until the next pass that it wants by itself; None: when something changes.
        self.next: float | None = 0.0
        self.writes = 0
        #: Passes in a row that did not come to their end: each waits longer for the next, as the loop does.
        self.failures = 0
        #: The next write is refused so.
        self.refuse: Refusal | None = None

    def steps(self) -> Iterator[str]:
        """One pass. Yields the name of each write (and of asking) before it is done."""
        self.writes = 0
        self.next = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(self.failures, 16))
        found = self._world.api.view.get((SERVICE, APP))
        if found is None:
            self.next = None
            return
        service = self._service()
        observed = self._observed(service)
        needs = self._mind.needs(service, observed, self._world.now)
        if needs:
            findings = self._ask(needs, service, observed)
            yield "ask"
            if self._steered(service, observed):
                self.next = 0.0
                return
            service = self._service()
            observed = replace(self._observed(service), findings=findings)
        world = self._world
        about = Pass(service, observed, world.api.is_fresh(), world.changes)
        decision = self._mind.advance(service, observed, world.now)
        try:
            yield from self._persist_and_act(about, decision)
        except ClusterError:
            self.failures += 1
            return
        self.failures = 0
        wait = decision.next.seconds if isinstance(decision.next, RequeueAfter) else None
        self.next = 0.0 if self.writes else wait
        self._judge.pass_ended(about)

    def _persist_and_act(self, about: Pass, decision: Decision) -> Iterator[str]:
        service, observed = about.service, about.observed
        errors: list[ClusterError] = []
        after: list[ReleaseView] = []
        for release in observed.releases:
            status = decision.release_statuses.get(release.name)
            if status is None or (status == release.status and not release.status_lost):
                after.append(release)
                continue
            yield "status of a Release"
            version = self._write_status(about, RELEASE, release.name, int(release.resource_version), status)
            after.append(replace(release, status=status, status_lost=False, resource_version=str(version)))
        observed = replace(observed, releases=tuple(after))
        if decision.create is not None:
            yield "create Release"
            self._try(errors, self._create, decision.create)
        if decision.service_status != service.status:
            yield "status of the service"
            version = int(service.resource_version)
            self._try(errors, self._write_status, about, SERVICE, APP, version, decision.service_status)
        placement = self._mind.placement(service, observed, self._world.now)
        desired = self._mind.render(service, observed, placement, self._existing())
        yield from self._bring(about, desired, errors)
        if not errors:
            parts = select(service, observed, self._world.now)
            for release in beyond_history(observed, parts, placement, service.spec.history_limit):
                yield "delete Release"
                self._delete(about, RELEASE, release.name)
        if errors:
            raise errors[0]

    def _bring(self, about: Pass, desired: Desired, errors: list[ClusterError]) -> Iterator[str]:
        api = self._world.api
        waiting: set[str] = set()
        for copy in desired.config_copies:
            owners = tuple(o.name for o in copy.owners)
            live = self._live(CONFIG_MAP, copy.copy_name)
            if live is not None and set(owners) <= set(live.body[1]):
                continue
            yield "apply ConfigMap"
            source = api.get(CONFIG_MAP, copy.source_name)
            if live is None and (source is None or config_hash(source) != copy.hash):
                errors.append(ClusterError(Refusal.CONFLICT, "the source has changed"))
            else:
                self._try(errors, self._apply, about, CONFIG_MAP, copy.copy_name, (copy.hash, owners))
            if (CONFIG_MAP, copy.copy_name) not in api.view:
                waiting.update(owners)
        for obj in desired.objects:
            kind, name = obj["kind"], obj["metadata"]["name"]
            live = self._live(kind, name)
            if live is not None and live.body == obj:
                continue
            if live is None and kind == DEPLOYMENT and name in waiting:
                continue  # pods do not start without their configuration
            yield f"apply {kind}"
            self._try(errors, self._apply, about, kind, name, obj)
        if errors:
            return
        for child in desired.delete:
            if (child.kind, child.name) in api.view:
                yield f"delete {child.kind}"
                self._try(errors, self._delete, about, child.kind, child.name)

    # -- writes

    def _guard(self) -> None:
        if self.refuse is not None:
            refusal, self.refuse = self.refuse, None
            raise ClusterError(refusal, "made up")
        self.writes += 1

    def _try(self, errors: list[ClusterError], work: Any, *arguments: Any) -> None:
        try:
            work(*arguments)
        except ClusterError as error:
            errors.append(error)

    def _write_status(self, about: Pass, kind: str, name: str, version: int, status: Any) -> int:
        api = self._world.api
        before = api.get(kind, name)
        self._guard()
        try:
            written = api.write_status(kind, name, status, expected=version)
        except ClusterError:
            api.note(kind, name)
            raise
        api.note(kind, name)
        if kind == RELEASE:
            self._judge.release_status(about, name, before.status if before is not None else None, status)
        else:
            self._judge.service_status(status)
        return written.version

    def _create(self, new: NewRelease) -> None:
        api = self._world.api
        self._guard()
        if api.get(RELEASE, new.name) is None:
            api.write(RELEASE, new.name, new.spec)
            self._judge.created(new)
        api.note(RELEASE, new.name)

    def _apply(self, about: Pass, kind: str, name: str, body: Any) -> None:
        api = self._world.api
        before = api.get(kind, name)
        self._guard()
        api.write(kind, name, body)
        api.note(kind, name)
        self._world.record()
        self._judge.applied(about, kind, name, before.body if before is not None else None, body)

    def _delete(self, about: Pass, kind: str, name: str) -> None:
        api = self._world.api
        before = api.get(kind, name)
        self._guard()
        api.delete(kind, name)
        api.note(kind, name)
        self._world.record()
        if before is not None:
            self._judge.deleted(about, kind, name, before.body)

    # -- reading

    def _live(self, kind: str, name: str) -> Stored | None:
        view = self._world.api.view
        if (kind, name) not in view:
            self._world.api.note(kind, name)  # a miss is asked about
        return view.get((kind, name))

    def _names(self, kind: str) -> list[str]:
        return [name for k, name in self._world.api.view if k == kind]

    def _existing(self) -> list[ChildRef]:
        return [
            ChildRef(_API_VERSIONS.get(kind, "v1"), kind, name)
            for kind in (DEPLOYMENT, K8S_SERVICE, ROUTE, CONFIG_MAP)
            for name in self._names(kind)
            if name != "settings"
        ]

    def _steered(self, service: ServiceView, observed: Observed) -> bool:
        view = self._world.api.view
        found = view.get((SERVICE, APP))
        if found is None or found.generation != service.generation:
            return True
        seen = {r.name: view.get((RELEASE, r.name)) for r in observed.releases}
        return any(
            (s.generation if s is not None else None) != r.generation
            for r in observed.releases
            for s in (seen[r.name],)
        )

    def _service(self) -> ServiceView:
        found = self._world.api.view[SERVICE, APP]
        status = found.status if found.status is not None else ManagedServiceStatus()
        return ServiceView("shop", APP, found.uid, found.generation, str(found.version), found.body, status)

    def _observed(self, service: ServiceView) -> Observed:
        world, view = self._world, self._world.api.view
        releases = []
        for (kind, name), found in view.items():
            if kind == RELEASE:
                status = found.status if found.status is not None else ReleaseStatus()
                lost = found.status is None
                releases.append(
                    ReleaseView(name, found.uid, found.generation, str(found.version), START, found.body, status, lost)
                )
        known = {r.name for r in releases}
        deployments = {}
        for name in self._names(DEPLOYMENT):
            if name in known:
                found, pods = view[DEPLOYMENT, name], view.get((POD, name))
                total, ready = pods.body if pods is not None else (0, 0)
                current = found.status is not None and found.status >= found.generation
                size = found.body["spec"]["replicas"]
                deployments[name] = DeploymentView(name, size, total, ready, current, world.problem(name))
        endpoints = {c: seen for c in Color if (seen := self._endpoints(c)) is not None}
        placed = {seen.release: c for c, seen in endpoints.items() if seen.release is not None}
        observed = Observed(
            releases=tuple(sorted(releases, key=lambda r: r.spec.revision)),
            deployments=deployments,
            endpoints=endpoints,
            route=self._route({r.name: r.status.color or placed.get(r.name) for r in releases}),
            config=self._config(service),
            blockers=world.faults.blockers,
            recovery=world.faults.recovery,
            gateway_url="http://gateway.test" if world.gateway else None,
        )
        if world.faults.template_refused and REFUSED_IMAGE in str(service.spec.template):
            wanted = wanted_hash(service, observed)
            if wanted is not None and all(r.spec.hash != wanted for r in releases):
                return replace(observed, template_refused="spec.template: Invalid value")
        return observed

    def _endpoints(self, color: Color) -> EndpointsView | None:
        name = names.color_service(APP, color)
        found = self._world.api.view.get((K8S_SERVICE, name))
        if found is None:
            return None
        release = found.body["spec"]["selector"].get(names.LABEL_RELEASE)
        seen = self._world.api.view.get((ENDPOINTS, name))
        listed, ready = seen.body if seen is not None else (None, 0)
        return EndpointsView(release, ready if release is not None and release == listed else 0)

    def _route(self, colors: dict[str, Color | None]) -> RouteView | None:
        view = self._world.api.view
        if not self._world.gateway:
            plain = view.get((K8S_SERVICE, APP))
            if plain is None:
                return None
            color = colors.get(plain.body["spec"]["selector"].get(names.LABEL_RELEASE, ""))
            return RouteView({c: 100 if c is color else 0 for c in Color}, caught_up=True, accepted=True, plain=True)
        found = view.get((ROUTE, APP))
        if found is None:
            return None
        counts = weights_of(found.body)
        total = sum(counts.values())
        weights = {c: round(100 * n / total) if total else 0 for c, n in counts.items()}
        caught_up = found.status is not None and found.status[0] >= found.generation
        return RouteView(weights, caught_up, found.status[1] if caught_up else None, "as the gateway says")

    def _config(self, service: ServiceView) -> tuple[ConfigView, ...]:
        out = []
        for name in service.spec.config.config_maps:
            found = self._world.api.view.get((CONFIG_MAP, name))
            out.append(ConfigView(ConfigKind.CONFIG_MAP, name, config_hash(found) if found is not None else None))
        return tuple(out)

    def _ask(self, needs: Needs, service: ServiceView, observed: Observed) -> Findings:
        world = self._world
        roles = select(service, observed, world.now)
        active, stable = roles.active, roles.stable
        assert active is not None
        gates = {f"gate/{g.name}": g for g in active.spec.snapshot.plan.gates}
        at = {r.status.color: r.name for r in (stable, active) if r is not None and r.status.color is not None}
        answers = [
            world.answer_share(r, at)
            if r.key == "share"
            else world.answer_gate(gates[r.key], r, active.name, stable.name if stable is not None else None)
            for r in needs.metrics
        ]
        probe = world.answer_probe(needs.probe) if needs.probe is not None else None
        return collect(needs, answers, [world.answer_smoke(r) for r in needs.smoke], probe)

    def restart(self) -> None:
        """The operator comes back, and lists everything."""
        self._world.api.list_all()
        self.next, self.failures = 0.0, 0


def config_hash(found: Stored) -> str:
    """Hash of the content of a ConfigMap of the user's."""
    return content_hash("settings", {"data": found.body})
