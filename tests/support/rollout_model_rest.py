"""The end of every way through the model: the faults stop, and the service must come to rest where it should."""

from __future__ import annotations

from sophia_operator.api.conditions import PAUSES, ConditionType, Reason, find, is_true
from sophia_operator.api.managed_service import ManagedServiceSpec
from sophia_operator.api.release import Intent
from tests.support.rollout_model import Model
from tests.support.rollout_model_api import CONFIG_MAP, DEPLOYMENT, RELEASE, SERVICE
from tests.support.rollout_model_world import APP, Faults

_STUCK_FOR_A_REASON = frozenset({Reason.RELEASE_LATCHED, Reason.CONFIG_NOT_FOUND})


def settle(model: Model) -> None:
    """Faults stop: the service must come to rest for a reason that it gives, and, once nobody holds it, at what
    the spec asks for."""
    _heal(model)
    _rest(model)
    if not _is_done(model) and not _has_reason(model):
        raise model.rules.broke("I9", f"at rest without a reason: {model.describe()}")
    for _ in range(3):
        if _is_done(model):
            break
        _release_holds(model)
        _rest(model)
    if not _is_done(model):
        raise model.rules.broke("I9", f"not where the spec wants it: {model.describe()}")


def _heal(model: Model) -> None:
    model.disturb()
    model.world.faults = Faults()
    model.operator.refuse = None
    model.wake()


def _rest(model: Model) -> None:
    if not model.run(900, until_quiet=True):
        # Gates are looked at while a rollout is paused, and configuration that is gone is looked for; everything
        # else must rest.
        if not _is_watching(model):
            raise model.rules.broke("I9", f"not at rest after 900 s: {model.describe()}")
        before = {key: stored for key, stored in model.api.all().items() if key[0] not in (SERVICE, RELEASE)}
        model.run(100)
        if any(model.api.get(*key) is not stored for key, stored in before.items()) or not _is_watching(model):
            raise model.rules.broke("I9", f"children change while paused: {model.describe()}")
        return
    model.rules.meddled = False
    writes = model.writes
    for _ in range(3):
        model.world.tick(7000)
        model.finish()
    if model.writes != writes:
        raise model.rules.broke("I9", f"{model.writes - writes} writes at rest: {model.describe()}")


def _release_holds(model: Model) -> None:
    if model.api.get(CONFIG_MAP, "settings") is None:
        model.api.write(CONFIG_MAP, "settings", "one")
    model.wish_for(paused=False)
    for name in model.api.names(RELEASE):
        status = model.status(name)
        intent = Intent.PROCEED
        if status is not None and status.state.is_latched:
            model.intend(name, Intent.PROCEED)  # Retry counts once for each time that it is set
            intent = Intent.RETRY
        elif status is not None and status.pause is not None:
            intent = Intent.PROMOTE  # evidence may be wanted that will never come, as of a time without requests
        model.intend(name, intent)
    model.wake()


def _is_done(model: Model) -> bool:
    stable, status = model.rules.stable(), model.service_status()
    if stable is None or not is_true(status.conditions, ConditionType.READY):
        return False
    template = model.spec(stable).snapshot.template
    found = model.api.get(SERVICE, APP)
    assert found is not None
    spec: ManagedServiceSpec = found.body
    deployment = model.api.get(DEPLOYMENT, stable)
    sized = deployment is not None and deployment.body["spec"]["replicas"] == spec.replicas
    served = model.world.shares() == {stable: 1.0}
    return template == spec.template and sized and served and model.rules.active() is None


def _has_reason(model: Model) -> bool:
    conditions = model.service_status().conditions
    stalled = find(conditions, ConditionType.STALLED)
    if stalled is not None:
        return bool(stalled.message) and Reason(stalled.reason) in _STUCK_FOR_A_REASON
    return _is_paused(model)


def _is_watching(model: Model) -> bool:
    """Whether there is a known reason for passes that change nothing but statuses."""
    stalled = find(model.service_status().conditions, ConditionType.STALLED)
    lacks_config = stalled is not None and stalled.reason == Reason.CONFIG_NOT_FOUND.value
    return (lacks_config and model.operator.failures > 0) or _is_held(model)


def _is_held(model: Model) -> bool:
    """Whether somebody, or a limit, holds the rollout under way."""
    active = model.rules.active()
    status = model.status(active) if active is not None else None
    if active is None or status is None:
        return False
    return model.wish.paused or model.spec(active).intent is Intent.PAUSE or status.pause is not None


def _is_paused(model: Model) -> bool:
    paused = find(model.service_status().conditions, ConditionType.PAUSED)
    return paused is not None and Reason(paused.reason) in PAUSES
