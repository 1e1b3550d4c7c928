"""What is rendered for a ModelRoute, as a real API server takes it: accepted, changed only by defaults, repaired."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hack.cluster import manifests, versions
from sophia_operator.api.model_gateway import MAX_ROUTED_MODELS, MAX_ROUTED_URL
from sophia_operator.core import drift
from tests.golden import model_cases
from tests.golden.test_render_on_apiserver import Edit, Object, Server, assert_seen_and_repaired
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def server(apiserver: Path) -> Server:
    connection = Server(apiserver)
    crds = manifests.module_files(
        "sigs.k8s.io/gateway-api",
        versions.of("gateway-api"),
        ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
    )
    for crd in yaml.safe_load_all(crds):
        connection.install(crd)
    return connection


def objects_of(name: str, server: Server, suffix: str = "") -> list[Object]:
    """What the case renders, in a namespace of its own."""
    namespace = f"model-{name}{suffix}"
    server.namespace(namespace)
    raw = yaml.safe_load((model_cases.FOLDER / name / "in.yaml").read_text())
    return [dict(obj) for obj in model_cases.parse(raw, namespace).render().objects]


def assert_taken_as_it_is(desired: list[Object], server: Server) -> None:
    live = [server.apply(drift.stamped(obj)) for obj in desired]
    for wanted, found in zip(desired, live, strict=True):
        assert drift.first_difference(wanted, found) is None
        assert not drift.needs_apply(wanted, found), "after a restart of the operator"
        assert not drift.needs_apply(wanted, found, drift.fingerprint(found)), "after its own write"
    again = [server.apply(drift.stamped(obj)) for obj in desired]
    assert [o["metadata"]["resourceVersion"] for o in again] == [o["metadata"]["resourceVersion"] for o in live]


@pytest.mark.parametrize("name", model_cases.CASES)
def test_the_server_accepts_it_and_its_defaults_are_no_drift(name: str, server: Server) -> None:
    assert_taken_as_it_is(objects_of(name, server), server)


def _of_as_many_models_as_can_be(gateway: str, length: int) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((model_cases.FOLDER / gateway / "in.yaml").read_text())
    names = [f"m-{number}-{'x' * 55}" for number in range(MAX_ROUTED_MODELS)]
    url = "https://api.example.com/"
    by_url = {"url": url + "v" * (length - len(url))}
    raw["route"]["spec"]["models"] = [
        {
            "name": name,
            "model": "llama" * 50,
            "endpoint": by_url if gateway == "portkey" else {"serviceRef": {"name": f"s-{number}", "port": 8000}},
        }
        for number, name in enumerate(names)
    ]
    raw["route"]["status"] |= {
        "shares": [{"name": names[0], "percent": 50}, {"name": names[1], "percent": 50}],
        "fallbacks": names[2:],
    }
    return raw


@pytest.mark.parametrize(("gateway", "length"), [("http-route", 0), ("portkey", 64), ("portkey", MAX_ROUTED_URL)])
def test_the_server_accepts_as_many_models_as_our_own_api_does(gateway: str, length: int, server: Server) -> None:
    server.namespace("model-most")
    raw = _of_as_many_models_as_can_be(gateway, length)
    assert_taken_as_it_is([dict(obj) for obj in model_cases.parse(raw, "model-most").render().objects], server)


def _filters(obj: Object, rule: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = obj["spec"]["rules"][rule]["backendRefs"][0]["filters"]
    return found


EDITS: Final[dict[str, tuple[str, str, Edit]]] = {
    "weight": ("http-route", "HTTPRoute", lambda o: o["spec"]["rules"][0]["backendRefs"][1].update(weight=50)),
    "revision": (
        "http-route",
        "HTTPRoute",
        lambda o: _filters(o, 0)[0]["responseHeaderModifier"]["set"][1].update(value="1"),
    ),
    "model header removed": ("http-route", "HTTPRoute", lambda o: _filters(o, 1).clear()),
    "choice removed": ("http-route", "HTTPRoute", lambda o: o["spec"]["rules"].pop()),
    "time limit": ("http-route", "HTTPRoute", lambda o: o["spec"]["rules"][0].update(timeouts={"request": "15s"})),
    "host": ("http-route", "HTTPRoute", lambda o: o["spec"].update(hostnames=["other.example.com"])),
    "path": ("http-route-path", "HTTPRoute", lambda o: o["spec"]["rules"][0].pop("filters")),
    "binding": ("http-route", "Secret", lambda o: o["data"].update(model="b3RoZXI=")),
    "guard removed": (
        "portkey",
        "HTTPRoute",
        lambda o: o["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"].pop("remove"),
    ),
    "order": (
        "portkey",
        "HTTPRoute",
        lambda o: o["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"]["set"][0].update(value="{}"),
    ),
    "selector": ("portkey", "Service", lambda o: o["spec"]["selector"].update(app="another")),
    "table": ("litellm", "ConfigMap", lambda o: o["data"].update({"route.json": "{}"})),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_seen_and_repaired(edit: str, server: Server) -> None:
    case, kind, change = EDITS[edit]
    desired = next(o for o in objects_of(case, server, "-edited") if o["kind"] == kind)
    assert_seen_and_repaired(server, desired, change)
