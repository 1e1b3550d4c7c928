"""More Envoys than one, so that a switch has several replicas to be proved at; and one that can be cut off."""

from __future__ import annotations

import copy
import fcntl
from collections.abc import Iterable
from typing import Any, Final

from hack.cluster import paths
from hack.rig import restricted
from hack.rig.api import Api, Json

NAMESPACE: Final = "projectcontour"
#: Resolves to each Envoy that carries the Gateway's traffic.
PODS_HOST: Final = f"envoy-pods.{NAMESPACE}.svc"
#: Where each of them listens for the Gateway's port 80.
PORT: Final = 8080
SECOND: Final = "envoy-second"
_FIRST: Final = "envoy"
_PODS: Final = "envoy-pods"
_IMAGE: Final = "localhost/sophia-operator:dev"
_XDS_PORT: Final = 8001
#: Leads to Contour as long as it runs: connections that are open end with it, which no change of a Service does.
_FORWARDER: Final = f"""
import asyncio
async def pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
async def serve(reader, writer):
    try:
        there = await asyncio.open_connection("contour.{NAMESPACE}.svc", {_XDS_PORT})
    except OSError:
        writer.close()
        return
    await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", {_XDS_PORT})
    await server.serve_forever()
asyncio.run(main())
"""


def ensure_second(api: Api, *, seconds: float = 120) -> None:
    """Have a second Envoy for the same Gateway, which Service `envoy` does not lead to. Several processes may ask for
    it at once, and again and again. Raises TimeoutError when it does not get ready."""
    first = api.get("Deployment", NAMESPACE, _FIRST)
    assert first is not None, "there is no Envoy"
    paths.state().mkdir(parents=True, exist_ok=True)
    with (paths.state() / SECOND).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        api.apply(second(first))
    restricted.wait_pods(api, NAMESPACE, SECOND, 1, seconds=seconds)
    api.until(f"{PODS_HOST} to lead to both", lambda: len(addresses(api)) >= 2, seconds=30)


def second(first: Json) -> Json:
    """The Deployment, made from that of the first one as the cluster has it."""
    spec = copy.deepcopy(first["spec"])
    spec["replicas"] = 1
    spec["selector"] = {"matchLabels": {"app": SECOND}}
    spec["template"]["metadata"]["labels"]["app"] = SECOND
    metadata = {"name": SECOND, "namespace": NAMESPACE, "labels": {"app": SECOND}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def addresses(api: Api) -> list[str]:
    """Addresses of the Envoys that carry the Gateway's traffic and are ready."""
    slices = api.list("EndpointSlice", NAMESPACE, f"kubernetes.io/service-name={_PODS}")
    found = [e for s in slices for e in s.get("endpoints") or () if (e.get("conditions") or {}).get("ready")]
    return sorted(str(address) for endpoint in found for address in endpoint["addresses"])


def headless(name: str, namespace: str, where: Iterable[str]) -> list[Json]:
    """A Service whose host name resolves to just these addresses: objects to apply."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": PORT}]},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in sorted(where)],
    }
    return [service, slice_]


class CutEnvoy:
    """An Envoy in a namespace of its own, that can be cut off from whoever configures it."""

    name: Final = "envoy-of-test"
    _way: Final = "contour"

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def up(self, *, seconds: float = 120) -> str:
        """Start it, and wait until it has the Gateway's configuration; its address."""
        first = self.api.get("Deployment", NAMESPACE, _FIRST)
        certificate = self.api.get("Secret", NAMESPACE, "envoycert")
        assert first is not None, "there is no Envoy"
        assert certificate is not None, "Envoy has no certificate"
        metadata = {"name": "envoycert", "namespace": self.namespace}
        self.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": certificate["data"]})
        container = {"image": _IMAGE, "command": ["python3", "-c", _FORWARDER]}
        # Envoys look for their configuration at the host `contour`, which is this one in this namespace.
        self.api.apply(restricted.service(self._way, self.namespace, _XDS_PORT))
        self.api.apply(restricted.deployment(self._way, self.namespace, container))
        self.api.apply(of_test(first, self.name, self.namespace))
        (pod,) = restricted.wait_pods(self.api, self.namespace, self.name, 1, seconds=seconds)
        return str(pod["status"]["podIP"])

    def cut(self) -> None:
        """Cut it off: it goes on with what it knows."""
        self._scale(0)
        for pod in self.api.list("Pod", self.namespace, f"app={self._way}"):
            self.api.delete("Pod", self.namespace, pod["metadata"]["name"], grace_seconds=0)
        gone = f"app={self._way}"
        self.api.until("its way to be gone", lambda: not self.api.list("Pod", self.namespace, gone), seconds=30)

    def join(self) -> None:
        """Let it hear of what is new again."""
        self._scale(1)
        restricted.wait_pods(self.api, self.namespace, self._way, 1)

    def _scale(self, replicas: int) -> None:
        self.api.merge("Deployment", self.namespace, self._way, {"spec": {"replicas": replicas}}, sub="scale")


def of_test(first: Json, name: str, namespace: str) -> Json:
    """The Deployment of an Envoy that a test may end at any time, made from that of the first one."""
    pod: dict[str, Any] = copy.deepcopy(first["spec"]["template"]["spec"])
    for field in ("serviceAccountName", "serviceAccount", "priorityClassName"):
        pod.pop(field, None)
    # What lets connections end by themselves, when others of the Gateway go.
    pod["containers"] = [c for c in pod["containers"] if c["name"] == _FIRST]
    pod["containers"][0].pop("lifecycle", None)
    pod["terminationGracePeriodSeconds"] = 1
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }
