"""Finds out what nodes do not say: how busy the origin is, and the hit ratio of a namespace."""

from __future__ import annotations

from typing import Final

from sophia_operator.core.cache.views import HitRatio, Load, TierView
from sophia_operator.core.findings import MetricsRequest, Samples
from sophia_operator.ports import Clock, Metrics
from sophia_operator.runtime.store import ObjectStore

_LONGEST_MESSAGE: Final = 1024


class Figures:
    """Asks Prometheus, and looks at what pools say."""

    def __init__(self, metrics: Metrics, store: ObjectStore, clock: Clock) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock

    async def load(self, tier: TierView) -> Load:
        """How busy the origin is, in percent."""
        origin = tier.spec.origin
        if origin is None:
            return Load(self._clock.now(), None, "the tier has no origin")
        if origin.pool_ref is not None:
            return self._of_pool(tier.namespace, origin.pool_ref.name)
        value, message = await self._ask(tier, "load", origin.query or "")
        return Load(self._clock.now(), value, message)

    def _of_pool(self, namespace: str, name: str) -> Load:
        now, pool = self._clock.now(), self._store.get("ConnectionPool", namespace, name)
        if pool is None:
            return Load(now, None, f"ConnectionPool {namespace}/{name} is missing")
        used = (pool.get("status") or {}).get("utilizationPercent")
        if used is None:
            return Load(now, None, f"ConnectionPool {namespace}/{name} does not say how busy it is")
        return Load(now, float(used))

    async def hit_ratio(self, tier: TierView, namespace: str) -> HitRatio:
        """The hit ratio of a namespace, from 0 to 1."""
        query = next((n.hit_ratio_query for n in tier.spec.namespaces if n.name == namespace), None)
        if query is None:
            return HitRatio(self._clock.now(), None, "the namespace has no query")
        value, message = await self._ask(tier, f"hit-ratio/{namespace}", query)
        if value is not None and not 0 <= value <= 1:
            # Without the value, which is another one each time.
            value, message = None, "the query must give a value from 0 to 1: divide it by 100 if it gives percent"
        return HitRatio(self._clock.now(), value, message)

    async def _ask(self, tier: TierView, key: str, query: str) -> tuple[float | None, str]:
        answer = await self._metrics.query(tier.namespace, MetricsRequest(key, query, None))
        if not isinstance(answer, Samples):
            return None, answer.message[:_LONGEST_MESSAGE]
        if len(answer.values) != 1:
            how = "no value" if not answer.values else f"{len(answer.values)} values"
            return None, f"the query gives {how}, and must give one"
        return next(iter(answer.values.values())), ""
