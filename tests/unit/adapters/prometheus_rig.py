"""A Prometheus that answers as a test wants, and who asks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sophia_operator.adapters.prometheus import PrometheusMetrics
from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.core.findings import MetricsAnswer, MetricsRequest
from sophia_operator.ports import ClusterError, Refusal

TOKEN = "s3cret-t0ken"


class Secrets:
    """Secrets of a cluster, and how often they were read."""

    def __init__(self, **content: Mapping[str, bytes]) -> None:
        self.content = dict(content)
        self.reads = 0

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        self.reads += 1
        if name == "forbidden":
            raise ClusterError(Refusal.FORBIDDEN, "cannot get resource secrets")
        return self.content[f"{namespace}/{name}"]


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def vector(*samples: tuple[dict[str, str], str]) -> str:
    result = [{"metric": labels, "value": [1700000000, value]} for labels, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


def answering(
    text: str, status: int = 200, seen: list[web.Request] | None = None, form: dict[str, Any] | None = None
) -> Any:
    async def handler(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request)
        if form is not None:
            form.update(await request.post())
        headers = {"set-cookie": "a=b", "location": "/elsewhere"}
        return web.Response(text=text, status=status, content_type="application/json", headers=headers)

    return handler


async def ask(
    metrics: PrometheusMetrics, url: str | None, *, secret: str | None = None, timeout: int = 5
) -> MetricsAnswer:
    access = PrometheusAccess(url=url, secret_name=secret, timeout_seconds=timeout) if url else None
    return await metrics.query("shop", MetricsRequest("gate/x", "vector(1)", access))
