"""Where clients send requests."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sophia_operator.core.model.names import BINDING_KEYS
from sophia_operator.core.model.render import endpoint, render
from sophia_operator.core.model.render.binding import binding_secret
from sophia_operator.core.model.views import ModelRouteObserved
from tests.support.model_routes import http_route, model_route, portkey_route, view


@pytest.mark.parametrize(
    ("obj", "url", "expected"),
    [
        (model_route(), None, "http://chat-models.shop.svc:4000/v1"),
        (http_route(), "http://10.0.0.7:80", "http://models.example.com/v1"),
        (http_route(), "https://10.0.0.7:443", "https://models.example.com/v1"),
        (http_route(), "https://10.0.0.7:8443", "https://models.example.com:8443/v1"),
        (http_route(), "http://[fd00::7]:8080", "http://models.example.com:8080/v1"),
        (http_route(way={"path": ""}), "http://10.0.0.7:80", "http://models.example.com"),
        (portkey_route(way={"path": "/llm"}), "http://10.0.0.7:80", "http://models.example.com/llm"),
        (http_route(way={"hostnames": ["*.a.com", "b.com"]}), "http://10.0.0.7:80", "http://b.com/v1"),
        (http_route(way={"hostnames": ["*.a.com"]}), "http://10.0.0.7:80", "http://chat.a.com/v1"),
        (http_route(), None, None),
        (portkey_route(), None, None),
    ],
)
def test_where_clients_send_requests(obj: dict[str, Any], url: str | None, expected: str | None) -> None:
    assert endpoint(view(obj), ModelRouteObserved(gateway_url=url)) == expected


@pytest.mark.parametrize("obj", [model_route(), http_route(), portkey_route()], ids=["liteLLM", "httpRoute", "portkey"])
def test_the_binding_says_all_that_is_promised(obj: dict[str, Any]) -> None:
    found = binding_secret(
        view(obj), ModelRouteObserved(gateway_url="http://10.0.0.7:80", gateway_key="of-the-gateway")
    )

    assert found is not None
    content = {key: base64.b64decode(value).decode() for key, value in found["data"].items()}
    assert tuple(sorted(content)) == BINDING_KEYS
    assert all(content.values())
    assert "of-the-gateway" not in content.values()


def test_there_is_no_binding_before_the_gateway_has_an_address() -> None:
    kinds = [obj["kind"] for obj in render(view(http_route()), ModelRouteObserved()).objects]
    assert "Secret" not in kinds


def test_what_pods_mount_has_a_hash_that_follows_what_is_told() -> None:
    told: dict[str, Any] = {"shares": [{"name": "primary", "percent": 100}], "revision": 1}
    first, again = (render(view(model_route(), **told), ModelRouteObserved()) for _ in range(2))
    other = render(view(model_route(), **told | {"revision": 2}), ModelRouteObserved())

    assert first.mounted_hash is not None
    assert first.mounted_hash == again.mounted_hash != other.mounted_hash
    assert render(view(http_route(), **told), ModelRouteObserved()).mounted_hash is None
