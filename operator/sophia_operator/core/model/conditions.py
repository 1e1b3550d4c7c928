"""Conditions of a route, by the rules of kstatus."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.conditions import Author, Condition, ConditionType, Reason, find
from sophia_operator.api.model_route_status import BY_STAGES, ModelState
from sophia_operator.core.model import verdicts
from sophia_operator.core.model.best import on_best_model
from sophia_operator.core.model.verdicts import FALSE, TRUE, Sight
from sophia_operator.core.sayings import Saying, Why, as_before, put

_KEPT: Final = "; the gateway keeps what it was told"
#: What only a change by a person mends.
_MENDED_BY_PEOPLE: Final = frozenset({ModelState.INELIGIBLE, ModelState.REFUSED})


def conditions(sight: Sight) -> list[Condition]:
    """The list, from a status in which everything else is set."""
    author = Author(sight.route.status.conditions, sight.route.generation, sight.now)
    said = {
        ConditionType.AVAILABLE: verdicts.available(sight),
        ConditionType.HEALTHY: verdicts.healthy(sight),
        ConditionType.ON_BEST_MODEL: on_best_model(sight),
        ConditionType.TRAFFIC_VERIFIED: verdicts.traffic_verified(sight),
        ConditionType.CREDENTIALS_VALID: verdicts.credentials_valid(sight),
    }
    if verdicts.asks_metrics(sight):
        said[ConditionType.METRICS_AVAILABLE] = verdicts.metrics_available(sight)
    out: list[Condition] = []
    for kind, saying in said.items():
        out = put(author, out, kind, saying or as_before(author, kind))
    stall = _stall(sight)
    going = _going_on(sight) if stall is None else None
    if stall is not None:
        out = author.put(out, ConditionType.STALLED, stall)
    if going is not None:
        out = author.put(out, ConditionType.RECONCILING, going)
    return put(author, out, ConditionType.READY, _ready(out, stall, going))


def _stall(sight: Sight) -> Why | None:
    """What only a change by a person, or of the cluster, can mend."""
    kept = _KEPT if sight.status.revision else ""
    for blocker in sight.observed.blockers:
        return blocker.reason, blocker.message + kept
    route = sight.observed.http_route
    if route is not None and route.accepted is False:
        message = f"the gateway refuses the HTTPRoute: {route.message or 'its status says why'}"
        return Reason.ROUTE_REFUSED, message + kept
    if all(m.state in _MENDED_BY_PEOPLE for m in sight.status.models):
        return _of_all_models(sight)
    return None


def _of_all_models(sight: Sight) -> Why:
    """No model may be chosen, and waiting changes nothing."""
    lacking = all(m.state is ModelState.INELIGIBLE for m in sight.status.models)
    if lacking and not sight.observed.missing:
        needed = ", ".join(sight.route.spec.requires)
        return Reason.NO_MODEL, f"no model has all capabilities of spec.requires ({needed}): add one, or ask for fewer"
    refused = verdicts.credentials_valid(sight)
    if refused is not None and refused.status is FALSE:
        return refused.reason, f"no model may be chosen; {refused.message}"
    return verdicts.all_down(sight)


def _going_on(sight: Sight) -> Why | None:
    """What is still under way."""
    status = sight.status
    if status.switch is not None:
        by_stages = status.switch.kind in BY_STAGES
        return Reason.FAILING_BACK if by_stages else Reason.SWITCHING, verdicts.going_over(sight)
    if status.active is None:
        if sight.unknown:
            return Reason.NOT_CHECKED, "the models are being asked for the first time"
        return (Reason.PROGRESSING, "the first model is being chosen") if sight.anybody else verdicts.all_down(sight)
    if status.proved_revision < status.revision:
        return Reason.AWAITING_PROOF, f"the gateway was told anew{verdicts.waits_for(sight)}"
    if sight.plan.lagging and sight.observed.kept.asked_at is not None:
        return Reason.REPLICA_LAGS, f"replicas fell behind{verdicts.waits_for(sight)}"
    return _http_route(sight)


def _http_route(sight: Sight) -> Why | None:
    if sight.route.spec.gateway.lite_llm is not None:
        return None
    route = sight.observed.http_route
    if route is None:
        return Reason.PROGRESSING, "the HTTPRoute is being made"
    return None if route.caught_up else (Reason.PROGRESSING, "the Gateway has not seen the newest HTTPRoute yet")


def _ready(out: list[Condition], stall: Why | None, going: Why | None) -> Saying:
    """Whether clients are served by a model that works."""
    if stall is not None:
        return Saying(FALSE, *stall)
    serves = find(out, ConditionType.AVAILABLE)
    assert serves is not None
    if serves.status is not TRUE:
        return Saying(FALSE, *(going or (Reason(serves.reason), serves.message)))
    verified = find(out, ConditionType.TRAFFIC_VERIFIED)
    if verified is not None and verified.status is FALSE:
        return Saying(FALSE, Reason(verified.reason), verified.message)
    return Saying(TRUE, Reason.ROUTE_READY, serves.message)
