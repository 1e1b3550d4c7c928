"""Models that are none on the cluster, and a route to them through each kind of gateway."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bench.node import AS_IS
from hack.cluster import bringup, paths
from hack.load import Load
from hack.rig import envoys, model_gateways
from hack.rig.api import Api, Json
from hack.rig.models import MODEL_HEADER, Route, by_http_route, completion, model, way
from hack.rig.namespaces import clear_namespace
from hack.rig.simulators import Simulator
from hack.rig.waiting import until

NAMESPACE: Final = "bench-models"
#: Each takes over from the one before it, the first from the last: when its turn comes again, it has long recovered.
MODELS: Final = ("model-a", "model-b", "model-c", "model-d")
CONTOUR, LITELLM, PORTKEY = "contour", "litellm", "portkey"
CASES: Final = (CONTOUR, LITELLM, PORTKEY)
#: Those ask another model by themselves when one does not answer.
BUILT_IN: Final = (LITELLM, PORTKEY)
#: After that they do, and a probe has failed: the shortest that each can have.
GATEWAY_SECONDS: Final = 1
PROBE_SECONDS: Final = 1
#: Longer than a gateway needs to give up two models.
CLIENT_SECONDS: Final = 4.0
_SERVES_SECONDS: Final = 120.0
_LEADS_SECONDS: Final = 30.0
#: Each thread of the gateway's listener learns of a new host by itself.
_IN_A_ROW: Final = 5


@dataclass(frozen=True)
class Site:
    """A route that serves its first model, and how its clients reach it."""

    route: Route
    models: Mapping[str, Simulator]
    url: str
    body: bytes
    #: The header of answers that says which model gave them; None where none does.
    named_by: str | None = MODEL_HEADER
    headers: Mapping[str, str] = field(default_factory=dict)

    def load(self, rate: float) -> Load:
        """So many clients' requests a second."""
        return Load(
            f"{self.url.rstrip('/')}/v1/chat/completions",
            self.route.host,
            rate,
            timeout=CLIENT_SECONDS,
            body=self.body,
            headers=self.headers,
            named_by=self.named_by or "x-no-model",
        )


@contextmanager
def world() -> Iterator[tuple[Api, Mapping[str, Simulator]]]:
    """Bring the cluster up if needed, with two Envoys, and models on it; it stays up, since that takes long."""
    if not os.environ.get(AS_IS):
        bringup.up()
    with Api(paths.kubeconfig()) as api:
        clear_namespace(api, NAMESPACE)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
        try:
            envoys.ensure_second(api)
            models = {name: Simulator(api, NAMESPACE, name) for name in MODELS}
            for simulator in models.values():
                simulator.up()
            for simulator in models.values():
                simulator.wait_ready()
            yield api, models
        finally:
            api.delete("Namespace", None, NAMESPACE)


def following(name: str) -> list[str]:
    """Who takes over from a model, and from that one in turn."""
    at = MODELS.index(name)
    return [*MODELS[at + 1 :], *MODELS[:at]]


def wish(for_seconds: int) -> dict[str, Any]:
    """What the routes have in common, as of `hack.rig.models.route`: models are equally good, asked each second,
    and nothing goes back by itself."""
    return {
        "models": [model(name, "0.5", fallbackOrder=following(name)) for name in MODELS],
        "probe": {"intervalSeconds": 1, "timeoutSeconds": PROBE_SECONDS},
        "switch": {"forSeconds": for_seconds, "windowSeconds": 5},
        "failback": {"manual": True, "healthySeconds": 1, "holdSeconds": 1},
    }


def gateway_of(case: str) -> Json:
    """`spec.gateway` of a case."""
    if case == CONTOUR:
        return by_http_route(case, NAMESPACE)
    pods = {"selector": {"app": case}, "timeoutSeconds": GATEWAY_SECONDS}
    if case == LITELLM:
        return {"liteLLM": {**pods, "credentialsSecretRef": {"name": model_gateways.MASTER_SECRET}}}
    return {"portkey": {**pods, "httpRoute": way(case, NAMESPACE)}}


@contextmanager
def site(api: Api, models: Mapping[str, Simulator], case: str, for_seconds: int) -> Iterator[Site]:
    """A route by that gateway, with two replicas of it; both are gone afterwards, so that they do not disturb what
    follows."""
    route = Route(api, NAMESPACE, case)
    pods: Sequence[str] = ()
    try:
        if case == LITELLM:
            api.apply(model_gateways.master_secret(NAMESPACE))
        if case == PORTKEY:
            gateway = model_gateways.portkey(api, NAMESPACE)
            pods = [gateway.app]
            gateway.wait_ready()
        route.apply(gateway=gateway_of(case), **wish(for_seconds))
        if case == LITELLM:
            name = f"{case}-litellm"
            api.until("what proxies read", lambda: api.get("ConfigMap", NAMESPACE, name), seconds=60)
            gateway = model_gateways.litellm(api, NAMESPACE, case, {})
            pods = [gateway.app]
            gateway.wait_ready()
        route.wait_serves(MODELS[0], seconds=_SERVES_SECONDS)
        found = _reached(route, models, case)
        _wait_answers(found)
        yield found
    finally:
        api.delete("ModelRoute", NAMESPACE, route.name)
        for app in pods:
            api.delete("Deployment", NAMESPACE, app)


def _reached(route: Route, models: Mapping[str, Simulator], case: str) -> Site:
    if case != LITELLM:
        # Portkey tells clients only which place in its list answered.
        named_by = MODEL_HEADER if case == CONTOUR else None
        return Site(route, models, bringup.gateway_url(), completion(), named_by)
    service = route.api.get("Service", NAMESPACE, f"{route.name}-models")
    assert service is not None, "the Service of the proxies is gone"
    url = f"http://{service['spec']['clusterIP']}:{model_gateways.LITELLM_PORT}"
    headers = {"Authorization": f"Bearer {model_gateways.MASTER_KEY}"}
    return Site(route, models, url, completion(route.name), headers=headers)


def _wait_answers(found: Site) -> None:
    """Wait until answers come, several times in a row. Raises TimeoutError, which says what came instead."""
    with found.load(10.0) as probe:

        def good() -> bool:
            newest = probe.records[-_IN_A_ROW:]
            return len(newest) == _IN_A_ROW and all(record.status == 200 for record in newest)

        try:
            until(f"{found.url} to lead to {found.route.name}", good, seconds=_LEADS_SECONDS, every=0.1)
        except TimeoutError as error:
            came = sorted({record.error or f"status {record.status}" for record in probe.records})
            raise TimeoutError(f"{error}; instead there were: {came}") from None
