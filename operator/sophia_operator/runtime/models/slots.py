"""How many probes of models go on by the same time, and which go first.

An operator that starts where there are hundreds of routes would ask all models at once, and then measure its own haste.
So a few begin at a time. A probe that takes longer only waits for its model, which costs no work, and makes room for
others: a provider that hangs must not hold up the probes of those that answer. How many go on in all has a limit all
the same, of which a part is left for models that serve and fail, and a part for owners of few: a namespace whose models
all hang must not keep those of others from being asked.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Final

#: Probes that were begun not long ago.
AT_ONCE: Final = 32
HELD_SECONDS: Final = 0.5
#: Probes in all, and so many more of models that serve and fail.
MOST: Final = 512
RESERVED: Final = 128
#: An owner of such a share of them leaves that other share to those with less.
_MUCH: Final = 1 / 4
_LEFT: Final = 1 / 2


class Rank(IntEnum):
    """Who goes first."""

    SERVES_AND_FAILS = 0
    SERVES = 1
    STANDS_BY = 2


class ProbeSlots:
    """Each probe takes one. All loops of a process share them."""

    def __init__(
        self,
        at_once: int = AT_ONCE,
        most: int = MOST,
        reserved: int = RESERVED,
        held_seconds: float = HELD_SECONDS,
    ) -> None:
        self._at_once = at_once
        self._most = most
        self._reserved = reserved
        self._held_seconds = held_seconds
        #: Begun not long ago, and in all.
        self._beginning = 0
        self._running = 0
        self._number = 0
        #: By owner: probes that go on, and those that wait.
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, list[tuple[Rank, int, asyncio.Future[None]]]] = {}

    @property
    def running(self) -> int:
        """Probes that go on now."""
        return self._running

    @asynccontextmanager
    async def taken(self, rank: Rank, owner: str = "") -> AsyncIterator[None]:
        """Wait for a slot, the lowest rank first, then whose owner has the fewest, then first come, first served."""
        await self._take(rank, owner)
        beginning = True

        def began() -> None:
            nonlocal beginning
            if beginning:
                beginning = False
                self._beginning -= 1
                self._admit()

        timer = asyncio.get_running_loop().call_later(self._held_seconds, began)
        try:
            yield
        finally:
            timer.cancel()
            self._count(owner, -1)
            began()
            self._admit()

    async def _take(self, rank: Rank, owner: str) -> None:
        self._number += 1
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting.setdefault(owner, []), (rank, self._number, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._beginning -= 1
                self._count(owner, -1)
                self._admit()
            raise

    def _count(self, owner: str, number: int) -> None:
        self._running += number
        self._held[owner] += number
        if not self._held[owner]:
            del self._held[owner]

    def _admit(self) -> None:
        """Let those in for whom there is room."""
        while self._beginning < self._at_once and (owner := self._next()) is not None:
            turn = heapq.heappop(self._waiting[owner])[2]
            self._beginning += 1
            self._count(owner, 1)
            turn.set_result(None)

    def _next(self) -> str | None:
        """The owner of the probe that goes first of those that may begin."""
        found = list[tuple[Rank, int, int, str]]()
        for owner, queue in list(self._waiting.items()):
            while queue and queue[0][2].done():
                heapq.heappop(queue)  # it was given up
            if not queue:
                del self._waiting[owner]
                continue
            rank, number, _ = queue[0]
            if self._running < self._limit(rank, owner):
                found.append((rank, self._held[owner], number, owner))
        return min(found)[3] if found else None

    def _limit(self, rank: Rank, owner: str) -> float:
        """So many go on at most when another one of that owner begins."""
        most = self._most + (self._reserved if rank is Rank.SERVES_AND_FAILS else 0)
        has_much = self._held[owner] >= max(1.0, _MUCH * self._most)
        return most - (_LEFT * self._most if has_much else 0.0)
