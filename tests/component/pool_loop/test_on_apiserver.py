"""Pools and the operator as a process on a real API server, without controllers: pods are put there by hand."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sophia_operator.core.pool import names
from tests.component.loop.conftest import Server, Site
from tests.component.loop.conftest import api as api  # noqa: PLC0414 - fixtures, handed on by their names
from tests.component.loop.conftest import apiserver as apiserver  # noqa: PLC0414
from tests.component.loop.conftest import namespace as namespace  # noqa: PLC0414
from tests.component.loop.test_operator_process import Start, wait_until
from tests.component.loop.test_operator_process import start as start  # noqa: PLC0414
from tests.support.fake_pools_harness import CREDENTIALS, connection_pool, secret

pytestmark = pytest.mark.apiserver

_API = "sophia.ai/v1alpha1"


class PoolSite(Site):
    """The test's namespace, with a pool in it."""

    def pool(self) -> dict[str, Any]:
        return self.items(_API, "connectionpools")["orders"]

    def condition(self, kind: str) -> dict[str, Any]:
        conditions = self.pool().get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def run_pod(self, name: str) -> None:
        """What the controllers and the kubelet would do, at an address where nobody listens."""
        template = self.items("apps/v1", "deployments")["orders-pool"]["spec"]["template"]
        spec = template["spec"] | {"automountServiceAccountToken": False}
        self.create("v1", "pods", {"metadata": template["metadata"] | {"name": name}, "spec": spec})
        ready = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
        ready["podIPs"] = [{"ip": "127.0.0.1"}]
        self.api.patch(self.path("v1", "pods", name) + "/status", {"status": ready})


async def test_a_pool_from_its_secret_to_its_deletion(api: Server, namespace: str, start: Start) -> None:
    site = PoolSite(api, namespace)
    operator = await start("--pgbouncer-image=pgbouncer:of-the-test")
    site.create(_API, "connectionpools", connection_pool(database={"host": "no-such-host.invalid"}))
    await wait_until(lambda: site.condition("Stalled").get("reason") == "SecretNotFound", "the Secret is missed")
    site.create("v1", "secrets", secret())
    await wait_until(lambda: "orders-pool" in site.items("apps/v1", "deployments"), "a Deployment")
    (container,) = site.items("apps/v1", "deployments")["orders-pool"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "pgbouncer:of-the-test"
    assert "orders-pool" in site.items("v1", "services")
    assert "orders-pool" in site.items("policy/v1", "poddisruptionbudgets")
    assert site.items("v1", "secrets")["orders-pool-binding"]["type"] == "servicebinding.io/postgresql"
    await wait_until(lambda: site.condition("Stalled").get("reason") == "HostUnknown", "the host is not known")

    site.run_pod("orders-pool-1")
    wanted = site.pool()["status"]["configHash"]

    def poked(config: str) -> bool:
        annotations = site.items("v1", "pods")["orders-pool-1"]["metadata"]["annotations"]
        return bool(annotations.get(names.ANNOTATION_CONFIG) == config)

    await wait_until(lambda: poked(wanted), "the pod is poked")
    member = {"name": "orders-pool-1", "ready": True}
    await wait_until(
        lambda: [m | member for m in site.pool()["status"].get("members", [])] == site.pool()["status"]["members"],
        "the instance is seen",
    )
    data = {"password": base64.b64encode(b"pw-two").decode()}
    api.patch(site.path("v1", "secrets", CREDENTIALS), {"data": data})
    await wait_until(lambda: site.pool()["status"]["configHash"] != wanted, "the configuration changes")
    await wait_until(lambda: poked(site.pool()["status"]["configHash"]), "the pod is poked again")

    assert 'sophia_pool_size_connections{namespace="' in await operator.metrics()
    api._send("DELETE", site.path(_API, "connectionpools", "orders"))
    await wait_until(lambda: "orders" not in site.items(_API, "connectionpools"), "the pool goes, finalizer and all")

    async def forgotten() -> bool:
        return 'pool="orders"' not in await operator.metrics()

    await wait_until(forgotten, "the metrics go")
    log = operator.log.read_text()
    assert "Traceback" not in log
    assert "pw-one" not in log
    assert "pw-two" not in log
    assert await operator.stop() == 0


async def test_a_settled_pool_is_not_written_to_on_a_real_server(api: Server, namespace: str, start: Start) -> None:
    """What the API server adds by itself is no drift, and no status is written twice."""
    site = PoolSite(api, namespace)
    operator = await start()
    site.create("v1", "secrets", secret())
    site.create(_API, "connectionpools", connection_pool(database={"host": "no-such-host.invalid"}))
    await wait_until(lambda: site.condition("Stalled").get("reason") == "HostUnknown", "the host is not known")
    await wait_until(lambda: "orders-pool" in site.items("apps/v1", "deployments"), "a Deployment")
    site.run_pod("orders-pool-1")
    await wait_until(lambda: site.pool()["status"].get("members"), "the instance is seen")

    def versions() -> list[str]:
        kinds = [(_API, "connectionpools"), ("apps/v1", "deployments"), ("v1", "services"), ("v1", "secrets")]
        kinds += [("v1", "pods"), ("policy/v1", "poddisruptionbudgets")]
        return [o["metadata"]["resourceVersion"] for kind in kinds for o in site.items(*kind).values()]

    async def passes() -> float:
        lines = (await operator.metrics()).splitlines()
        found = [line for line in lines if line.startswith("sophia_reconcile_duration_seconds_count")]
        return sum(float(line.split()[-1]) for line in found)

    # So that what was under way is over; then passes go by, and nothing is written.
    before: list[str] = []

    async def rests() -> bool:
        nonlocal before
        count = await passes()
        await wait_until(lambda: _more(passes, count + 2), "passes")
        known, before = before, versions()
        return known == before

    await wait_until(rests, "nothing is written any more")


async def _more(passes: Any, count: float) -> bool:
    return bool(await passes() >= count)
