"""How long the operator's checks through the instances of a pool take."""

from __future__ import annotations

from collections.abc import Sequence

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import Percentiles
from sophia_operator.core import latencies


def percentiles(
    spec: ConnectionPoolSpec, before: Percentiles | None, values: Sequence[float], fresh: bool
) -> Percentiles | None:
    """Of the checks that are remembered, the newest last; what was known before unless there was a full look."""
    limit = float(spec.health_check.slow_threshold_ms)
    return latencies.percentiles(before, values, fresh, limit, spec.instances)
