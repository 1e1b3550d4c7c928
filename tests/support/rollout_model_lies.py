"""Mutants that decide rightly on what is not so: each function tells one lie about what a pass sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sophia_operator.api.release import Intent, ReleaseSpec, ReleaseState
from sophia_operator.api.rollout_plan import RolloutPlan
from sophia_operator.core import advance as real_advance
from sophia_operator.core import needs as real_needs
from sophia_operator.core import placement as real_placement
from sophia_operator.core.decision import Decision
from sophia_operator.core.findings import Findings, MetricsAnswer, MetricsOutage, Needs, Samples, SmokeResult
from sophia_operator.core.placement import Placement
from sophia_operator.core.views import Observed, ReleaseView, ServiceView
from sophia_operator.runtime.world import Mind

Lie = Callable[[Observed], Observed]


def deceived(lie: Lie, *, advance: bool = True, placement: bool = False, needs: bool = False) -> Mind:
    """A mind that decides on what is not so."""

    def advanced(service: ServiceView, observed: Observed, now: datetime) -> Decision:
        return real_advance.advance(service, lie(observed), now)

    def placed(service: ServiceView, observed: Observed, now: datetime) -> Placement:
        return real_placement.placement(service, lie(observed), now)

    def needed(service: ServiceView, observed: Observed, now: datetime) -> Needs:
        return real_needs.needs(service, lie(observed), now)

    return Mind(
        advance=advanced if advance else real_advance.advance,
        placement=placed if placement else real_placement.placement,
        needs=needed if needs else real_needs.needs,
    )


def no_storm(observed: Observed) -> Observed:
    """Recovery sees no storm."""
    return replace(observed, recovery=replace(observed.recovery, storm=None))


def no_acts(observed: Observed) -> Observed:
    """Recovery does nothing to anything."""
    return replace(observed, recovery=replace(observed.recovery, acts=()))


def blind_in_a_storm(observed: Observed) -> Observed:
    """In a storm nobody answers."""
    return observed if observed.recovery.storm is None else replace(observed, findings=Findings())


def all_pods_are_endpoints(observed: Observed) -> Observed:
    """Every colour that selects a release has as many ready endpoints as the release was given pods."""
    sizes = {name: d.spec_replicas for name, d in observed.deployments.items()}
    return replace(
        observed,
        endpoints={c: replace(e, ready=sizes.get(e.release or "", e.ready)) for c, e in observed.endpoints.items()},
    )


def smoke_tests_pass(observed: Observed) -> Observed:
    """Whatever the smoke tests answered, it was good."""
    good = dict.fromkeys(observed.findings.smoke, SmokeResult(True, "never mind"))
    return replace(observed, findings=replace(observed.findings, smoke=good))


def word_of_the_gateway(observed: Observed) -> Observed:
    """When the gateway says that it took up the route, its requests need not be looked at."""
    return observed if observed.route is None else replace(observed, route=replace(observed.route, plain=True))


def no_news_is_good_news(observed: Observed) -> Observed:
    """Prometheus gave no answer, so there were no errors."""
    fine: MetricsAnswer = Samples({"total": 1000.0, "errors": 0.0, "value": 1.0})
    metrics = {
        key: fine if isinstance(answer, MetricsOutage) and key.startswith("gate/") else answer
        for key, answer in observed.findings.metrics.items()
    }
    return replace(observed, findings=replace(observed.findings, metrics=metrics))


def stages_take_no_time(observed: Observed) -> Observed:
    """A stage is over when its gates pass."""
    return _with_plans(
        observed,
        lambda plan: plan.model_copy(
            update={"stages": [s.model_copy(update={"observe_seconds": 0}) for s in plan.stages]}
        ),
    )


def any_request_will_do(observed: Observed) -> Observed:
    """A gate needs no number of requests."""
    return _with_plans(
        observed,
        lambda plan: plan.model_copy(update={"gates": [g.model_copy(update={"min_requests": 0}) for g in plan.gates]}),
    )


def stages_began_long_ago(observed: Observed) -> Observed:
    """Each look may reach back as far as the gate's window does, whenever the stage took effect."""

    def aged(release: ReleaseView) -> ReleaseView:
        stage = release.status.stage
        if stage is None or stage.effective_at is None:
            return release
        older = stage.model_copy(update={"effective_at": stage.effective_at - timedelta(minutes=1)})
        return replace(release, status=release.status.model_copy(update={"stage": older}))

    return _with_releases(observed, aged)


def weights_stand(observed: Observed) -> Observed:
    """What was written into the route is still there."""
    active = next((r for r in observed.releases if r.status.state is ReleaseState.SHIFTING), None)
    if observed.route is None or active is None or active.status.stage is None or active.status.color is None:
        return observed
    share = active.status.stage.weight_percent
    weights = {active.status.color: share, active.status.color.other: 100 - share}
    return replace(observed, route=replace(observed.route, weights=weights, caught_up=True, accepted=True))


def deaf_to(intent: Intent) -> Lie:
    """Nobody ever asks for that."""
    return lambda observed: _with_releases(
        observed,
        lambda r: r if r.spec.intent is not intent else _with_spec(r, intent=Intent.PROCEED),
    )


def somebody_asked_to_retry(observed: Observed) -> Observed:
    """A release that failed is always asked to start again."""

    def asked(release: ReleaseView) -> ReleaseView:
        if not release.status.state.is_latched:
            return release
        unheard = release.status.model_copy(update={"handled_generation": 0})
        return replace(_with_spec(release, intent=Intent.RETRY), status=unheard)

    return _with_releases(observed, asked)


def what_failed_is_gone(observed: Observed) -> Observed:
    """Releases that failed are not there."""
    return replace(observed, releases=tuple(r for r in observed.releases if not r.status.state.is_latched))


def _with_releases(observed: Observed, change: Callable[[ReleaseView], ReleaseView]) -> Observed:
    return replace(observed, releases=tuple(change(r) for r in observed.releases))


def _with_spec(release: ReleaseView, **changes: Any) -> ReleaseView:
    spec: ReleaseSpec = release.spec.model_copy(update=changes)
    return replace(release, spec=spec)


def _with_plans(observed: Observed, change: Callable[[RolloutPlan], RolloutPlan]) -> Observed:
    def changed(release: ReleaseView) -> ReleaseView:
        snapshot = release.spec.snapshot
        return _with_spec(release, snapshot=snapshot.model_copy(update={"plan": change(snapshot.plan)}))

    return _with_releases(observed, changed)
