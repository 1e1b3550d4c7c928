"""How fast rows are worked at: at most so many in a second, and in smaller batches where each takes long."""

from __future__ import annotations

import asyncio
from typing import Final

#: Rows of one transaction at most; it holds locks on as many.
MOST_ROWS: Final = 1000
#: A batch that takes longer is a sign of a busy server: the next one is half as large, down to where it is not the
#: rows that take the time.
_SLOW_SECONDS: Final = 0.1
_FEW_ROWS: Final = 100
_QUICK_SECONDS: Final = 0.025
#: Batches in a second, when rows are few.
_BATCHES: Final = 10


class Pace:
    """Says how large the next batch may be, and pauses after each."""

    def __init__(self, rows_per_second: int, seconds: float) -> None:
        self._rate = rows_per_second
        self._end = asyncio.get_running_loop().time() + seconds
        self._most = max(1, min(MOST_ROWS, rows_per_second // _BATCHES))
        self._size = max(1, self._most // 2)

    @property
    def rows(self) -> int:
        """Rows of the next batch."""
        return self._size

    @property
    def over(self) -> bool:
        """Whether the time is over: no batch begins any more."""
        return asyncio.get_running_loop().time() >= self._end

    def too_slow(self) -> bool:
        """A batch was given up: the next one is much smaller. False when there is no smaller one."""
        before, self._size = self._size, max(1, self._size // 4)
        return self._size < before

    async def pause(self, rows: int, seconds: float) -> None:
        """Pause after a batch that changed so many rows and took so long. The pause is as long as the batch at least:
        half of the time belongs to others."""
        if seconds > _SLOW_SECONDS:
            self._size = max(min(_FEW_ROWS, self._size), self._size // 2)
        elif seconds < _QUICK_SECONDS:
            self._size = min(self._most, self._size * 2)
        await asyncio.sleep(max(seconds, rows / self._rate - seconds))
