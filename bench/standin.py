"""Stands in for what reacts to the operator's objects where only an API server runs.

Deployments get pods that are ready at once, Services get EndpointSlices, HTTPRoutes are accepted: the same objects,
labels and status fields as the built-in controllers, a kubelet and a gateway would write, but no process runs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from bench.client import Client, Json
from hack.rig.api import ApiError
from sophia_operator.core.names import LABEL_RELEASE, LABEL_SERVICE

CONTROLLER: Final = "bench.example.com/gateway-controller"
_READY: Final = [
    {"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
]
#: Called with each event of the kinds that are watched, before anything is done about it.
Tap = Callable[[Json], None]
_Key = tuple[str, str]


class StandIn:
    """All the controllers. `tap` hears of every event of Deployments, Services, HTTPRoutes and Releases."""

    def __init__(self, client: Client, tap: Tap = lambda _: None, *, at_once: int = 48) -> None:
        self._client = client
        self._tap = tap
        self._slots = asyncio.Semaphore(at_once)
        self._locks: defaultdict[_Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pods: dict[_Key, int] = {}
        self._services: dict[_Key, Json] = {}
        self._slices: dict[_Key, list[Json]] = {}
        self._failure: BaseException | None = None
        #: Weights by (namespace, HTTPRoute) as the route says now: {backend Service: weight}.
        self.weights: dict[_Key, dict[str, int]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Play the controllers while the block runs. Raises what broke them."""
        tasks = [
            asyncio.create_task(self._follow("apps/v1", "Deployment", self._deployment)),
            asyncio.create_task(self._follow("v1", "Service", self._service)),
            asyncio.create_task(self._follow("gateway.networking.k8s.io/v1", "HTTPRoute", self._route)),
            asyncio.create_task(self._follow("sophia.ai/v1alpha1", "Release", None)),
        ]
        try:
            yield
            self.check()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what broke a controller, if anything did."""
        if self._failure is not None:
            raise RuntimeError("a stand-in controller failed") from self._failure

    async def _follow(self, api_version: str, kind: str, react: Callable[[Json], Awaitable[None]] | None) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            items, version = await self._client.list(api_version, kind, LABEL_SERVICE)
            for obj in items:
                self._start(running, react, obj)
            async for event in self._client.watch(api_version, kind, LABEL_SERVICE, version):
                self._tap(event)
                if event["type"] != "DELETED":
                    self._start(running, react, event["object"])
        except Exception as error:
            self._failure = self._failure or error
            raise
        finally:
            for task in running:
                task.cancel()

    def _start(
        self, running: set[asyncio.Task[None]], react: Callable[[Json], Awaitable[None]] | None, obj: Json
    ) -> None:
        if react is None:
            return
        task = asyncio.create_task(self._react(react, obj))
        running.add(task)
        task.add_done_callback(running.discard)

    async def _react(self, react: Callable[[Json], Awaitable[None]], obj: Json) -> None:
        key = (obj["metadata"]["namespace"], obj["metadata"]["labels"][LABEL_SERVICE])
        try:
            # Tasks take the lock in the order in which their events came.
            async with self._locks[key], self._slots:
                await react(obj)
        except ApiError as error:
            # Gone in the meantime, or changed: another event tells.
            if error.code not in (404, 409):
                self._failure = self._failure or error
        except Exception as error:
            self._failure = self._failure or error
            raise

    async def _deployment(self, deployment: Json) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        key, wanted = (meta["namespace"], meta["name"]), int(spec.get("replicas", 1))
        have = self._pods.get(key, int((deployment.get("status") or {}).get("replicas", 0)))
        for number in range(have, wanted):
            with suppress(ApiError):
                await self._start_pod(_pod(deployment, number))
        for number in range(wanted, have):
            await self._client.delete(_pod(deployment, number))
        self._pods[key] = wanted
        status = {
            "observedGeneration": meta["generation"],
            **dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted),
        }
        before = deployment.get("status") or {}
        if any(before.get(name, 0) != value for name, value in status.items()):
            await self._client.merge(deployment, {"status": status}, "status")
        for service in [s for k, s in self._services.items() if k[0] == key[0] and _selected(s) == key[1]]:
            await self._publish(service)

    async def _start_pod(self, pod: Json) -> None:
        await self._client.create(pod)
        container = pod["spec"]["containers"][0]
        running = {
            "name": container["name"],
            "image": container["image"],
            "imageID": container["image"],
            "ready": True,
            "restartCount": 0,
            "state": {"running": {}},
        }
        status = {"phase": "Running", "podIP": "10.0.0.1", "conditions": _READY, "containerStatuses": [running]}
        await self._client.merge(pod, {"status": status}, "status")

    async def _service(self, service: Json) -> None:
        meta = service["metadata"]
        self._services[meta["namespace"], meta["name"]] = service
        await self._publish(service)

    async def _publish(self, service: Json) -> None:
        """Bring the EndpointSlice of a Service to the pods that it selects."""
        meta, release = service["metadata"], _selected(service)
        key = (meta["namespace"], meta["name"])
        if release is None:
            return
        endpoints = [
            {
                "addresses": [f"10.0.0.{number + 1}"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "namespace": key[0], "name": pod_name(release, number)},
            }
            for number in range(self._pods.get((key[0], release), 0))
        ]
        if self._slices.get(key) == endpoints:
            return
        slice_ = _endpoint_slice(service)
        if key not in self._slices:
            try:
                await self._client.create({**slice_, "endpoints": endpoints})
            except ApiError as error:
                if error.code != 409:
                    raise
                await self._client.merge(slice_, {"endpoints": endpoints})
        else:
            await self._client.merge(slice_, {"endpoints": endpoints})
        self._slices[key] = endpoints

    async def _route(self, route: Json) -> None:
        meta = route["metadata"]
        self.weights[meta["namespace"], meta["name"]] = _weights(route)
        parents = [
            {
                "parentRef": parent,
                "controllerName": CONTROLLER,
                "conditions": [
                    {
                        "type": kind,
                        "status": "True",
                        "reason": kind,
                        "message": "",
                        "observedGeneration": meta["generation"],
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                    for kind in ("Accepted", "ResolvedRefs")
                ],
            }
            for parent in route["spec"].get("parentRefs", ())
        ]
        if (route.get("status") or {}).get("parents") != parents:
            await self._client.merge(route, {"status": {"parents": parents}}, "status")


def pod_name(release: str, number: int) -> str:
    """Name of one of a release's pods."""
    return f"{release}-5d8c7b9f4c-{number:05d}"


def gateway(reference: Mapping[str, str], address: str = "127.0.0.1", port: int = 80) -> list[Json]:
    """A GatewayClass, and a Gateway of that name and namespace; both with the status that a controller gives them."""
    group = "gateway.networking.k8s.io/v1"
    return [
        {
            "apiVersion": group,
            "kind": "GatewayClass",
            "metadata": {"name": "bench"},
            "spec": {"controllerName": CONTROLLER},
        },
        {
            "apiVersion": group,
            "kind": "Gateway",
            "metadata": dict(reference),
            "spec": {
                "gatewayClassName": "bench",
                "listeners": [
                    {
                        "name": "http",
                        "port": port,
                        "protocol": "HTTP",
                        "allowedRoutes": {"namespaces": {"from": "All"}},
                    }
                ],
            },
            "status": {"addresses": [{"type": "IPAddress", "value": address}]},
        },
    ]


def _selected(service: Json) -> str | None:
    release = (service["spec"].get("selector") or {}).get(LABEL_RELEASE)
    return None if release is None else str(release)


def _weights(route: Json) -> dict[str, int]:
    """Weights of the rule that users' requests match: the one without the operator's header."""
    for rule in route["spec"].get("rules", ()):
        if not any(match.get("headers") for match in rule.get("matches", ())):
            return {ref["name"]: int(ref.get("weight", 1)) for ref in rule.get("backendRefs", ())}
    return {}


def _pod(deployment: Json, number: int) -> Json:
    meta, template = deployment["metadata"], deployment["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{meta['name']}-5d8c7b9f4c", "uid": meta["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(meta["name"], number),
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"].get("annotations") or {},
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {**template["spec"], "nodeName": "bench"},
    }


def _endpoint_slice(service: Json) -> Json:
    meta = service["metadata"]
    owner = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"], "controller": True}
    labels = {**(meta.get("labels") or {}), "kubernetes.io/service-name": meta["name"]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{meta['name']}-x7k2p",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
