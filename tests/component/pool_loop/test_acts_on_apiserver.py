"""That acts are in the status of a real API server as soon as they are written down: what follows rests on it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.loop.conftest import Server, Site
from tests.component.loop.conftest import api as api  # noqa: PLC0414 - fixtures, handed on by their names
from tests.component.loop.conftest import apiserver as apiserver  # noqa: PLC0414
from tests.component.loop.conftest import namespace as namespace  # noqa: PLC0414
from tests.support.fake_pools_harness import connection_pool

pytestmark = pytest.mark.apiserver

_API = "sophia.ai/v1alpha1"


def test_the_first_act_takes_the_place_of_an_empty_list(api: Server, namespace: str) -> None:
    site = Site(api, namespace)
    site.create(_API, "connectionpools", connection_pool())
    path = site.path(_API, "connectionpools", "orders")
    act = {
        "name": "act", "uid": "uid-1", "action": "Reconnect", "phase": "Running", "did": [], "message": "",
        "startedAt": "2026-03-01T12:00:00Z",
    }  # fmt: skip

    def write(acts: list[dict[str, Any]]) -> Any:
        body = {"apiVersion": _API, "kind": "ConnectionPool", "metadata": {"name": "orders"}, "status": {"acts": acts}}
        return api.apply(f"{path}/status", body)["status"].get("acts")

    assert write([]) == []
    assert write([act]) == [act]
    assert write([act | {"phase": "Done", "name": "act"}])[0]["phase"] == "Done"
