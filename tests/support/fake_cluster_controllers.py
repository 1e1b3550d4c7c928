"""The controllers around the operator, in memory: Deployments become pods, pods endpoints, routes traffic.

Nothing happens by itself: each `tick` lets every controller do one round of work, so tests choose what trails behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sophia_operator.api.release import Color
from sophia_operator.core.names import LABEL_RELEASE, PROBE_HEADER, color_service
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.ports import Object
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_cluster_fleets import Fleets

CONTROLLER: Final = "example.com/gateway-controller"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How pods of an image behave."""

    #: Ticks until a pod is ready; None: never.
    ready_after: int | None = 1
    #: Reason why its container waits, as in `CrashLoopBackOff`.
    waits: str | None = None


@dataclass(slots=True)
class Controllers:
    """Everything that reacts to objects, but the operator."""

    cluster: FakeCluster
    #: By image; images that are not named are well.
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    #: Pods that the quota of the namespace allows.
    quota: int = 10_000
    #: Ticks that the gateway trails behind a route.
    gateway_lag: int = 0
    #: The gateway's controller does nothing.
    gateway_down: bool = False
    #: Weights that the gateway gives, by service. It may trail behind the route.
    traffic: dict[str, dict[Color, int]] = field(default_factory=dict)
    fleets: Fleets = field(init=False)
    _ages: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, tuple[int, int]] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self.fleets = Fleets(self.cluster)

    def tick(self, rounds: int = 1) -> None:
        """Each controller does one round of work, `rounds` times."""
        for _ in range(rounds):
            self.cluster.collect_garbage()
            for deployment in list(self.cluster.all("Deployment")):
                self._run_deployment(deployment)
            self._age_pods()
            for deployment in list(self.cluster.all("Deployment")):
                self._report(deployment)
            for service in list(self.cluster.all("Service")):
                self._publish_endpoints(service)
            if not self.gateway_down:
                for route in list(self.cluster.all("HTTPRoute")):
                    self._program(route)
            self._forget_routes()

    def add_gateway(self, name: str = "gw", namespace: str = "shop") -> None:
        """A Gateway and its class."""
        if self.cluster.find("GatewayClass", "example", "") is None:
            self.cluster.add(
                {
                    "apiVersion": "gateway.networking.k8s.io/v1",
                    "kind": "GatewayClass",
                    "metadata": {"name": "example"},
                    "spec": {"controllerName": CONTROLLER},
                }
            )
        self.cluster.add(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "gatewayClassName": "example",
                    "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
                },
                "status": {"addresses": [{"value": "10.0.0.9"}]},
            }
        )

    def pods(self, release: str) -> list[Object]:
        """Pods of a release."""
        return [p for p in self.cluster.all("Pod") if p["metadata"]["labels"].get(LABEL_RELEASE) == release]

    def ready_pods(self, release: str) -> int:
        """How many pods of a release are ready."""
        return sum(1 for pod in self.pods(release) if _is_ready(pod))

    def shares(self, service: str, namespace: str = "shop") -> dict[str, int]:
        """Percent of the users that reach each release now, through the gateway or the plain Service."""
        out: dict[str, int] = {}
        plain = self.cluster.find("Service", service, namespace)
        if plain is not None and service not in self.traffic:
            return {plain["spec"]["selector"][LABEL_RELEASE]: 100}
        for color, weight in self.traffic.get(service, {}).items():
            backend = self.cluster.find("Service", color_service(service, color), namespace)
            if weight and backend is not None:
                release = backend["spec"]["selector"].get(LABEL_RELEASE, "none")
                out[release] = out.get(release, 0) + weight
        return out

    def _run_deployment(self, deployment: Object) -> None:
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        if LABEL_POOL in deployment["metadata"].get("labels", {}):
            self.fleets.run(deployment)
            return
        pods = [p for p in self.pods(name) if p["metadata"]["namespace"] == namespace]
        wanted = deployment["spec"].get("replicas", 1)
        for pod in sorted(pods, key=_is_ready)[: max(0, len(pods) - wanted)]:
            self.cluster.remove("Pod", pod["metadata"]["name"], namespace)
        for _ in range(wanted - len(pods)):
            if sum(1 for _ in self.cluster.all("Pod")) >= self.quota:
                return
            self._count += 1
            template = deployment["spec"]["template"]
            pod_name = f"{name}-5d8c7-{self._count:05d}"
            self._ages[pod_name] = 0
            self.cluster.add(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": pod_name,
                        "namespace": namespace,
                        "labels": dict(template["metadata"]["labels"]),
                        "ownerReferences": [{"kind": "ReplicaSet", "name": name, "uid": deployment["metadata"]["uid"]}],
                    },
                    "spec": template["spec"],
                    "status": {"phase": "Pending"},
                }
            )

    def _age_pods(self) -> None:
        for pod in list(self.cluster.all("Pod")):
            name, image = pod["metadata"]["name"], pod["spec"]["containers"][0]["image"]
            behaviour = self.behaviours.get(image, Behaviour())
            self._ages[name] = age = self._ages.get(name, 0) + 1
            ready = behaviour.ready_after is not None and age > behaviour.ready_after
            state = {"waiting": {"reason": behaviour.waits}} if behaviour.waits else {"running": {}}
            status = {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [{"name": "app", "ready": ready, "restartCount": 0, "state": state}],
            }
            if LABEL_POOL in pod["metadata"]["labels"]:
                status["podIP"] = self.fleets.address(pod)
            elif "podIP" in pod["status"]:
                status["podIP"] = pod["status"]["podIP"]
            self._set_status(pod, status)

    def _report(self, deployment: Object) -> None:
        meta = deployment["metadata"]
        pods = [p for p in self.pods(meta["name"]) if p["metadata"]["namespace"] == meta["namespace"]]
        updated = len(pods)
        if LABEL_POOL in meta.get("labels", {}):
            pods, updated = self.fleets.pods(deployment), len(self.fleets.updated(deployment))
        status: dict[str, Any] = {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "updatedReplicas": updated,
            "readyReplicas": sum(1 for p in pods if _is_ready(p)),
        }
        if len(pods) < deployment["spec"].get("replicas", 1):
            status["conditions"] = [
                {"type": "ReplicaFailure", "status": "True", "message": "pods are forbidden: exceeded quota: compute"}
            ]
        self._set_status(deployment, status)

    def _publish_endpoints(self, service: Object) -> None:
        meta, selector = service["metadata"], service["spec"].get("selector") or {}
        if not selector:
            return
        pods = [
            pod
            for pod in self.cluster.all("Pod")
            if pod["metadata"]["namespace"] == meta["namespace"]
            and all(pod["metadata"]["labels"].get(k) == v for k, v in selector.items())
        ]
        endpoints = [
            {
                "addresses": [pod["status"].get("podIP", "10.0.0.1")],
                "conditions": {"ready": _is_ready(pod), "terminating": False},
                "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
            }
            for pod in pods
        ]
        name = f"{meta['name']}-x7k2p"
        if self.cluster.find("EndpointSlice", name, meta["namespace"]) is None:
            owner = {
                "apiVersion": "v1",
                "kind": "Service",
                "name": meta["name"],
                "uid": meta["uid"],
                "controller": True,
            }
            labels = dict(meta.get("labels") or {}) | {"kubernetes.io/service-name": meta["name"]}
            self.cluster.add(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "name": name,
                        "namespace": meta["namespace"],
                        "labels": labels,
                        "ownerReferences": [owner],
                    },
                    "addressType": "IPv4",
                    "endpoints": endpoints,
                }
            )
            return
        self._change("EndpointSlice", name, meta["namespace"], "endpoints", endpoints)

    def _program(self, route: Object) -> None:
        """The gateway takes over a route, so many ticks after it changed."""
        meta, name = route["metadata"], route["metadata"]["name"]
        generation, left = self._waiting.get(name, (0, 0))
        if generation != meta["generation"]:
            generation, left = meta["generation"], self.gateway_lag
        self._waiting[name] = (generation, max(0, left - 1))
        if left > 0:
            return
        self.traffic[name] = _weights(route, name)
        parents = [
            {
                "parentRef": parent,
                "controllerName": CONTROLLER,
                "conditions": [
                    {"type": kind, "status": "True", "reason": kind, "observedGeneration": generation}
                    for kind in ("Accepted", "ResolvedRefs")
                ],
            }
            for parent in route["spec"].get("parentRefs", ())
        ]
        self._set_status(route, {"parents": parents})

    def _forget_routes(self) -> None:
        routes = {route["metadata"]["name"] for route in self.cluster.all("HTTPRoute")}
        for gone in self.traffic.keys() - routes:
            del self.traffic[gone]

    def _set_status(self, obj: Object, status: Mapping[str, Any]) -> None:
        self._change(obj["kind"], obj["metadata"]["name"], obj["metadata"]["namespace"], "status", status)

    def _change(self, kind: str, name: str, namespace: str, field_name: str, value: Any) -> None:
        found = self.cluster.find(kind, name, namespace)
        if found is None or found.get(field_name) == value:
            return
        self.cluster.edit(
            kind, name, lambda o: o.__setitem__(field_name, value), namespace=namespace, manager="controllers"
        )


def _is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def _weights(route: Object, service: str) -> dict[Color, int]:
    """Weights of the first rule that users' requests match."""
    names = {color_service(service, color): color for color in Color}
    for rule in route["spec"].get("rules", ()):
        marked = all(
            any(h["name"].lower() == PROBE_HEADER for h in match.get("headers", ())) for match in rule["matches"]
        )
        backends = [b for b in rule.get("backendRefs", ()) if b["name"] in names]
        if backends and not marked:
            total = sum(b["weight"] for b in backends) or 1
            return {names[b["name"]]: 100 * b["weight"] // total for b in backends}
    return dict.fromkeys(Color, 0)
