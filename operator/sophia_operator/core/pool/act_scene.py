"""What every act on a pool rests on, and what follows from one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sophia_operator.api.recovery_action_status import MAX_DID, ActPhase, ActStatus
from sophia_operator.core.pool.findings import Command, Verb
from sophia_operator.core.pool.tasks import ServerTask
from sophia_operator.core.pool.triggers import Cause
from sophia_operator.core.pool.views import PoolObserved, PoolView
from sophia_operator.core.recovery.acts import begun, ended
from sophia_operator.core.recovery.views import ActRequest


@dataclass(frozen=True, slots=True)
class ActScene:
    """The pool, and what is seen of it."""

    pool: PoolView
    observed: PoolObserved
    now: datetime

    @property
    def user(self) -> str:
        """The user that the pool connects to the server as."""
        return self.observed.access.username if self.observed.access is not None else "of the pool"

    def refused(self, request: ActRequest, why: str) -> ActStatus:
        """There is nothing to do it to, or it is not possible."""
        return ended(begun(request, self.now), ActPhase.REFUSED, why, self.now)

    def failed(self, request: ActRequest, why: str) -> ActStatus:
        """It cannot be begun now."""
        return ended(begun(request, self.now), ActPhase.FAILED, why, self.now)


@dataclass(frozen=True, slots=True)
class Going:
    """The act after this pass, and what is to be done for it once that is written down."""

    act: ActStatus
    #: Why a reconnect is to begin though the planner sees no cause; None when none is.
    cause: Cause | None = None
    #: Whether the reconnect under way is to look for its server at once.
    hurry: bool = False
    commands: tuple[Command, ...] = ()
    tasks: tuple[ServerTask, ...] = ()
    #: Seconds until the next pass at the latest.
    wait: float | None = None

    def over(self, phase: ActPhase, message: str, now: datetime, did: Iterable[str] = ()) -> Going:
        """Nothing more is done."""
        return Going(ended(self.act, phase, message, now, tuple(did)))

    def noting(self, *did: str) -> Going:
        """With lines of what was done, each once."""
        new = [line[:512] for line in did if line[:512] not in self.act.did]
        if not new:
            return self
        return replace(self, act=self.act.model_copy(update={"did": [*self.act.did, *new][-MAX_DID:]}))


def done_at(observed: PoolObserved, since: datetime, *verbs: Verb) -> list[str]:
    """What instances have carried out since then, in words: a line for each command."""
    out: list[str] = []
    for verb in verbs:
        told = observed.kept.commands
        names = sorted(n for (n, v), r in told.items() if v == verb.value and r.failure is None and r.at >= since)
        out += [f"{verb.value} at {name}" for name in names]
    return out
