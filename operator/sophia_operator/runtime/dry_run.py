"""Asks the API server what it would say to an object: once for each question, and its answer is remembered."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.ports import Cluster, ClusterError, Refusal

#: A refusal is asked about again after this long: a policy or a webhook may have been mended meanwhile.
ASK_AGAIN_SECONDS: Final = 60.0
#: Such webhooks cannot be asked without consequences; the real apply will show what they say.
_CANNOT_ASK: Final = "does not support dry run"


class DryRun:
    """One question at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked: Hashable = None
        self._refusal: str | None = None
        self._refused_at: datetime | None = None

    def forget(self) -> None:
        """There is nothing to ask: the next question is a new one."""
        self._asked = self._refusal = self._refused_at = None

    async def refusal(self, question: Hashable, make: Callable[[], dict[str, Any]], now: datetime) -> str | None:
        """Why the object that `make` returns is refused, in the API server's words; None when it is not.

        Raises ClusterError when the API server does not answer.
        """
        stale = self._refused_at is not None and now - self._refused_at >= timedelta(seconds=ASK_AGAIN_SECONDS)
        if question != self._asked or stale:
            self._refusal = await self._ask(make())
            self._refused_at = now if self._refusal is not None else None
            self._asked = question
        return self._refusal

    async def _ask(self, obj: dict[str, Any]) -> str | None:
        try:
            await self._cluster.apply(obj, dry_run=True)
        except ClusterError as error:
            if _CANNOT_ASK in error.message:
                return None
            if error.refusal in (Refusal.INVALID, Refusal.FORBIDDEN):
                return error.message
            raise
        return None
