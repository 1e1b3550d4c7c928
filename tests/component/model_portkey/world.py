"""A route over two models, and the ways to ask for a completion by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from hack.rig.portkey import Portkey
from sophia_operator.core.model.render.http_route import http_route
from sophia_operator.core.model.render.portkey import OPTION_HEADER, model_of_option
from sophia_operator.core.model.views import ModelRouteView
from tests.support.model_routes import portkey_route, view
from tests.support.openai_server import OpenAiServer

KEY = "sk-account-canary"
HOST = "models.example.com"


@dataclass
class World:
    """Two models, and the Portkey in front of them."""

    portkey: Portkey
    primary: OpenAiServer
    second: OpenAiServer
    client: httpx.AsyncClient

    def route(
        self,
        shares: Mapping[str, int],
        *,
        revision: int = 1,
        fallbacks: Sequence[str] | None = None,
        keyless: bool = False,
        way: Mapping[str, Any] | None = None,
    ) -> ModelRouteView:
        """The route by these shares; whoever has none stands in, unless `fallbacks` say otherwise."""
        if fallbacks is None:
            fallbacks = [name for name in ("primary", "second") if name not in shares]
        told = [{"name": name, "percent": percent} for name, percent in shares.items()]
        secret = {} if keyless else {"credentialsSecretRef": {"name": "account-key"}}
        models = [
            {"name": s.name, "model": f"{s.name}-model", "endpoint": {"url": s.url}} | secret
            for s in (self.primary, self.second)
        ]
        spec = portkey_route(models=models, way=dict(way or {}))
        gateway = spec["spec"]["gateway"]["portkey"]
        gateway |= {"port": self.portkey.port, "timeoutSeconds": 1}
        return view(spec, shares=told, fallbacks=list(fallbacks), revision=revision)

    async def ask(self, route: ModelRouteView, choose: str | None = None, **headers: str) -> httpx.Response:
        """Ask Portkey, with the headers that the HTTPRoute gives it."""
        told = modified(route, {"authorization": f"Bearer {KEY}"} | headers, choose)
        body = {"model": "whatever", "messages": [{"role": "user", "content": "Say ready."}]}
        return await self.client.post(f"{self.portkey.url}/v1/chat/completions", json=body, headers=told)


def modified(route: ModelRouteView, headers: Mapping[str, str], choose: str | None = None) -> dict[str, str]:
    """What a Gateway makes of a client's headers by the rule for clients that choose that model, or none."""
    rendered = http_route(route)
    assert rendered is not None
    (rule,) = (
        rule
        for rule in rendered["spec"]["rules"]
        if [h["value"] for h in rule["matches"][0].get("headers", ())] == ([] if choose is None else [choose])
    )
    (modifier,) = (f["requestHeaderModifier"] for f in rule["filters"] if f["type"] == "RequestHeaderModifier")
    given = {h["name"]: h["value"] for h in modifier["set"]}
    return {k: v for k, v in headers.items() if k not in modifier["remove"]} | given


def who(answer: httpx.Response) -> str:
    """Name of the server that answered."""
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["system_fingerprint"]
    return name


def said(route: ModelRouteView, answer: httpx.Response) -> str | None:
    """The model that answered, as Portkey says it."""
    return model_of_option(route, answer.headers[OPTION_HEADER])
