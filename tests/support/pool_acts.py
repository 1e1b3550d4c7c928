"""What recovery asks of a pool, and what its server does meanwhile, in short words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sophia_operator.api.recovery_action_status import ActStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.pool.activity import Activity, Session
from sophia_operator.core.pool.decision import PoolDecision
from sophia_operator.core.pool.findings import Backends, Failure
from sophia_operator.core.pool.tasks import Acted, Cancelled, CancelResult
from sophia_operator.core.pool.views import PoolObserved
from sophia_operator.core.recovery.views import ActRequest
from tests.support.pool_scene import at, looks, observed, server

OWN: Final = "10.2.0.1"


def request(action: Action, name: str = "act-1", claimed: float = 0.5, **parameters: Any) -> ActRequest:
    """A RecoveryAction that was claimed."""
    return ActRequest(name, f"uid-{name}", action, Parameters(**parameters), at(claimed), may_begin=True)


def session(pid: int = 7, since: float = -100, **changes: Any) -> Session:
    """A session that has run a statement since then."""
    values: dict[str, Any] = {
        "username": "app", "address": OWN, "started_at": at(-500), "idle": False, "waits": False, "blocks": 0,
        "text": f"SELECT … FROM t{pid}", "query_id": str(pid),
    }  # fmt: skip
    return Session(pid=pid, since=at(since), **{**values, **changes})


def sees(*sessions: Session, acts: tuple[ActRequest, ...], seconds: float = 1, **of: Any) -> PoolObserved:
    """All is well but for what sessions do."""
    backends = (Backends("app", "orders", OWN, None, 2),)
    activity = Activity(sessions, of.pop("unseen", ()), of.pop("hidden", 0))
    found = observed(server(activity=activity, backends=backends), looks(seconds), server_at=seconds)
    kept = replace(found.kept, acted=of.pop("acted", Acted()), commands=of.pop("commands", {}))
    return replace(found, acts=acts, kept=kept)


def the_act(decision: PoolDecision) -> ActStatus:
    """The only act in the status."""
    (act,) = decision.status.acts
    return act


def cancelled(seconds: float, answer: Cancelled | Failure, told: bool = True) -> Acted:
    """What came of the first act's newest try to cancel."""
    return Acted(cancels={"uid-act-1": CancelResult(at(seconds), answer, told)})
