"""A clock that stands until somebody waits."""

from __future__ import annotations

from sophia_operator.adapters.pace import Time


class FakeTime:
    """Time that passes only while work waits: what is done costs none, so the pace is what is waited for."""

    def __init__(self) -> None:
        self.at = 0.0
        self.waits: list[float] = []
        #: What passes beside each wait, as when the other side is slow.
        self.costs = 0.0

    def time(self) -> Time:
        """What paced work takes."""
        return Time(self._now, self._sleep)

    def _now(self) -> float:
        return self.at

    async def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.waits.append(seconds)
        self.at += seconds + self.costs
