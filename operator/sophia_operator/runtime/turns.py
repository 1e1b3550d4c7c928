"""How many passes run at the same time.

When a thousand services change at once, a thousand passes that share one event loop would all be slow: each step of
one waits for a step of every other, until requests time out and the Lease cannot be renewed. A few at a time take as
long together, and each is quick.
"""

from __future__ import annotations

import asyncio
from typing import Final

#: Enough to keep the API server busy while some of them wait for its answers.
AT_ONCE: Final = 16


class Turns:
    """A pass takes a turn while it computes and writes, not while it waits for Prometheus or a service.

    Passes of services with a rollout under way have turns of their own: a rollback does not queue behind
    whatever else there is to do.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._rolling = asyncio.Semaphore(at_once)
        self._others = asyncio.Semaphore(at_once)

    def of(self, *, rolling: bool) -> asyncio.Semaphore:
        """The turns of services that have, or do not have, a rollout under way; first come, first served."""
        return self._rolling if rolling else self._others
