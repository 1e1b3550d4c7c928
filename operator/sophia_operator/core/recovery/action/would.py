"""What an action would do, in words: for dry runs."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.recovery.views import TargetView

_SECONDS: Final = 600
_PERCENT: Final = 50
_RATE: Final = 2000


def would(action: Action, parameters: Parameters, target: TargetView) -> str:
    """What would be done, as far as it can be told without looking further than the target's status."""
    return {
        Action.RECONNECT: _reconnect,
        Action.CANCEL_STATEMENT: _cancel,
        Action.REFRESH_PLANS: _refresh,
        Action.LIMIT_CONNECTIONS: _limit,
        Action.FLUSH_NAMESPACE: _flush,
        Action.PURGE_MEMORY: _purge,
        Action.SWITCH_MODEL: _switch,
        Action.RESTART_POD: _restart,
        Action.NOTIFY: _notify,
    }[action](parameters, target)


def _reconnect(_: Parameters, target: TargetView) -> str:
    assert isinstance(target.status, ConnectionPoolStatus)
    return f"RECONNECT would be given to {target.status.ready_instances} instances, and each verified by role"


def _cancel(parameters: Parameters, target: TargetView) -> str:
    assert isinstance(target.status, ConnectionPoolStatus)
    seconds = parameters.min_seconds or 30
    known = len(target.status.statements)
    return f"of {known} statements that run for long, the worst that is {seconds} s old would be cancelled"


def _refresh(parameters: Parameters, target: TargetView) -> str:
    del target
    what = f"table {parameters.table}" if parameters.table else "all tables"
    return f"ANALYZE would be run for {what}, and then every instance would take new connections"


def _limit(parameters: Parameters, target: TargetView) -> str:
    assert isinstance(target.status, ConnectionPoolStatus)
    percent, seconds = parameters.percent or _PERCENT, parameters.seconds or _SECONDS
    return f"the pool of {target.status.size} server connections would be held to {percent} % for {seconds} s"


def _flush(parameters: Parameters, target: TargetView) -> str:
    assert isinstance(target.status, CacheTierStatus)
    rate = parameters.keys_per_second or _RATE
    named = parameters.namespace_name
    known = {n.name: n for n in target.status.namespaces}
    size = known[named].keys if named in known else None
    what = f"namespace {named}" if named else f"the cheapest of {len(known)} namespaces"
    keys = f" ({size} keys)" if size is not None else ""
    return f"{what}{keys} would be flushed, {rate} keys a second at most"


def _purge(_: Parameters, target: TargetView) -> str:
    assert isinstance(target.status, CacheTierStatus)
    return f"memory that holds no entries would be given back at {len(target.status.nodes)} nodes"


def _switch(parameters: Parameters, target: TargetView) -> str:
    assert isinstance(target.status, ModelRouteStatus)
    status = target.status
    ranked = sorted((m for m in status.models if m.eligible and m.name != status.active), key=lambda m: m.rank or 99)
    to = parameters.model or (ranked[0].name if ranked else None)
    if to is None:
        return f"no other model may be chosen: {status.active} would go on to serve"
    return f"all requests would go from {status.active} to {to}"


def _restart(parameters: Parameters, target: TargetView) -> str:
    pod = next((p for p in target.crashing if parameters.pod in (None, p.name)), None)
    return f"pod {pod.name} would be deleted, and made anew" if pod is not None else "no pod crashes"


def _notify(_: Parameters, target: TargetView) -> str:
    del target
    return "people would be told, and nothing done"
