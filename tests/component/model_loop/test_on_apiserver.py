"""Routes and the operator as a process on a real API server, with models that speak HTTP. There are no controllers:
pods and their endpoints are put there by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sophia_operator.core.model import names
from sophia_operator.core.names import MANAGER
from tests.component.loop.conftest import Server, Site
from tests.component.loop.conftest import api as api  # noqa: PLC0414 - fixtures, handed on by their names
from tests.component.loop.conftest import apiserver as apiserver  # noqa: PLC0414
from tests.component.loop.conftest import namespace as namespace  # noqa: PLC0414
from tests.component.loop.test_operator_process import Process, Start, wait_until
from tests.component.loop.test_operator_process import start as start  # noqa: PLC0414
from tests.support.model_routes import LABELS, NAME, key_of, model, model_route, secret
from tests.support.openai_server import OpenAiServer

pytestmark = pytest.mark.apiserver

_API = "sophia.ai/v1alpha1"
#: Nobody is there, by RFC 5737.
_NOWHERE = "192.0.2.10"


class RouteSite(Site):
    """The test's namespace, with a route in it."""

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.items(_API, "modelroutes")[NAME].get("status", {})
        return found

    def state(self, model: str) -> str | None:
        return next((m["state"] for m in self.status().get("models", []) if m["name"] == model), None)

    def table(self) -> dict[str, Any]:
        data = self.items("v1", "configmaps")[names.litellm_config_map(NAME)]["data"]
        found: dict[str, Any] = json.loads(data["route.json"])
        return found

    def run_pod(self) -> None:
        """A LiteLLM pod, and what the controllers would make of it."""
        spec = {"containers": [{"name": "litellm", "image": "litellm:test"}], "automountServiceAccountToken": False}
        pod = self.create("v1", "pods", {"metadata": {"name": "litellm-0", "labels": LABELS}, "spec": spec})
        target = {"kind": "Pod", "name": "litellm-0", "namespace": self.namespace, "uid": pod["metadata"]["uid"]}
        labels = {
            names.LABEL_ROUTE: NAME,
            "app.kubernetes.io/managed-by": MANAGER,
            "kubernetes.io/service-name": names.workload(NAME),
        }
        self.create(
            "discovery.k8s.io/v1",
            "endpointslices",
            {
                "metadata": {"name": f"{names.workload(NAME)}-x1", "labels": labels},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [_NOWHERE], "conditions": {"ready": True}, "targetRef": target}],
                "ports": [{"port": 4000}],
            },
        )

    def mark(self) -> str | None:
        """What the pod was poked with."""
        found: dict[str, str] = self.items("v1", "pods")["litellm-0"]["metadata"].get("annotations") or {}
        return found.get(names.ANNOTATION_CONFIG)


@pytest.fixture
async def models() -> AsyncIterator[dict[str, OpenAiServer]]:
    """Two models."""
    made = {name: OpenAiServer(name, api_key=key_of(name)) for name in ("primary", "second")}
    for server in made.values():
        await server.start()
    yield made
    for server in made.values():
        await server.close()


def route(models: dict[str, OpenAiServer], **spec: Any) -> dict[str, Any]:
    found = [
        model(name, endpoint={"url": server.url}, quality=quality)
        for (name, server), quality in zip(models.items(), ("0.9", "0.5"), strict=True)
    ]
    usual = {"gateway": {"liteLLM": {"selector": LABELS}}, "switch": {"forSeconds": 2}}
    return model_route(models=found, **{**usual, **spec})


async def more_passes(operator: Process, count: int) -> None:
    """Wait until so many passes went by."""

    async def passes() -> float:
        lines = (await operator.metrics()).splitlines()
        found = [x for x in lines if x.startswith('sophia_reconcile_duration_seconds_count{kind="ModelRoute"')]
        return sum(float(line.split()[-1]) for line in found)

    before = await passes()

    async def enough() -> bool:
        return await passes() >= before + count

    await wait_until(enough, "passes")


async def test_a_route_from_its_secrets_to_its_deletion(
    api: Server, namespace: str, start: Start, models: dict[str, OpenAiServer]
) -> None:
    site = RouteSite(api, namespace)
    operator = await start()
    site.create("v1", "secrets", secret("primary-key", **{"api-key": key_of("primary")}))
    site.create(_API, "modelroutes", route(models))
    await wait_until(lambda: site.status().get("active") == "primary", "the first model serves")
    await wait_until(lambda: site.state("second") == "Ineligible", "the other one lacks its key")
    assert models["second"].counters.requests == 0
    site.create("v1", "secrets", secret("second-key", **{"api-key": key_of("second")}))
    await wait_until(lambda: site.state("second") == "Healthy", "the other one is well")
    await wait_until(lambda: site.table()["shares"].get("primary") == 100, "the proxies are told")
    assert site.items("v1", "services")[names.workload(NAME)]["spec"]["selector"] == LABELS
    assert names.binding_secret(NAME) in site.items("v1", "secrets")

    site.run_pod()
    first = await wait_until(site.mark, "the pod is poked")
    await wait_until(lambda: site.status().get("replicas"), "the pod is asked")

    models["primary"].control(error_rate=1.0)
    await wait_until(lambda: site.status().get("active") == "second", "the other one takes over")
    await wait_until(lambda: site.table()["shares"].get("second") == 100, "the proxies are told")
    assert site.table()["revision"] == site.status()["revision"]
    await wait_until(lambda: site.mark() not in (None, first), "the pod is poked again")

    assert f'sophia_model_active{{model="second",namespace="{namespace}",route="{NAME}"}} 1.0' in (
        await operator.metrics()
    )
    api._send("DELETE", site.path(_API, "modelroutes", NAME))
    await wait_until(lambda: NAME not in site.items(_API, "modelroutes"), "the route goes, finalizer and all")

    async def forgotten() -> bool:
        return f'route="{NAME}"' not in await operator.metrics()

    await wait_until(forgotten, "the metrics go")
    log = operator.log.read_text()
    assert "Traceback" not in log
    assert "canary" not in log
    assert await operator.stop() == 0


async def test_a_route_in_calm_is_not_written_to_on_a_real_server(
    api: Server, namespace: str, start: Start, models: dict[str, OpenAiServer]
) -> None:
    """What the API server adds by itself is no drift, and no status is written twice."""
    site = RouteSite(api, namespace)
    operator = await start()
    for name in models:
        site.create("v1", "secrets", secret(f"{name}-key", **{"api-key": key_of(name)}))
    site.create(_API, "modelroutes", route(models))
    await wait_until(lambda: site.state("primary") == site.state("second") == "Healthy", "both are well")
    await wait_until(lambda: names.litellm_config_map(NAME) in site.items("v1", "configmaps"), "a ConfigMap")

    def versions() -> list[str]:
        kinds = [(_API, "modelroutes"), ("v1", "configmaps"), ("v1", "services"), ("v1", "secrets")]
        return [o["metadata"]["resourceVersion"] for kind in kinds for o in site.items(*kind).values()]

    before: list[str] = []

    async def rests() -> bool:
        nonlocal before
        await more_passes(operator, 4)
        known, before = before, versions()
        return known == before

    await wait_until(rests, "nothing is written any more")
