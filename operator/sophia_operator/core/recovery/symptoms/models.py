"""What may be wrong with the model that serves a route."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelRouteStatus, ModelState, ModelStatus
from sophia_operator.api.recovery_policy import Rule
from sophia_operator.core.recovery.symptoms.sight import NOT_SEEN, absent, unknown
from sophia_operator.core.recovery.views import Sign, TargetView

_BREAKS_A_LIMIT: Final = frozenset({ModelState.FAILING, ModelState.UNHEALTHY})
#: The provider's own limits, and what only a person mends: the route leaves such a model by itself.
_NOT_OF_THE_MODEL: Final = frozenset({Reason.RATE_LIMITED, Reason.CREDENTIALS_REFUSED})


def model_timeout(target: TargetView, rule: Rule, now: datetime) -> Sign:
    """The model that serves does not answer, not in time, or with errors: it is Failing or Unhealthy. So it is when no
    model may be chosen at all, and one of them fails. Its value is the share of the requests to the model that failed,
    in percent.

    Else it is absent, as while a provider asks to wait (429), refuses the credentials, or the model lacks what the
    spec asks for. It cannot be told before the models were asked.
    """
    del rule, now
    status = target.status
    if not isinstance(status, ModelRouteStatus) or status.observed_generation < target.generation:
        return NOT_SEEN
    active = next((m for m in status.models if m.name == status.active), None)
    if active is not None and _fails(active):
        return Sign(True, _failed_percent(active), _words(active))
    failing = next((m for m in status.models if _fails(m)), None)
    if failing is not None and not any(m.eligible for m in status.models):
        return Sign(True, _failed_percent(active or failing), f"no model may be chosen; {_words(active or failing)}")
    if active is None or active.state is ModelState.UNKNOWN:
        return unknown("no model serves yet" if active is None else f"model {active.name} was not asked yet")
    return absent(f"model {active.name} is {active.state.value}")


def _fails(model: ModelStatus) -> bool:
    return model.state in _BREAKS_A_LIMIT and model.reason not in _NOT_OF_THE_MODEL


def _words(model: ModelStatus) -> str:
    return f"model {model.name} is {model.state.value}: {model.message or model.reason or 'its requests fail'}"


def _failed_percent(model: ModelStatus) -> float | None:
    return round(100 * min(model.failures, model.requests) / model.requests, 1) if model.requests else None
