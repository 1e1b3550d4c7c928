"""How many pools, or tiers, are looked at by the same time.

An operator that starts where there are hundreds of pools would look at all of them at once, and again and again at
the same moments. What it then measures is its own haste: connecting seems to take long, and at last too long. So a few
begin at a time, which also spreads the looks that follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

#: Looks take some milliseconds of work, and wait for the network in between.
AT_ONCE: Final = 8
#: Pools that are being reconnected have slots of their own: all pools of a server are, when it is lost.
URGENT_AT_ONCE: Final = 32
#: Who waits for longer only waits for something that hangs, and must not hold up the others.
HELD_SECONDS: Final = 0.25


class Slots:
    """Each look takes one, and gives it back when it is done, or after some time."""

    def __init__(
        self, at_once: int = AT_ONCE, urgent_at_once: int = URGENT_AT_ONCE, held_seconds: float = HELD_SECONDS
    ) -> None:
        self._others = asyncio.Semaphore(at_once)
        self._urgent = asyncio.Semaphore(urgent_at_once)
        self._held_seconds = held_seconds

    @asynccontextmanager
    async def taken(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a slot, first come, first served, and hold it for at most so long."""
        slots, held = self._urgent if urgent else self._others, True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                slots.release()

        await slots.acquire()
        timer = asyncio.get_running_loop().call_later(self._held_seconds, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()
