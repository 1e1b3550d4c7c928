"""Gateways for models, in memory: Envoys that follow an HTTPRoute, and LiteLLM proxies that follow a ConfigMap.

Each replica serves by what it saw last. What is applied to the cluster reaches an Envoy after a moment, and a proxy
when its kubelet looks at the volume: soon after the pod changed, else once a minute.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sophia_operator.core.model import names
from sophia_operator.core.model.findings import ModelFailure, ModelFault, ReplicaTarget
from sophia_operator.ports import Object
from tests.support.fake_cluster import FakeCluster

#: Seconds that an endpoint takes to answer, by where its API begins; None when it does not.
Serves = Callable[[str], float | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a replica answers to a marked request."""

    revision: int | None
    model: str | None
    seconds: float = 0.0
    failure: ModelFailure | None = None


@dataclass
class Envoy:
    """One process of a Gateway's data plane."""

    address: str
    lag_seconds: float = 0.1
    #: Takes over nothing new.
    stuck: bool = False
    hangs: bool = False
    #: HTTPRoutes as it knows them, by (namespace, name), and those that are on their way to it.
    routes: dict[tuple[str, str], Object] = field(default_factory=dict)
    coming: dict[tuple[str, str], tuple[Object, datetime]] = field(default_factory=dict)
    requests: int = 0

    def sync(self, there: Mapping[tuple[str, str], Object], now: datetime) -> None:
        """See what changed, and take over what is due."""
        if self.stuck:
            return
        self.routes = {key: route for key, route in self.routes.items() if key in there}
        for key, route in there.items():
            newest = self.coming[key][0] if key in self.coming else self.routes.get(key)
            if newest is None or newest["spec"] != route["spec"]:
                self.coming[key] = (route, now + timedelta(seconds=self.lag_seconds))
        for key in [key for key, (_, due) in self.coming.items() if due <= now]:
            self.routes[key] = self.coming.pop(key)[0]

    def answer(self, target: ReplicaTarget, serves: Serves) -> Answer:
        """Route one request as the Gateway API says."""
        host = target.host or target.base_url.split("//")[1].rpartition(":")[0]
        headers = {key.lower(): value for key, value in target.headers.items()}
        found = [
            (len(match.get("headers") or ()), len(match["path"]["value"]), key, rule)
            for key, route in self.routes.items()
            if host in (route["spec"].get("hostnames") or (host,))
            for rule in route["spec"]["rules"]
            for match in rule["matches"]
            if _matches(match, f"{target.path}/chat/completions", headers)
        ]
        if not found:
            return Answer(None, None, failure=ModelFailure(ModelFault.REQUEST_REFUSED, "404 Not Found"))
        _, _, (namespace, _), rule = max(found, key=lambda f: (f[1], f[0]))
        backend = self._choose(rule.get("backendRefs") or ())
        if backend is None:
            return Answer(None, None, failure=ModelFailure(ModelFault.SERVER_ERROR, "500 Internal Server Error"))
        said = {**_response_headers(rule), **_response_headers(backend)}
        revision, model = said.get(names.REVISION_HEADER), said.get(names.MODEL_HEADER)
        seconds = serves(f"http://{backend['name']}.{namespace}.svc:{backend['port']}{target.path}")
        if seconds is None:
            # A gateway's own answer has no headers of a backend.
            return Answer(None, None, failure=ModelFailure(ModelFault.SERVER_ERROR, "503 Service Unavailable"))
        return Answer(int(revision) if revision else None, model, seconds)

    def _choose(self, backends: Any) -> Mapping[str, Any] | None:
        """By weights, in turns."""
        total = sum(b["weight"] for b in backends)
        if not total:
            return None
        self.requests += 1
        place = (self.requests * 61) % total
        for backend in backends:
            if place < backend["weight"]:
                chosen: Mapping[str, Any] = backend
                return chosen
            place -= backend["weight"]
        raise AssertionError("weights are not what they sum to")


def _matches(match: Mapping[str, Any], path: str, headers: Mapping[str, str]) -> bool:
    prefix = match["path"]["value"].rstrip("/")
    wanted = [(h["name"].lower(), h["value"]) for h in match.get("headers") or ()]
    return path.startswith(f"{prefix}/") and all(headers.get(name) == value for name, value in wanted)


def _response_headers(part: Mapping[str, Any]) -> dict[str, str]:
    found = [f["responseHeaderModifier"] for f in part.get("filters") or () if f["type"] == "ResponseHeaderModifier"]
    return {h["name"].lower(): h["value"] for f in found for h in (*f.get("set", ()), *f.get("add", ()))}


@dataclass
class Proxy:
    """A LiteLLM proxy in a pod, and the kubelet that brings it its volume."""

    pod: str
    address: str
    #: The ConfigMap that is mounted.
    config_map: str
    key: str | None = None
    poked_seconds: float = 0.5
    period_seconds: float = 60.0
    stuck: bool = False
    hangs: bool = False
    mounted: Mapping[str, str] | None = None
    _mark: str | None = None
    _due: datetime | None = None

    def sync(self, pod: Object, config_map: Object | None, now: datetime) -> None:
        """The kubelet looks when the pod changed, and else once in a period."""
        mark = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_CONFIG)
        if self._due is None:
            self._due = now
        if mark != self._mark:
            self._mark, self._due = mark, min(self._due, now + timedelta(seconds=self.poked_seconds))
        if self._due <= now and not self.stuck:
            self._due = now + timedelta(seconds=self.period_seconds)
            if config_map is not None:
                self.mounted = dict(config_map["data"])

    def answer(self, target: ReplicaTarget, serves: Serves) -> Answer:
        """Ask the models by the table that is mounted, the one with the largest share first."""
        if self.key is not None and target.api_key != self.key:
            return Answer(None, None, failure=ModelFailure(ModelFault.CREDENTIALS_REFUSED, "401 Unauthorized"))
        if self.mounted is None:
            return Answer(None, None, failure=ModelFailure(ModelFault.SERVER_ERROR, "500: there is no table"))
        table = json.loads(self.mounted["route.json"])
        first = max(table["shares"], key=lambda name: table["shares"][name], default=None)
        for name in [*([first] if first else []), *(f for f in table["fallbacks"] if f != first)]:
            seconds = serves(table["models"][name]["params"]["api_base"])
            if seconds is not None:
                return Answer(table["revision"], name, seconds)
        return Answer(table["revision"], None, failure=ModelFailure(ModelFault.SERVER_ERROR, "500: no model answers"))


@dataclass
class FakeGateways:
    """Every replica of every gateway."""

    cluster: FakeCluster
    clock: Callable[[], datetime]
    #: Names that resolve to the Envoys.
    data_planes: set[str] = field(default_factory=lambda: {"envoy.infra.svc"})
    envoys: list[Envoy] = field(default_factory=lambda: [Envoy("10.1.0.1"), Envoy("10.1.0.2")])
    proxies: list[Proxy] = field(default_factory=list)
    #: The Gateway's own address leads to the first Envoy.
    gateway_address: str = "10.0.0.9"

    def add_proxy(self, name: str, route: str, *, key: str | None = None, **labels: str) -> Proxy:
        """A LiteLLM pod with these labels that mounts the ConfigMap of that route."""
        address = f"10.4.0.{len(self.proxies) + 1}"
        metadata = {"name": name, "namespace": "shop", "labels": labels}
        spec = {"containers": [{"name": "litellm", "image": "litellm:test"}]}
        status = {"phase": "Running", "podIP": address}
        self.cluster.add({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
        proxy = Proxy(name, address, names.litellm_config_map(route), key)
        self.proxies.append(proxy)
        return proxy

    def tick(self) -> None:
        """Each replica sees what was applied."""
        now = self.clock()
        routes = {(r["metadata"]["namespace"], r["metadata"]["name"]): r for r in self.cluster.all("HTTPRoute")}
        for envoy in self.envoys:
            envoy.sync(routes, now)
        for proxy in self.proxies:
            pod = self.cluster.find("Pod", proxy.pod)
            if pod is not None:
                proxy.sync(pod, self.cluster.find("ConfigMap", proxy.config_map), now)

    def resolve(self, host: str) -> tuple[str, ...]:
        """Addresses behind a name."""
        return tuple(e.address for e in self.envoys) if host in self.data_planes else ()

    def answer(self, target: ReplicaTarget, address: str, serves: Serves) -> Answer | None:
        """What a replica answers; None while it hangs."""
        found: Envoy | Proxy | None = next((e for e in self.envoys if e.address == address), None)
        if address == self.gateway_address and self.envoys:
            found = self.envoys[0]
        found = found or next((p for p in self.proxies if self._is_at(p, address)), None)
        if found is None:
            return Answer(None, None, failure=ModelFailure(ModelFault.UNREACHABLE, "connection refused"))
        return None if found.hangs else found.answer(target, serves)

    def _is_at(self, proxy: Proxy, address: str) -> bool:
        return proxy.address == address and self.cluster.find("Pod", proxy.pod) is not None
