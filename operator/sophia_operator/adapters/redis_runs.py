"""Runs of a node's process: what was decided for one of them is not done to another."""

from __future__ import annotations

from typing import Final

from sophia_operator.adapters import redis_info
from sophia_operator.adapters.redis_faults import NoAnswerError
from sophia_operator.adapters.redis_session import Session
from sophia_operator.core.cache.faults import CacheFailure, CacheFault

_ANOTHER: Final = CacheFailure(CacheFault.UNREACHABLE, "it was started anew since it was looked at")


async def refuse_another_run(session: Session, run_id: str) -> None:
    """Raises NoAnswerError when the connection leads to another run than that."""
    if session.run_id is None:
        session.run_id = redis_info.run_of(redis_info.parse(await session.ask("INFO", "server")))
    if session.run_id != run_id:
        raise NoAnswerError(_ANOTHER)
