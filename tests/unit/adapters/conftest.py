"""What tests of several adapters start from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from sophia_operator.adapters.prometheus import PrometheusMetrics
from sophia_operator.api.metrics import PrometheusAccess
from tests.unit.adapters.prometheus_rig import Secrets


@pytest.fixture
async def make() -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        def build(
            default: PrometheusAccess | None = None, secrets: Secrets | None = None, **how: Any
        ) -> PrometheusMetrics:
            metrics = PrometheusMetrics(default=default, read_secret=(secrets or Secrets()).read, **how)
            stack.push_async_callback(metrics.close)
            return metrics

        yield build
