"""Which requests to Prometheus, to the new release and through the Gateway are due now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sophia_operator.api.release import Color, ReleaseState
from sophia_operator.api.smoke import SmokeVia
from sophia_operator.core import names
from sophia_operator.core.evidence.queries import Subject, share_query
from sophia_operator.core.evidence.share import probes_needed
from sophia_operator.core.findings import MetricsRequest, Needs, ProbeRequest, SmokeRequest
from sophia_operator.core.looks import baseline_age_seconds, due, gate_key, query_of, window_seconds
from sophia_operator.core.marked import headers_of, host_of, shape_of
from sophia_operator.core.render import route
from sophia_operator.core.scene import Scene, scene_of
from sophia_operator.core.sighting import SHARE_KEY, look_interval_seconds
from sophia_operator.core.steps.back import weight_before
from sophia_operator.core.steps.provision import SMOKE_PAUSE_SECONDS
from sophia_operator.core.transition import seconds_since
from sophia_operator.core.views import Observed, ReleaseView, ServiceView

#: So long the users' own requests have time to show a weight; then marked requests help.
PROBE_AFTER_SECONDS = 10.0
_FIRST_SHARE_SECONDS = 4.0
_LONGEST_SHARE_SECONDS = 60
_PREFLIGHT_WINDOW_SECONDS = 60


def needs(service: ServiceView, observed: Observed, now: datetime) -> Needs:
    """The requests that the release under way needs answered in this pass."""
    scene = scene_of(service, observed, now)
    release = scene.roles.active
    if release is None or release.status.color is None:
        return Needs()
    match release.status.state:
        case ReleaseState.PROVISIONING:
            return _preflight(release, scene)
        case ReleaseState.SMOKE_TESTING:
            return _smoke(release, scene)
        case ReleaseState.SHIFTING if release.status.stage is not None:
            stage = release.status.stage
            if stage.effective_at is not None:
                return _gates(release, scene)
            share = _share(release, scene, stage.started_at, stage.weight_percent, stage.previous_weight_percent)
            # Users meet the release before its weight is certain: what is bad then is bad already.
            return replace(share, metrics=(*share.metrics, *_gates(release, scene).metrics))
        case ReleaseState.ROLLING_BACK if release.status.state_since is not None:
            return _share(release, scene, release.status.state_since, 0, weight_before(release))
        case _:
            return Needs()


def _subject(release: ReleaseView, service: ServiceView, color: Color) -> Subject:
    port = traffic_port(release, service)
    return Subject(
        namespace=service.namespace, service=service.name, release=release.name, color=color, port_number=port
    )


def traffic_port(release: ReleaseView, service: ServiceView) -> int:
    """Number of the port of the release that gets the traffic."""
    gateway = service.spec.traffic.gateway
    wanted = gateway.port if gateway is not None else None
    return route.traffic_port(release.spec.snapshot.ports, wanted, service.spec.ports)


def _baseline(scene: Scene) -> Subject | None:
    stable = scene.roles.stable
    if stable is None or stable.status.color is None:
        return None
    return _subject(stable, scene.service, stable.status.color)


def _preflight(release: ReleaseView, scene: Scene) -> Needs:
    """Each gate's query once, before any traffic: what Prometheus refuses is known at once."""
    if release.status.gates or release.status.color is None or scene.roles.stable is None:
        return Needs()
    return _ask(release, scene, {g.name: _PREFLIGHT_WINDOW_SECONDS for g in release.spec.snapshot.plan.gates})


def _gates(release: ReleaseView, scene: Scene) -> Needs:
    windows = {
        g.name: window_seconds(release.status, g, scene.now)
        for g in release.spec.snapshot.plan.gates
        if due(release.status, g, scene.now)
    }
    return _ask(release, scene, windows)


def _ask(release: ReleaseView, scene: Scene, windows: dict[str, int]) -> Needs:
    assert release.status.color is not None
    subject, baseline = _subject(release, scene.service, release.status.color), _baseline(scene)
    access = release.spec.snapshot.plan.metrics.prometheus
    age = baseline_age_seconds(release.status, scene.now)
    return Needs(
        metrics=tuple(
            MetricsRequest(gate_key(g), query_of(release, g, subject, baseline, windows[g.name], age=age), access)
            for g in release.spec.snapshot.plan.gates
            if g.name in windows
        )
    )


def _share(
    release: ReleaseView,
    scene: Scene,
    since: datetime,
    wanted: int,
    previous: int,
) -> Needs:
    """Ask how the traffic splits: by metrics, and, when they do not settle it, by marked requests."""
    color, seen = release.status.color, scene.observed.route
    assert color is not None
    if seen is None or seen.plain or not seen.caught_up or seen.weights.get(color, 0) != wanted:
        return Needs()
    looked, elapsed = release.status.weights.looked_at, seconds_since(since, scene.now)
    if looked is not None and seconds_since(looked, scene.now) < look_interval_seconds(elapsed):
        return Needs()
    metrics: tuple[MetricsRequest, ...] = ()
    if (
        elapsed >= _FIRST_SHARE_SECONDS
        and scene.roles.stable is not None
        and scene.roles.stable.status.color is not None
    ):
        subjects = {
            color: _subject(release, scene.service, color),
            color.other: _subject(scene.roles.stable, scene.service, scene.roles.stable.status.color),
        }
        plan = release.spec.snapshot.plan
        # The front of the time since the write is left out: requests were still under way the old way then. And what
        # was long ago says nothing of a gateway that was late.
        window = min(_LONGEST_SHARE_SECONDS, max(4, int(elapsed * 0.75)))
        metrics = (MetricsRequest(SHARE_KEY, share_query(plan.metrics, subjects, window), plan.metrics.prometheus),)
    probe = _probe(scene, wanted, previous) if elapsed >= PROBE_AFTER_SECONDS else None
    return Needs(metrics=metrics, probe=probe)


def _probe(scene: Scene, wanted: int, previous: int) -> ProbeRequest | None:
    if scene.observed.gateway_url is None:
        return None
    shape = shape_of(scene.service)
    if shape is None:
        return None
    return ProbeRequest(
        base_url=scene.observed.gateway_url,
        host=host_of(scene.service),
        path=shape.path,
        headers={**shape.headers, names.PROBE_HEADER: names.PROBE_WEIGHTED},
        count=probes_needed(wanted, previous),
    )


def _smoke(release: ReleaseView, scene: Scene) -> Needs:
    plan, status = release.spec.snapshot.plan, release.status
    assert status.color is not None
    tried = {t.name: t for t in status.smoke_tests}
    out: list[SmokeRequest] = []
    for test in plan.smoke_tests:
        before = tried.get(test.name)
        if before is None or before.passed:
            continue
        if before.tried_at is not None and seconds_since(before.tried_at, scene.now) < SMOKE_PAUSE_SECONDS:
            continue
        by_gateway = test.via is SmokeVia.GATEWAY and scene.roles.stable is not None
        if by_gateway:
            if scene.observed.gateway_url is None or scene.observed.route is None or not scene.observed.route.caught_up:
                continue
            marked = {**headers_of(scene.service), names.PROBE_HEADER: names.PROBE_CANDIDATE}
            out.append(SmokeRequest(test, scene.observed.gateway_url, host_of(scene.service), marked, status.color))
            continue
        ports = release.spec.snapshot.ports
        port = next((p.port for p in ports if p.name == test.port), traffic_port(release, scene.service))
        host = f"{names.color_service(scene.service.name, status.color)}.{scene.service.namespace}.svc"
        out.append(SmokeRequest(test, f"http://{host}:{port}", None, {names.PROBE_HEADER: "smoke"}))
    return Needs(smoke=tuple(out))
