"""What is found out of a cache by queries."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sophia_operator.core.findings import MetricsAnswer, MetricsRequest, Samples
from sophia_operator.runtime.caches.figures import Figures
from sophia_operator.runtime.store import ObjectStore
from tests.support.cache_scene import MEMORY, tier

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class _Answers:
    def __init__(self, value: float) -> None:
        self._value = value

    async def query(self, namespace: str, request: MetricsRequest) -> MetricsAnswer:  # noqa: ARG002 - the port's
        return Samples({"": self._value})


class _Clock:
    def now(self) -> datetime:
        return NOW


async def _ratio(value: float) -> tuple[float | None, str]:
    of = tier(MEMORY, namespaces=[{"name": "a", "prefix": "a", "hitRatioQuery": "ratio"}])
    found = await Figures(_Answers(value), ObjectStore(), _Clock()).hit_ratio(of, "a")
    return found.ratio, found.message


@pytest.mark.parametrize("value", [0.0, 0.91, 1.0])
async def test_a_ratio(value: float) -> None:
    assert await _ratio(value) == (value, "")


async def test_a_query_that_gives_percent_is_told_with_the_same_words_each_time() -> None:
    one, other = await _ratio(91.2), await _ratio(90.7)
    assert one == other
    assert one[0] is None
    assert "divide it by 100" in one[1]
