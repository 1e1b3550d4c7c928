"""A service and its world without any API: what the core decides is carried out at once, and time is a number.

`Sim.step()` is one pass: needs are answered, `advance` decides, the placement becomes the world. Faults are switches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sophia_operator.api.conditions import violations
from sophia_operator.api.managed_service import ManagedServiceSpec, ManagedServiceStatus
from sophia_operator.api.release import Color, Intent, ReleaseStatus
from sophia_operator.core.advance import advance
from sophia_operator.core.decision import Decision, RequeueAfter
from sophia_operator.core.findings import (
    Findings,
    MetricsAnswer,
    MetricsRequest,
    Needs,
    ProbeResult,
    Samples,
    SmokeRequest,
    SmokeResult,
    collect,
)
from sophia_operator.core.needs import needs
from sophia_operator.core.placement import Placement, placement
from sophia_operator.core.recovery.seen import RecoverySeen
from sophia_operator.core.views import (
    BindingView,
    Blocker,
    CacheView,
    ConfigView,
    DeploymentView,
    EndpointsView,
    Observed,
    PodProblem,
    ReleaseView,
    RouteView,
    ServiceView,
)

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def spec(image: str = "app:1", **changes: Any) -> ManagedServiceSpec:
    """A small service behind a Gateway with two short stages."""
    rollout = {
        "stages": [{"weightPercent": 25, "observeSeconds": 30}, {"weightPercent": 100, "observeSeconds": 30}],
        "gates": [{"name": "errors", "successRate": {"minPercent": "99"}, "minRequests": 10}],
        "lookIntervalSeconds": 5,
        "keepPreviousSeconds": 300,
        "progressDeadlineSeconds": 60,
        **changes.pop("rollout", {}),
    }
    base: dict[str, Any] = {
        "replicas": 2,
        "template": {"spec": {"containers": [{"name": "app", "image": image}]}},
        "ports": [{"name": "http", "port": 80}],
        "traffic": {"gateway": {"parentRefs": [{"name": "gw"}], "hostnames": ["app.example.com"]}},
        "rollout": rollout,
    }
    return ManagedServiceSpec.model_validate({**base, **changes})


def good_metrics(request: MetricsRequest) -> MetricsAnswer:
    """Every gate passes with many requests."""
    return Samples({"total": 1000.0, "errors": 0.0, "value": 50.0, "baseline_total": 1000.0, "baseline_errors": 0.0})


@dataclass
class Sim:
    """The world of one service."""

    service: ServiceView
    now: datetime = START
    releases: dict[str, ReleaseView] = field(default_factory=dict)
    weights: dict[Color, int] | None = None
    selects: dict[Color, str | None] = field(default_factory=lambda: {Color.BLUE: None, Color.GREEN: None})
    sizes: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    #: Releases of which only so many pods are ready.
    short: dict[str, int] = field(default_factory=dict)
    problems: dict[str, PodProblem] = field(default_factory=dict)
    lagging: bool = False
    refused_route: bool = False
    blockers: tuple[Blocker, ...] = ()
    template_refused: str | None = None
    config: tuple[ConfigView, ...] = ()
    bindings: tuple[BindingView, ...] = ()
    caches: dict[str, CacheView] = field(default_factory=dict)
    recovery: RecoverySeen = field(default_factory=RecoverySeen)
    metrics: Callable[[MetricsRequest], MetricsAnswer] = good_metrics
    smoke: Callable[[SmokeRequest], SmokeResult] = lambda _: SmokeResult(True, "")
    traffic_flows: bool = True
    decisions: list[Decision] = field(default_factory=list)
    asked: list[Needs] = field(default_factory=list)

    def observed(self, findings: Findings | None = None) -> Observed:
        """What a pass sees now."""
        route = None
        if self.weights is not None:
            route = RouteView(
                weights=dict(self.weights), caught_up=not self.lagging, accepted=not self.refused_route, message="sim"
            )
        if self.service.spec.traffic.none is not None and route is not None:
            route = replace(route, plain=True)
        return Observed(
            releases=tuple(sorted(self.releases.values(), key=lambda r: r.spec.revision)),
            deployments={
                name: DeploymentView(name, size, size, self.ready(name), True, self.problems.get(name))
                for name, size in self.sizes.items()
            },
            endpoints={c: EndpointsView(name, self.ready(name) if name else 0) for c, name in self.selects.items()},
            route=route,
            config=self.config,
            bindings=self.bindings,
            caches=self.caches,
            blockers=self.blockers,
            gateway_url="http://gateway.test",
            template_refused=self.template_refused,
            findings=findings or Findings(),
            recovery=self.recovery,
        )

    def ready(self, name: str) -> int:
        """Ready pods of a release."""
        ready = 0 if name in self.broken else self.sizes.get(name, 0)
        return min(ready, self.short.get(name, ready))

    def answer(self, request: MetricsRequest) -> MetricsAnswer:
        """The share query tells the truth about the weights; gates are up to the test."""
        if request.key != "share":
            return self.metrics(request)
        weights = self.weights or {}
        total = 2000.0 if self.traffic_flows else 0.0
        return Samples({c.value: total * weights.get(c, 0) / 100 for c in Color})

    def step(self) -> Decision:
        """One pass."""
        wanted = needs(self.service, self.observed(), self.now)
        self.asked.append(wanted)
        probe = None
        if wanted.probe is not None:
            weights = self.weights or {}
            by_color = {c: round(wanted.probe.count * weights.get(c, 0) / 100) for c in Color}
            probe = ProbeResult(by_color, 0)
        found = collect(wanted, [self.answer(r) for r in wanted.metrics], [self.smoke(r) for r in wanted.smoke], probe)
        decision = advance(self.service, self.observed(found), self.now)
        self.persist(decision)
        self.carry_out(placement(self.service, self.observed(), self.now))
        self.decisions.append(decision)
        return decision

    def persist(self, decision: Decision) -> None:
        """Keep what was decided."""
        for name, status in decision.release_statuses.items():
            self.check(status, self.releases[name].generation)
            self.releases[name] = replace(self.releases[name], status=status, status_lost=False)
        if decision.create is not None:
            made = decision.create
            self.releases[made.name] = ReleaseView(
                made.name, f"uid-{made.name}", 1, "1", self.now, made.spec, ReleaseStatus(), status_lost=True
            )
        assert not violations(decision.service_status.conditions, self.service.generation)
        self.service = replace(self.service, status=decision.service_status)

    @staticmethod
    def check(status: ReleaseStatus, generation: int) -> None:
        """Every status that a test makes keeps the rules of conditions."""
        assert not violations(status.conditions, generation)

    def carry_out(self, shape: Placement) -> None:
        """The world becomes what the placement says."""
        self.selects = dict(shape.releases)
        if sum(shape.weights.values()) > 0:
            self.weights = dict(shape.weights)
        # The pods of a release that somebody deleted stay as long as it has a place.
        orphans = {n: s for n, s in self.sizes.items() if n not in self.releases and n in shape.releases.values()}
        self.sizes = orphans | dict(shape.replicas)

    def run(self, seconds: float, every: float = 1.0) -> None:
        """Pass after pass, until so much time is over."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            decision = self.step()
            moved = isinstance(decision.next, RequeueAfter) and decision.next.seconds == 0
            self.now += timedelta(seconds=0.01 if moved else every)

    def change(self, **changes: Any) -> None:
        """The user applies another spec."""
        self.service = replace(self.service, spec=spec(**changes), generation=self.service.generation + 1)

    def intend(self, name: str, intent: Intent, reason: str = "test") -> None:
        """A person sets the intent of a release."""
        old = self.releases[name]
        self.releases[name] = replace(
            old,
            generation=old.generation + 1,
            spec=old.spec.model_copy(update={"intent": intent, "reason": reason}),
        )

    def lose_status(self, *names: str) -> None:
        """The status of releases (all by default) is gone."""
        for name in names or tuple(self.releases):
            self.releases[name] = replace(self.releases[name], status=ReleaseStatus(), status_lost=True)

    def state(self, name: str) -> str:
        """State of a release."""
        return self.releases[name].status.state.value

    def state_or(self, name: str) -> str | None:
        """State of a release, or None when it is not made yet."""
        return self.state(name) if name in self.releases else None

    def weight_of(self, name: str) -> int:
        """Share of the traffic that the release gets."""
        return sum((self.weights or {}).get(c, 0) for c, n in self.selects.items() if n == name)

    @property
    def stable(self) -> str | None:
        """Name of the release that the service's status calls stable."""
        return self.service.status.stable.name if self.service.status.stable is not None else None


def sim(**changes: Any) -> Sim:
    """A new service, nothing done yet."""
    return Sim(ServiceView("shop", "app", "uid-app", 1, "1", spec(**changes), ManagedServiceStatus()))


def settled(**changes: Any) -> Sim:
    """A service whose first release serves."""
    world = sim(**changes)
    world.run(10)
    assert world.state("app-1") == "Promoted"
    assert world.stable == "app-1"
    return world


def until(world: Sim, name: str, state: str, stage: int | None = None) -> Sim:
    """Run until the release is in that state (and stage, in effect)."""
    for _ in range(300):
        world.run(1)
        if world.state_or(name) != state:
            continue
        at = world.releases[name].status.stage
        if stage is None or (at is not None and at.index == stage and at.effective_at is not None):
            return world
    raise AssertionError("never got there")


def promoted_twice() -> Sim:
    """A service whose second release has just been promoted."""
    world = settled()
    world.change(image="app:2")
    return until(world, "app-2", "Promoted")
