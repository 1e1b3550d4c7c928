"""The operator as a process on a real API server, without controllers: pods and endpoints are put there by hand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from hack.cluster.daemons import free_ports
from tests.component.loop.conftest import ROOT, Server, Site
from tests.support.fake_cluster_harness import managed_service

pytestmark = pytest.mark.apiserver

_LIMIT_SECONDS = 30.0


@dataclass
class Process:
    """A running operator."""

    process: asyncio.subprocess.Process
    metrics_port: int
    health_port: int
    log: Path

    async def metrics(self) -> str:
        """What it tells Prometheus."""
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{self.metrics_port}/metrics")).text

    async def health(self, path: str) -> int:
        """Status code of a probe; 0 while nothing listens."""
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://127.0.0.1:{self.health_port}{path}")).status_code
        except httpx.TransportError:
            return 0

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(apiserver: Path, api: Server, namespace: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts operators for the test's namespace, and ends them."""
    started: list[Process] = []

    async def begin(*arguments: str, identity: str = "one") -> Process:
        metrics_port, health_port = free_ports(2)
        log = tmp_path / f"{identity}-{len(started)}.log"
        command = [sys.executable, "-m", "sophia_operator", "run", f"--kubeconfig={apiserver}"]
        command += [f"--namespace={namespace}", f"--lease-namespace={namespace}", f"--identity={identity}"]
        command += [f"--metrics-port={metrics_port}", f"--health-port={health_port}", *arguments]
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                *command, stderr=sink, stdout=sink, env=os.environ | {"PYTHONPATH": str(ROOT / "operator")}
            )
        started.append(Process(process, metrics_port, health_port, log))
        return started[-1]

    yield begin
    for operator in started:
        await operator.stop(signal.SIGKILL)


async def wait_until(check: Callable[[], Any], what: str) -> Any:
    """Wait until the check gives something true, and return it."""
    end = asyncio.get_running_loop().time() + _LIMIT_SECONDS
    while True:
        found = check()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < end, f"not within {_LIMIT_SECONDS} s: {what}"
        await asyncio.sleep(0.1)


class ServiceSite(Site):
    """The test's namespace, with a service in it."""

    def service(self) -> dict[str, Any]:
        return self.api.get(self.path("sophia.ai/v1alpha1", "managedservices", "app"))

    def create_service(self) -> None:
        obj = managed_service(traffic={"none": {}}, rollout={"gates": [], "drainSeconds": 0})
        self.create("sophia.ai/v1alpha1", "managedservices", obj)

    def stable(self) -> str | None:
        stable = self.service().get("status", {}).get("stable")
        return stable["name"] if stable else None

    def run_pods(self, release: str) -> None:
        """What the Deployment's controller, the kubelet and the endpoints' controller would do."""
        deployment = self.items("apps/v1", "deployments")[release]
        template = deployment["spec"]["template"]
        pods = [f"{release}-5d8c7-{i}" for i in range(deployment["spec"]["replicas"])]
        for name in pods:
            metadata = {"name": name, "labels": template["metadata"]["labels"]}
            spec = template["spec"] | {"automountServiceAccountToken": False}
            self.api.post(self.path("v1", "pods"), {"metadata": metadata, "spec": spec})
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            self.api.patch(self.path("v1", "pods", name) + "/status", {"status": ready})
        self.api.patch(
            self.path("apps/v1", "deployments", release) + "/status",
            {"status": {"observedGeneration": 1, "replicas": len(pods), "updatedReplicas": len(pods)}},
        )
        for service in self.items("v1", "services").values():
            if service["spec"]["selector"]["sophia.ai/release"] == release:
                self.publish(service, pods)

    def publish(self, service: dict[str, Any], pods: list[str]) -> None:
        name = service["metadata"]["name"]
        labels = service["metadata"]["labels"] | {"kubernetes.io/service-name": name}
        endpoints = [
            {"addresses": ["10.9.9.9"], "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": pod}}
            for pod in pods
        ]
        slices = self.path("discovery.k8s.io/v1", "endpointslices")
        body = {"addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 80}]}
        self.api.post(slices, {"metadata": {"name": f"{name}-x", "labels": labels}, **body})

    def releases(self) -> dict[str, str]:
        found = self.items("sophia.ai/v1alpha1", "releases")
        return {name: r.get("status", {}).get("state", "") for name, r in found.items()}


@pytest.fixture
def site(api: Server, namespace: str) -> ServiceSite:
    return ServiceSite(api, namespace)


async def serve(site: ServiceSite) -> None:
    """A service with its first release in place."""
    site.create_service()
    await wait_until(lambda: site.items("apps/v1", "deployments"), "a Deployment")
    site.run_pods("app-1")
    await wait_until(lambda: site.stable() == "app-1", "app-1 serves")


async def test_a_service_comes_up_without_the_gateway_api(site: ServiceSite, start: Start) -> None:
    operator = await start()
    await serve(site)
    await wait_until(lambda: "app" in site.items("v1", "services"), "the plain Service")
    await wait_until(lambda: _is_ready(operator), "it is ready")
    assert await operator.health("/healthz") == 200


async def test_the_framework_writes_nothing_but_its_finalizer(site: ServiceSite, start: Start) -> None:
    await start()
    await serve(site)
    meta = site.service()["metadata"]
    assert meta["finalizers"] == ["sophia.ai/finalizer"]
    assert "annotations" not in meta
    owned = {e["manager"]: e["fieldsV1"] for e in meta["managedFields"]}
    theirs = set(owned) - {"sophia-operator-status", "python-httpx"}
    assert len(theirs) == 1
    fields = owned[theirs.pop()]
    assert set(fields) == {"f:metadata"}
    assert set(fields["f:metadata"]) == {"f:finalizers"}
    for kind in (("sophia.ai/v1alpha1", "releases"), ("apps/v1", "deployments"), ("v1", "services")):
        for child in site.items(*kind).values():
            managers = {e["manager"] for e in child["metadata"]["managedFields"]}
            assert managers <= {"sophia-operator", "sophia-operator-status", "python-httpx"}


async def test_a_settled_service_causes_no_requests(site: ServiceSite, start: Start) -> None:
    operator = await start()
    await serve(site)

    async def requests() -> str:
        lines = (await operator.metrics()).splitlines()
        return "\n".join(li for li in lines if li.startswith("sophia_api_requests_total") and "Lease" not in li)

    async def quiet() -> bool:
        before = await requests()
        await asyncio.sleep(1.5)
        return before == await requests()

    await wait_until(quiet, "no request for a while")


async def test_deleting_a_service_ends_its_loop_and_removes_its_series(site: ServiceSite, start: Start) -> None:
    operator = await start()
    await serve(site)
    assert f'namespace="{site.namespace}"' in await operator.metrics()
    site.api._send("DELETE", site.path("sophia.ai/v1alpha1", "managedservices", "app"))
    await wait_until(lambda: not site.items("sophia.ai/v1alpha1", "managedservices"), "the finalizer is taken off")
    await wait_until(lambda: _without_series(operator, site.namespace), "no series of the service is left")


async def _without_series(operator: Process, namespace: str) -> bool:
    return f'namespace="{namespace}"' not in await operator.metrics()


async def test_a_killed_operator_goes_on_where_it_was(site: ServiceSite, start: Start) -> None:
    operator = await start()
    site.create_service()
    await wait_until(lambda: site.items("apps/v1", "deployments"), "a Deployment")
    await operator.stop(signal.SIGKILL)
    site.run_pods("app-1")
    # The same identity, as a container that starts again in its pod: it need not wait for the Lease to expire.
    await start()
    await wait_until(lambda: site.stable() == "app-1", "app-1 serves")
    assert site.releases() == {"app-1": "Promoted"}


async def test_a_standby_takes_over_from_one_that_ends(site: ServiceSite, start: Start) -> None:
    first = await start(identity="first")
    await wait_until(lambda: _leads(first), "the first acts")
    second = await start(identity="second")
    await wait_until(lambda: _is_ready(second), "the second stands by")
    assert "sophia_leader 0.0" in await second.metrics()
    assert await first.stop() == 0
    await serve(site)
    assert "sophia_leader 1.0" in await second.metrics()


async def _is_ready(operator: Process) -> bool:
    return await operator.health("/readyz") == 200


async def _leads(operator: Process) -> bool:
    """Whether it holds the Lease. One that waits for it is ready, too."""
    return await _is_ready(operator) and "sophia_leader 1.0" in await operator.metrics()


async def test_it_ends_when_it_loses_its_lease(site: ServiceSite, start: Start) -> None:
    operator = await start()
    await wait_until(lambda: _leads(operator), "it acts")
    lease = site.path("coordination.k8s.io/v1", "leases", "sophia-operator")
    site.api.patch(lease, {"spec": {"holderIdentity": "usurper"}})
    async with asyncio.timeout(20):
        assert await operator.process.wait() == 1
    site.create_service()
    assert site.releases() == {}


async def test_logs_are_json_and_hold_no_secret(site: ServiceSite, start: Start) -> None:
    operator = await start("--log-level=debug")
    secret = {"metadata": {"name": "key"}, "stringData": {"password": "hunter2-and-more"}}
    site.api.post(site.path("v1", "secrets"), secret)
    await serve(site)
    service = site.service()
    service["spec"]["config"] = {"secrets": ["key"]}
    site.api.put(site.path("sophia.ai/v1alpha1", "managedservices", "app"), service)
    await wait_until(lambda: "app-2" in site.releases(), "a release with the Secret")
    copies = await wait_until(
        lambda: [s for name, s in site.items("v1", "secrets").items() if name != "key"], "a copy of the Secret"
    )
    assert copies[0]["immutable"] is True
    text = operator.log.read_text()
    assert all(json.loads(line)["message"] for line in text.splitlines())
    assert "hunter2" not in text
    assert "aHVudGVyMi" not in text
