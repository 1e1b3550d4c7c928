"""The world of one service, in small steps: controllers that lag, a gateway that trails its own status, requests.

Nothing here knows what the operator believes. `shares` is what the data plane does to users' requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.gates import Gate
from sophia_operator.api.recovery_values import Action, TargetKind
from sophia_operator.api.release import Color, ReleaseSpec
from sophia_operator.core import names
from sophia_operator.core.findings import (
    MetricsAnswer,
    MetricsOutage,
    MetricsRequest,
    ProbeRequest,
    ProbeResult,
    QueryRefused,
    Samples,
    SmokeRequest,
    SmokeResult,
)
from sophia_operator.core.recovery.seen import ActSeen, RecoverySeen
from sophia_operator.core.views import Blocker, PodProblem
from tests.support.rollout_model_api import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINTS,
    K8S_SERVICE,
    POD,
    RELEASE,
    ROUTE,
    Api,
)

START: Final = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
APP: Final = "app"
_SERVICE_OF: Final = {color: names.color_service(APP, color) for color in Color}
#: A gateway that says "done" too early does what it said within this time.
DATA_PLANE_LAG_SECONDS: Final = 3.0
#: Requests end, or are given up, long before a deadline of a rollout: so much time can go by within one pass.
LONGEST_PASS_SECONDS: Final = 4.0
_WINDOW: Final = re.compile(r"\[(\d+)s\]")
_AGE: Final = re.compile(r"\[2s:1s\] offset (\d+)s")


HERE: Final = (TargetKind.MANAGED_SERVICE, APP)
#: What recovery may do in the namespace: everything, something to the service, or to one beside it.
RECOVERY: Final[Mapping[str, RecoverySeen]] = {
    "nothing": RecoverySeen(),
    "storm": RecoverySeen(storm=("careful", "3 of 4 objects show symptoms")),
    "act": RecoverySeen(acts=(ActSeen("act", Action.RESTART_POD, HERE),)),
    "act elsewhere": RecoverySeen(acts=(ActSeen("act", Action.RESTART_POD, (TargetKind.MANAGED_SERVICE, "other")),)),
}


@dataclass
class Faults:
    """What is wrong at the moment. All off: a healthy world."""

    broken: set[str] = field(default_factory=set)  # images whose pods never get ready
    failing: set[str] = field(default_factory=set)  # images that answer with errors
    smoke_bad: set[str] = field(default_factory=set)  # images that fail smoke tests
    metrics: str = "ok"  # ok, outage, empty, refused
    rps: float = 40.0
    gateway_stuck: bool = False
    gateway_early: bool = False  # its status runs ahead of what it does
    route_refused: bool = False
    pods_stuck: bool = False
    endpoints_stuck: bool = False
    watches_stuck: set[str] = field(default_factory=set)
    blockers: tuple[Blocker, ...] = ()
    template_refused: bool = False
    recovery: RecoverySeen = field(default_factory=RecoverySeen)  # what it does in the namespace


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` on, requests spread like this: those that were answered, by release."""

    start: datetime
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Look:
    """What the world answered to a gate's query, judged by the world itself."""

    time: datetime
    window_seconds: int
    good: bool


@dataclass
class World:
    """The truth, and what moves it."""

    gateway: bool
    api: Api = field(default_factory=Api)
    now: datetime = START
    faults: Faults = field(default_factory=Faults)
    #: Counts what others than the operator do to the cluster.
    changes: int = 0
    data_weights: dict[Color, int] | None = None
    data_candidate: Color | None = None
    #: When the gateway said that it took up the route, until it has.
    promised_at: datetime | None = None
    #: Whether it ever took longer than it said.
    trailed: bool = False
    segments: list[Segment] = field(default_factory=list)
    last_share_at: dict[str, datetime] = field(default_factory=dict)
    #: When each release last had so many ready endpoints, by (release, count).
    ready_at: dict[tuple[str, int], datetime] = field(default_factory=dict)
    smoke_passed_at: dict[tuple[str, str], datetime] = field(default_factory=dict)
    looks: dict[tuple[str, str], Look] = field(default_factory=dict)
    #: Share of each release when its share of the traffic was last measured for the operator.
    share_when_asked: dict[str, float] = field(default_factory=dict)

    # -- reading

    def selected(self, service: str) -> str | None:
        """Release that a Service selects."""
        found = self.api.get(K8S_SERVICE, service)
        release = found.body["spec"]["selector"].get(names.LABEL_RELEASE) if found is not None else None
        return None if release == "none" else release

    def endpoints(self, service: str) -> tuple[str | None, int]:
        """Release behind a Service's ready endpoints, and how many there are."""
        found = self.api.get(ENDPOINTS, service)
        return found.body if found is not None else (None, 0)

    def ready(self, color: Color) -> int:
        """Ready endpoints of the release that the colour's Service selects."""
        release, ready = self.endpoints(_SERVICE_OF[color])
        return ready if release is not None and release == self.selected(_SERVICE_OF[color]) else 0

    def shares(self) -> dict[str, float]:
        """Share of users' requests that the data plane sends to each release."""
        if not self.gateway:
            # A plain Service has nothing that would say when it took effect: here it does at once.
            plain = self.selected(APP)
            return {} if plain is None else {plain: 1.0}
        out: dict[str, float] = {}
        total = sum((self.data_weights or {}).values()) or 1
        for color, weight in (self.data_weights or {}).items():
            release = self.selected(_SERVICE_OF[color])
            if weight > 0 and release is not None:
                out[release] = out.get(release, 0.0) + weight / total
        return out

    def is_settled(self) -> bool:
        """Whether the data plane does what the route says."""
        route = self.api.get(ROUTE, APP)
        wanted = None if route is None else weights_of(route.body)
        return self.data_weights == wanted and self.data_candidate == (candidate_of(route.body) if route else None)

    def image(self, release: str) -> str:
        """Image of a release, dead or alive; "" when it is not known any more."""
        found = self.api.get(RELEASE, release)
        return found.body.snapshot.template["spec"]["containers"][0]["image"] if found is not None else ""

    # -- time and controllers

    def tick(self, seconds: float) -> None:
        """Time passes. What the gateway says that it did, it does before long."""
        end = self.now + timedelta(seconds=seconds)
        if self.promised_at is not None:
            self.trailed = True
            self.now = max(self.now, min(end, self.promised_at + timedelta(seconds=DATA_PLANE_LAG_SECONDS)))
            self.record()
            if self.now < end:
                self.step_gateway_data()
        self.now = end
        self.record()

    def record(self) -> None:
        """Keep the history of requests up to date. To be called after every change."""
        shares = self.shares()
        alive = {r for r, n in map(self.endpoints, self.api.names(K8S_SERVICE)) if r is not None and n > 0}
        rates = {r: s * self.faults.rps for r, s in shares.items() if r in alive}
        if not self.segments or self.segments[-1].rates != rates:
            self.segments.append(Segment(self.now, rates))
        for release in shares:
            self.last_share_at[release] = self.now
        for service in _SERVICE_OF.values():
            selected, count = self.endpoints(service)
            if selected is not None:
                for number in range(1, count + 1):
                    self.ready_at[selected, number] = self.now

    def requests(self, release: str, window_seconds: float, ago_seconds: float = 0.0) -> float:
        """Requests that the release answered in the window that ended so long ago."""
        until = self.now - timedelta(seconds=ago_seconds)
        begin, count = until - timedelta(seconds=window_seconds), 0.0
        for segment in reversed(self.segments):
            if segment.start < until:
                count += segment.rates.get(release, 0.0) * (until - max(begin, segment.start)).total_seconds()
                until = segment.start
            if segment.start <= begin:
                break
        return count

    def step_deployments(self) -> None:
        """The controllers of Deployments, and the garbage collector."""
        api = self.api
        for name in api.names(CONFIG_MAP):
            found = api.get(CONFIG_MAP, name)
            if name == "settings" or found is None:
                continue
            if not any(api.get(RELEASE, owner) for owner in found.body[1]):
                api.delete(CONFIG_MAP, name)
        for name in api.names(DEPLOYMENT):
            found = api.get(DEPLOYMENT, name)
            assert found is not None
            api.write_status(DEPLOYMENT, name, found.generation)
            size, pods = found.body["spec"]["replicas"], api.get(POD, name)
            api.write(POD, name, (size, min(size, pods.body[1] if pods is not None else 0)))
        for name in api.names(POD):
            if api.get(DEPLOYMENT, name) is None:
                api.delete(POD, name)

    def step_pods(self) -> None:
        """Pods get ready, unless they cannot."""
        for name in self.api.names(POD):
            found = self.api.get(POD, name)
            assert found is not None
            if self.image(name) not in self.faults.broken and self._has_config(name):
                self.api.write(POD, name, (found.body[0], found.body[0]))

    def _has_config(self, release: str) -> bool:
        found = self.api.get(RELEASE, release)
        spec: ReleaseSpec | None = found.body if found is not None else None
        return spec is not None and all(self.api.get(CONFIG_MAP, c.copy_name) for c in spec.snapshot.config)

    def step_endpoints(self) -> None:
        """EndpointSlices follow Services and pods."""
        for service in self.api.names(K8S_SERVICE):
            release = self.selected(service)
            pods = self.api.get(POD, release) if release is not None else None
            self.api.write(ENDPOINTS, service, (release, pods.body[1] if pods is not None else 0))
        for service in self.api.names(ENDPOINTS):
            if self.api.get(K8S_SERVICE, service) is None:
                self.api.delete(ENDPOINTS, service)
        self.record()

    def step_gateway_status(self) -> None:
        """The gateway's controller says that it has taken up the route."""
        route = self.api.get(ROUTE, APP)
        if route is not None:
            before = self.api.versions
            self.api.write_status(ROUTE, APP, (route.generation, not self.faults.route_refused))
            if self.api.versions != before and not self.faults.route_refused:
                self.promised_at = self.now

    def step_gateway_data(self) -> None:
        """The proxies do what the route says."""
        route = self.api.get(ROUTE, APP)
        if route is not None and self.faults.route_refused:
            return
        self.promised_at = None
        self.data_weights = None if route is None else weights_of(route.body)
        self.data_candidate = None if route is None else candidate_of(route.body)
        self.record()

    def step_all(self) -> None:
        """Everybody does what is due, unless stuck."""
        faults = self.faults
        if not faults.endpoints_stuck:
            self.step_endpoints()
        if not faults.pods_stuck:
            self.step_pods()
        self.step_deployments()
        if not faults.gateway_stuck:
            self.step_gateway_status()
            if not faults.gateway_early:
                self.step_gateway_data()
        self.record()

    def problem(self, release: str) -> PodProblem | None:
        """Why pods do not get ready."""
        if self.image(release) in self.faults.broken:
            return PodProblem(Reason.CRASH_LOOP, f"pod {release}-x: ended 3 times")
        return None

    # -- answers

    def answer_share(self, request: MetricsRequest, at: Mapping[Color, str]) -> MetricsAnswer:
        """How many requests each colour's release answered."""
        if self.faults.metrics in ("outage", "refused"):
            return MetricsOutage("connection refused")
        if self.faults.metrics == "empty":
            return Samples({})
        self.share_when_asked = self.shares()
        window = _window(request.query)
        return Samples({color.value: self.requests(release, window) for color, release in at.items()})

    def answer_gate(self, gate: Gate, request: MetricsRequest, release: str, stable: str | None) -> MetricsAnswer:
        """What Prometheus says to a gate's query."""
        window = _window(request.query)
        total, base = self.requests(release, window), 0.0
        if stable is not None and gate.compared_to is not None:
            age = _AGE.search(request.query)
            base = self.requests(stable, gate.window_seconds, int(age[1])) if age else self.requests(stable, window)
        bad = self.image(release) in self.faults.failing
        enough = int(total + 1e-6) >= gate.min_requests
        if gate.compared_to is not None:
            enough = enough and int(base + 1e-6) >= max(1, gate.min_requests)
        good = self.faults.metrics == "ok" and not bad and enough
        self.looks[release, gate.name] = Look(self.now, window, good)
        if self.faults.metrics == "outage":
            return MetricsOutage("connection refused")
        if self.faults.metrics == "refused":
            return QueryRefused("parse error")
        if self.faults.metrics == "empty":
            return Samples({})
        value = 500.0 if bad else 50.0
        samples = {"total": total, "errors": total / 2 if bad else 0.0, "value": value}
        return Samples(samples | {"baseline_total": base, "baseline_errors": 0.0})

    def answer_smoke(self, request: SmokeRequest) -> SmokeResult:
        """A try of a smoke test, answered by whichever release it really reaches."""
        if request.host is None:
            service: str | None = request.base_url.removeprefix("http://").split(".")[0]
        elif self.data_candidate is not None:
            service = names.check_service(APP, self.data_candidate)
        else:
            service = None
        release, ready = self.endpoints(service) if service is not None else (None, 0)
        if release is None or ready == 0:
            return SmokeResult(False, "nobody answered")
        if self.image(release) in self.faults.smoke_bad:
            return SmokeResult(False, "status 500, 200 expected")
        self.smoke_passed_at[release, request.test.name] = self.now
        return SmokeResult(True, "answered 200")

    def answer_probe(self, request: ProbeRequest) -> ProbeResult:
        """Marked requests through the Gateway."""
        self.share_when_asked = self.shares()
        counts = dict.fromkeys(Color, 0)
        for color, weight in (self.data_weights or {}).items():
            if self.ready(color) > 0:
                counts[color] = round(request.count * weight / 100)
        return ProbeResult(counts, request.count - sum(counts.values()))


def weights_of(route: Mapping[str, Any]) -> dict[Color, int]:
    """Weights of the two colours for users' requests."""
    for rule in route["spec"]["rules"]:
        found = {b["name"]: b["weight"] for b in rule["backendRefs"]}
        if _SERVICE_OF[Color.BLUE] in found:
            return {color: found[service] for color, service in _SERVICE_OF.items()}
    raise AssertionError("a route without a rule for users")


def candidate_of(route: Mapping[str, Any]) -> Color | None:
    """Colour that marked requests of the kind "candidate" go to."""
    for rule in route["spec"]["rules"]:
        for match in rule.get("matches", ()):
            for header in match.get("headers", ()):
                if header["value"] == names.PROBE_CANDIDATE:
                    service = rule["backendRefs"][0]["name"]
                    return next(c for c in Color if names.check_service(APP, c) == service)
    return None


def _window(query: str) -> int:
    """Seconds that a query reaches back; 8 for those that name no time."""
    found = _WINDOW.search(query)
    return int(found.group(1)) if found is not None else 8
