"""Tells nobody anything unless the Lease is certain: another process tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sophia_operator.core.recovery.signal_request import SignalRequest
from sophia_operator.ports import Signals

DEPOSED: Final = "this process does not hold the lease any more"


class FencedSignals:
    """Signals that are sent only while the Lease is certain."""

    def __init__(self, signals: Signals, certain: Callable[[], bool]) -> None:
        self._signals = signals
        self._certain = certain

    async def send(self, request: SignalRequest) -> str | None:
        """As in Signals."""
        return await self._signals.send(request) if self._certain() else DEPOSED

    async def close(self) -> None:
        """As in Signals."""
        await self._signals.close()
