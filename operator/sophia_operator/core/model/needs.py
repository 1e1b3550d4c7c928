"""Which requests to models, to Prometheus and to replicas of the gateway are due now, and when the next one is.

Whoever asks forgets what was found of a model when its endpoint or its name there changes, and what was found of
replicas when the gateway does: a finding does not say of what it speaks. A key or a certificate that changes is told by
`access_changed_at` instead: what the model showed with the old one stays true of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.model_endpoint import Model
from sophia_operator.api.model_route import PassivePreset
from sophia_operator.api.model_route_status import ModelState, SwitchPhase
from sophia_operator.core.model.evidence import pause_until
from sophia_operator.core.model.findings import ModelFailure, ModelFault, ModelNeeds
from sophia_operator.core.model.render.way import http_route_of
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

#: While replicas have not all shown that they serve by the newest revision, each is asked that often: at first, and
#: once it has been so for long. A marked request costs a token.
CLOSE_SECONDS: Final = 0.25
RELAXED_SECONDS: Final = 2.0
#: The same once nobody expects it to change by itself.
PATIENT_SECONDS: Final = 10.0
_LONG_SECONDS: Final = 600.0
#: The time between two requests is so much of the time that has passed, between the first two of these.
_SHARE: Final = 1 / 8
#: In calm: a replica that starts anew may read what it was told before.
CALM_SECONDS: Final = 60.0
#: During a stage, which ends only when every replica serves by the newest revision.
STAGE_SECONDS: Final = 5.0
_LONGEST_SECONDS: Final = 3600.0
#: Due since ever, and never.
_AT_ONCE: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
_NEVER: Final = datetime.fromisoformat("9000-01-01T00:00:00+00:00")


def needs(route: ModelRouteView, observed: ModelRouteObserved, now: datetime) -> ModelNeeds:
    """The requests that are due, and not under way."""
    idle = observed.kept.under_way
    return ModelNeeds(
        probes=tuple(n for n, due in _probes_due(route, observed) if due <= now and f"probe/{n}" not in idle),
        passive=_passive_due(route, observed) <= now and "passive" not in idle,
        qualities=tuple(n for n, due in _qualities_due(route, observed) if due <= now and f"quality/{n}" not in idle),
        replicas=_replicas_due(route, observed) <= now and "replicas" not in idle,
    )


def next_look(route: ModelRouteView, observed: ModelRouteObserved, now: datetime) -> float:
    """Seconds until the next request is due; 0 when one is. What is under way wakes the route when it ends."""
    idle = observed.kept.under_way
    times = [due for name, due in _probes_due(route, observed) if f"probe/{name}" not in idle]
    times += [due for name, due in _qualities_due(route, observed) if f"quality/{name}" not in idle]
    times += [_passive_due(route, observed)] if "passive" not in idle else []
    times += [_replicas_due(route, observed)] if "replicas" not in idle else []
    return min(_LONGEST_SECONDS, max(0.0, (min(times, default=_NEVER) - now).total_seconds()))


def _later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def _probes_due(route: ModelRouteView, observed: ModelRouteObserved) -> Iterator[tuple[str, datetime]]:
    for model in route.spec.models:
        yield model.name, _probe_due(route, observed, model)


def _probe_due(route: ModelRouteView, observed: ModelRouteObserved, model: Model) -> datetime:
    if model.name not in observed.access or not _is_of_use(route, model):
        return _NEVER
    found, state = observed.kept.probes.get(model.name, ()), _state(route, model.name)
    paused_until = _paused_until(route, observed, model.name)
    changed_at = observed.kept.access_changed_at.get(model.name)
    if not found:
        return max(_AT_ONCE, paused_until)
    last = found[-1]
    refused = isinstance(last.answer, ModelFailure) and last.answer.fault in _OF_CREDENTIALS
    if changed_at is not None and changed_at > last.at and (refused or state is ModelState.REFUSED):
        return _AT_ONCE
    return max(_later(last.at, float(route.spec.probe.interval_seconds)), paused_until)


#: What other credentials, or other certificates, may mend.
_OF_CREDENTIALS: Final = frozenset({ModelFault.CREDENTIALS_REFUSED, ModelFault.TLS_UNTRUSTED})


def _is_of_use(route: ModelRouteView, model: Model) -> bool:
    """Whether what is found could change anything: asking costs tokens."""
    able = set(route.spec.requires) <= set(model.capabilities)
    return able or model.name in (route.spec.pin, route.status.active)


def _state(route: ModelRouteView, name: str) -> ModelState | None:
    return next((m.state for m in route.status.models if m.name == name), None)


def _paused_until(route: ModelRouteView, observed: ModelRouteObserved, name: str) -> datetime:
    """When its provider takes requests again: as it said last, and while nothing is found, as was written down."""
    found = observed.kept.probes.get(name, ())
    if found:
        return pause_until(found[-1]) or _AT_ONCE
    before = next((m for m in route.status.models if m.name == name), None)
    paused = before is not None and before.state is ModelState.PAUSED
    return before.paused_until or _AT_ONCE if before is not None and paused else _AT_ONCE


def _passive_due(route: ModelRouteView, observed: ModelRouteObserved) -> datetime:
    if route.spec.metrics.preset is PassivePreset.NONE:
        return _NEVER
    found = observed.kept.passive
    return _AT_ONCE if found is None else _later(found.at, float(route.spec.metrics.interval_seconds))


def _qualities_due(route: ModelRouteView, observed: ModelRouteObserved) -> Iterator[tuple[str, datetime]]:
    seconds = float(route.spec.metrics.interval_seconds)
    for model in route.spec.models:
        if model.quality_query is not None:
            found = observed.kept.qualities.get(model.name)
            yield model.name, _AT_ONCE if found is None else _later(found.at, seconds)


def _replicas_due(route: ModelRouteView, observed: ModelRouteObserved) -> datetime:
    """Decided by what is found, never by the time of this pass: so that what is due, and when, are one answer."""
    if route.status.revision == 0 or not _is_reachable(route, observed):
        return _NEVER
    asked_at = observed.kept.asked_at
    if asked_at is None:
        return _AT_ONCE
    if not is_proved(route, observed):
        return _later(asked_at, _close(route, asked_at))
    return _later(asked_at, STAGE_SECONDS if route.status.switch is not None else CALM_SECONDS)


def _is_reachable(route: ModelRouteView, observed: ModelRouteObserved) -> bool:
    """Whether there can be a replica to ask."""
    if route.spec.gateway.lite_llm is not None:
        return any(pod.ready for pod in observed.pods)
    way = http_route_of(route)
    return (way is not None and way.data_plane is not None) or observed.gateway_url is not None


def is_proved(route: ModelRouteView, observed: ModelRouteObserved) -> bool:
    """Whether every replica that is known was seen to serve by what the gateway is told."""
    kept, status = observed.kept, route.status
    if status.proved_revision < status.revision or kept.asking_failed is not None or not kept.replicas:
        return False
    if any(r.failure is not None or r.revision != status.revision for r in kept.replicas.values()):
        return False
    return {pod.name for pod in observed.pods if pod.ready} <= kept.replicas.keys()


def _close(route: ModelRouteView, asked_at: datetime) -> float:
    since = _unproved_since(route)
    if since is None:
        # It served as told, and gives no answer now: that may be the model's fault.
        return STAGE_SECONDS
    passed = (asked_at - since).total_seconds()
    if passed >= _LONG_SECONDS:
        return PATIENT_SECONDS
    return min(RELAXED_SECONDS, max(CLOSE_SECONDS, _SHARE * passed))


def _unproved_since(route: ModelRouteView) -> datetime | None:
    """Since when replicas have been waited for."""
    status, times = route.status, []
    if status.switch is not None and status.switch.phase is SwitchPhase.PROVING:
        times.append(status.switch.phase_since)
    if status.proved_revision < status.revision and status.revision_at is not None:
        times.append(status.revision_at)
    told = find(status.conditions, ConditionType.TRAFFIC_VERIFIED)
    if told is not None and told.status is not ConditionStatus.TRUE:
        times.append(told.last_transition_time)
    return max(times, default=None)
