"""Asks the API server what it would say to an object: once for each question, and its answer is remembered.

The pass does not depend on the answer: an admission webhook that is down must not keep an abort or a rollback waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sophia_operator.ports import Cluster, ClusterError, Refusal

logger = logging.getLogger(__name__)

#: A refusal is asked about again after this long: a policy or a webhook may have been mended meanwhile.
ASK_AGAIN_SECONDS: Final = 60.0
#: So long a pass waits for an answer. The question goes on beside it, since a slow webhook is no dead one.
PATIENCE_SECONDS: Final = 2.0
#: How soon a later pass looks whether a slow answer is there.
_LISTEN_SECONDS: Final = 1.0
#: Such webhooks cannot be asked without consequences; the real apply will show what they say.
_CANNOT_ASK: Final = "does not support dry run"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an object is not taken to be accepted: the API server's words, or why there is no answer."""

    words: str
    answered: bool


class DryRun:
    """One question at a time."""

    def __init__(self, cluster: Cluster, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._cluster = cluster
        self._patience = patience_seconds
        self._asked: Hashable = None
        self._asking: asyncio.Task[str | None] | None = None
        self._objection: Objection | None = None
        #: When to ask again; None when there is no reason to.
        self._again: datetime | None = None
        #: How often in a row there was no answer.
        self._unanswered = 0

    def forget(self) -> None:
        """There is nothing to ask: the next question is a new one."""
        self._drop()
        self._asked, self._unanswered = None, 0

    def wait(self, now: datetime) -> float | None:
        """Seconds until there is something to ask or to hear; None when there is not."""
        if self._asking is not None:
            return _LISTEN_SECONDS
        return max(0.0, (self._again - now).total_seconds()) if self._again is not None else None

    async def objection(
        self, question: Hashable, make: Callable[[], dict[str, Any]], now: datetime
    ) -> Objection | None:
        """What is known to stand against the object that `make` returns; None when nothing does.

        Raises ClusterError the first time that there is an error for an answer: a server that fails for a moment is
        nothing to tell people about.
        """
        if question != self._asked:
            self._drop()
            self._asked, self._again = question, now
        if self._asking is None and self._again is not None and now >= self._again:
            self._asking = asyncio.ensure_future(self._ask(make()))
            await asyncio.wait({self._asking}, timeout=self._patience)
        if self._asking is not None:
            self._listen(self._asking, now)
        return self._objection

    def _drop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._asking = self._objection = self._again = None

    def _listen(self, asking: asyncio.Task[str | None], now: datetime) -> None:
        if not asking.done():
            # What was said before holds until there is news.
            self._objection = self._objection or Objection("there is no answer yet", answered=False)
            return
        self._asking = None
        news = self._objection is None and self._unanswered == 0
        try:
            refusal = asking.result()
        except ClusterError as error:
            self._miss(error, now)
            if news:
                raise
            return
        self._unanswered = 0
        self._objection = Objection(refusal, answered=True) if refusal is not None else None
        self._again = now + timedelta(seconds=ASK_AGAIN_SECONDS) if refusal is not None else None

    def _miss(self, error: ClusterError, now: datetime) -> None:
        self._unanswered += 1
        seconds = min(ASK_AGAIN_SECONDS, 2.0 ** min(self._unanswered - 2, 16)) if self._unanswered > 1 else 0.0
        self._again = now + timedelta(seconds=seconds)
        self._objection = Objection(str(error), answered=False)
        logger.warning("no answer to a dry run: %s", error, extra={"reason": error.refusal.value})

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
