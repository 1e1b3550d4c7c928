"""Routes with LiteLLM proxies, and requests as their clients send them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from hack.rig.litellm import MASTER_KEY, LiteLlm
from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.model.names import MODEL_HEADER, REVISION_HEADER
from sophia_operator.core.model.views import ModelRouteView

NAMESPACE: Final = "shop"
ROUTE: Final = "chat"
_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


def model(name: str, url: str, *, key: bool = False) -> dict[str, Any]:
    """A model of the spec; with `key`, one that needs credentials."""
    credentials = {"credentialsSecretRef": {"name": f"{name}-key"}} if key else {}
    return {"name": name, "model": f"gpt-{name}", "endpoint": {"url": url}} | credentials


def route(
    models: Sequence[Mapping[str, Any]],
    shares: Mapping[str, int],
    *,
    fallbacks: Sequence[str] = (),
    revision: int = 1,
    timeout_seconds: int = 20,
    port: int = 4000,
) -> ModelRouteView:
    """A route as the operator decided it."""
    gateway = {"liteLLM": {"selector": {"app": "litellm"}, "timeoutSeconds": timeout_seconds, "port": port}}
    spec = ModelRouteSpec.model_validate({"models": models, "gateway": gateway, "metrics": {"preset": "LiteLLM"}})
    told = {
        "revision": revision,
        "fallbacks": fallbacks,
        "shares": [{"name": name, "percent": percent} for name, percent in shares.items()],
    }
    status = ModelRouteStatus.model_validate(told)
    return ModelRouteView(NAMESPACE, ROUTE, "uid", 1, "1", _AT, spec, status)


@dataclass(frozen=True)
class Answer:
    """What a client saw."""

    status: int
    #: By which revision, and by which model of the route; as headers say.
    revision: str | None
    model: str | None
    #: As LiteLLM itself says.
    model_id: str | None
    #: Name of the server that gave the text; None for an error.
    server: str | None
    text: str


async def ask(client: httpx.AsyncClient, proxy: LiteLlm, asked: str = ROUTE, *, stream: bool = False) -> Answer:
    """Send a completion."""
    body = {"model": asked, "stream": stream, "max_tokens": 6, "messages": [{"role": "user", "content": "hello"}]}
    answer = await client.post(
        f"{proxy.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {MASTER_KEY}"}
    )
    text = _streamed(answer.text) if stream else _whole(answer)
    headers = answer.headers
    return Answer(
        status=answer.status_code,
        revision=headers.get(REVISION_HEADER),
        model=headers.get(MODEL_HEADER),
        model_id=headers.get("x-litellm-model-id"),
        server=text.partition(" ")[0] or None,
        text=answer.text,
    )


def _whole(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"]) if answer.is_success else ""


def _streamed(text: str) -> str:
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    pieces = [choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ())]
    return "".join(pieces)
