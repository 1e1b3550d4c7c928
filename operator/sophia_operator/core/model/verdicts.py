"""What each condition of a route says, from the table of models and from what replicas showed. Without anything seen,
None: it stays what it was. Texts are made of what the status says, so that they change no more often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sophia_operator.api.conditions import ConditionStatus, ConditionType, Reason, find
from sophia_operator.api.model_route import PassivePreset
from sophia_operator.api.model_route_status import ModelRouteStatus, ModelState, ModelStatus
from sophia_operator.core.model.plan_values import SwitchPlan
from sophia_operator.core.model.replicas import none_to_ask
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView
from sophia_operator.core.sayings import Saying, Why
from sophia_operator.core.words import clock, count, several

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Sight:
    """A route, what is seen of it, what was planned, and the status that is being made of that."""

    route: ModelRouteView
    observed: ModelRouteObserved
    plan: SwitchPlan
    status: ModelRouteStatus
    now: datetime

    def before(self, kind: ConditionType) -> Saying | None:
        """What was said."""
        found = find(self.route.status.conditions, kind)
        return None if found is None else Saying(found.status, Reason(found.reason), found.message)

    def row(self, name: str | None) -> ModelStatus | None:
        """The model of that name."""
        return next((m for m in self.status.models if m.name == name), None)

    @property
    def active(self) -> ModelStatus | None:
        """The model that serves."""
        return self.row(self.status.active)

    @property
    def anybody(self) -> bool:
        """Whether any model may be chosen that something is known of."""
        return any(m.eligible and m.state is not ModelState.UNKNOWN for m in self.status.models)

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of any model that could be asked."""
        asked = [m for m in self.status.models if m.state is not ModelState.INELIGIBLE]
        return bool(asked) and all(m.state is ModelState.UNKNOWN for m in asked)


def wrong(row: ModelStatus) -> Why:
    """Why a model is not healthy."""
    reason = Reason(row.reason) if row.reason is not None else Reason.MODEL_FAILED
    return reason, f"model {row.name} is {row.state.value}: {row.message or row.reason or 'its requests fail'}"


def healthy(sight: Sight) -> Saying | None:
    """Whether the model that serves is healthy."""
    row = sight.active
    if row is None:
        return Saying(UNKNOWN, Reason.NOT_CHECKED, "no model serves yet")
    if row.state is ModelState.UNKNOWN:
        return None
    if row.state is ModelState.HEALTHY:
        return Saying(TRUE, Reason.CHECKS_PASSED, f"model {row.name} answers, and keeps to its limits")
    return Saying(FALSE, *wrong(row))


def available(sight: Sight) -> Saying | None:
    """Whether a model serves that may be chosen."""
    row, switch = sight.active, sight.status.switch
    if row is None:
        return _nobody(sight)
    if not sight.anybody:
        return None if sight.unknown else Saying(FALSE, *all_down(sight))
    if row.state is ModelState.UNKNOWN:
        return None
    if not row.eligible:
        return Saying(FALSE, *wrong(row))
    came_from = sight.row(switch.from_model) if switch is not None else None
    if switch is not None and switch.proved_at is None and not (came_from is not None and came_from.eligible):
        return Saying(FALSE, Reason.SWITCHING, going_over(sight))
    if sight.status.proved_revision == 0:
        return Saying(FALSE, Reason.AWAITING_PROOF, f"no replica of the gateway was seen to serve model {row.name} yet")
    return Saying(TRUE, Reason.AVAILABLE, f"model {row.name} serves")


def _nobody(sight: Sight) -> Saying:
    if sight.unknown:
        return Saying(UNKNOWN, Reason.NOT_CHECKED, "the models are being asked for the first time")
    if not sight.anybody:
        return Saying(FALSE, *all_down(sight))
    return Saying(FALSE, Reason.SWITCHING, "the first model is being chosen")


def all_down(sight: Sight) -> Why:
    """That no model may be chosen, and why the one that serves may not, or else the first."""
    row = sight.active or sight.status.models[0]
    if all(m.state is ModelState.INELIGIBLE for m in sight.status.models):
        return Reason.NO_MODEL, f"no model may be chosen; {wrong(row)[1]}"
    stays = f"; traffic stays at {row.name}" if sight.active is not None else ""
    return Reason.ALL_MODELS_DOWN, f"no model answers as it should{stays}; {wrong(row)[1]}"


def going_over(sight: Sight) -> str:
    """A switch in words: from where to where, how far, and for whom it waits."""
    switch = sight.status.switch
    assert switch is not None
    source = f" from {switch.from_model}" if switch.from_model is not None else ""
    share = f", {switch.percent} % of the requests so far" if switch.percent < 100 else ""
    return f"{switch.kind.value}{source} to {switch.to}{share}: {switch.trigger}{waits_for(sight)}"


def waits_for(sight: Sight) -> str:
    """Which replicas a switch, or a change of what the gateway is told, waits for."""
    switch, revision = sight.status.switch, sight.status.revision
    if sight.plan.lagging:
        return f"; does not serve by revision {revision} yet: {several(sight.plan.lagging)}"
    if sight.status.proved_revision < revision:
        return f"; no replica was seen to serve by revision {revision} yet"
    if switch is not None and switch.percent < 100:
        return f"; stage {switch.stage + 1} since {clock(switch.phase_since, sight.now)}"
    return ""


def traffic_verified(sight: Sight) -> Saying | None:
    """Whether every replica of the gateway was seen to serve by what it is told."""
    kept, status, switch = sight.observed.kept, sight.status, sight.status.switch
    if status.revision == 0:
        return Saying(UNKNOWN, Reason.AWAITING_PROOF, "the gateway is told nothing yet")
    missing = none_to_ask(sight.route.spec.gateway, sight.observed)
    if missing is not None:
        return Saying(FALSE, Reason.NO_REPLICAS, missing)
    if kept.asked_at is None and status.proved_revision == status.revision:
        return None  # nothing is known since the operator started
    if sight.plan.lagging:
        waits = switch is not None and not switch.overdue and status.proved_revision < status.revision
        names = several(sight.plan.lagging)
        if waits:
            return Saying(UNKNOWN, Reason.AWAITING_PROOF, f"not at revision {status.revision} yet: {names}")
        remedy = "see its logs, and whether it reads what it is told"
        return Saying(FALSE, Reason.REPLICA_LAGS, f"does not serve by revision {status.revision}: {names}; {remedy}")
    if status.proved_revision < status.revision:
        return Saying(UNKNOWN, Reason.AWAITING_PROOF, f"replicas are asked whether they serve by {status.revision}")
    return Saying(TRUE, Reason.PROVED, f"{_replicas(sight)} by revision {status.revision}")


def _replicas(sight: Sight) -> str:
    number = len(sight.status.replicas)
    return f"{count(number, 'replica')} {'serves' if number == 1 else 'serve'}"


def credentials_valid(sight: Sight) -> Saying | None:
    """Whether every provider takes the credentials that the spec names."""
    rows = {m.name: m for m in sight.status.models}
    refs = {m.name: m.credentials_secret_ref for m in sight.route.spec.models}
    for name, blocker in sorted(sight.observed.missing.items()):
        return Saying(FALSE, blocker.reason, f"model {name}: {blocker.message}{_also(sight, name)}")
    refused = [name for name, row in rows.items() if row.state is ModelState.REFUSED]
    if refused:
        words = []
        for name in refused:
            ref = refs.get(name)
            words.append(f"{name} (Secret {ref.name}, key {ref.key})" if ref is not None else f"{name} (no Secret)")
        remedy = "put a key into the Secret that is accepted, or name one in credentialsSecretRef"
        return Saying(FALSE, Reason.CREDENTIALS_REFUSED, f"refused for {several(words)}: {remedy}")
    if any(row.state is ModelState.UNKNOWN for row in rows.values()):
        return None
    if not any(refs.values()):
        return Saying(TRUE, Reason.CREDENTIALS_ACCEPTED, "no model asks for credentials")
    return Saying(TRUE, Reason.CREDENTIALS_ACCEPTED, "no provider refuses the credentials")


def _also(sight: Sight, first: str) -> str:
    others = sorted(sight.observed.missing.keys() - {first})
    return f"; the same for {several(others)}" if others else ""


def metrics_available(sight: Sight) -> Saying | None:
    """Whether Prometheus answers."""
    kept, metrics = sight.observed.kept, sight.route.spec.metrics
    if metrics.preset is not PassivePreset.NONE and kept.passive is not None and isinstance(kept.passive.answer, str):
        why = f"users' requests are not counted, so probes alone decide: {kept.passive.answer}"
        return Saying(FALSE, Reason.METRICS_UNAVAILABLE, why)
    asked = [m.name for m in sight.route.spec.models if m.quality_query is not None]
    for name in asked:
        found = kept.qualities.get(name)
        if found is not None and isinstance(found.answer, str):
            return Saying(
                FALSE, Reason.METRICS_UNAVAILABLE, f"the quality of model {name} is not known: {found.answer}"
            )
    waiting = metrics.preset is not PassivePreset.NONE and kept.passive is None
    if waiting or any(name not in kept.qualities for name in asked):
        return None
    return Saying(TRUE, Reason.AVAILABLE, "Prometheus answers")


def asks_metrics(sight: Sight) -> bool:
    """Whether the spec asks Prometheus for anything."""
    spec = sight.route.spec
    return spec.metrics.preset is not PassivePreset.NONE or any(m.quality_query is not None for m in spec.models)
