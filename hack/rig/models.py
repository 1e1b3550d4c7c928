"""ModelRoutes on the cluster, and what they are doing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from hack.demo.figures import seconds_of
from hack.rig import envoys, simulators
from hack.rig.api import Api, Json
from hack.rig.services import GATEWAY, hostname
from hack.rig.told import Told, condition_of

__all__ = [
    "ASKED",
    "MODEL_HEADER",
    "Route",
    "by_http_route",
    "completion",
    "condition_of",
    "model",
    "route",
    "rows_of",
    "seconds_to_proof",
    "shares_of",
    "way",
]

#: On answers: which model of the route gave them.
MODEL_HEADER: Final = "x-sophia-model"
#: The name under which all simulators serve.
ASKED: Final = "chat-1"
#: By how good they are alone: how fast a simulator answers is chance on a machine that does much else.
_WEIGHTS: Final = {"latency": "0", "quality": "0.9", "reliability": "0.1", "cost": "0"}
#: Asked each second; a busy machine takes its time to answer, and that is no failure.
_PROBE: Final = {"intervalSeconds": 1, "timeoutSeconds": 5}
_SWITCH: Final = {"forSeconds": 2, "windowSeconds": 10, "minRequests": 3, "proveSeconds": 20}
_FAILBACK: Final = {
    "healthySeconds": 3,
    "stages": [5, 25, 100],
    "stageSeconds": 2,
    "holdSeconds": 2,
    "maxHoldSeconds": 60,
}


def completion(asked: str = ASKED) -> bytes:
    """The body of a request as users send it, for the model of that name."""
    return json.dumps(
        {"model": asked, "max_tokens": 4, "messages": [{"role": "user", "content": "Say ready."}]}
    ).encode()


def model(name: str, quality: str, **changes: Any) -> Json:
    """A model of a route: the simulator of that name."""
    endpoint = {"serviceRef": {"name": name, "port": simulators.PORT}}
    return {"name": name, "model": ASKED, "endpoint": endpoint, "quality": quality, **changes}


def way(name: str, namespace: str, data_plane: str = envoys.PODS_HOST) -> Json:
    """A `httpRoute` of a gateway: through the cluster's Gateway, proved at each Envoy that `data_plane` resolves to."""
    return {
        "parentRefs": [GATEWAY],
        "hostnames": [hostname(name, namespace)],
        "dataPlane": {"host": data_plane, "port": envoys.PORT},
    }


def by_http_route(name: str, namespace: str, data_plane: str = envoys.PODS_HOST) -> Json:
    """A `spec.gateway` of weights."""
    return {"httpRoute": way(name, namespace, data_plane)}


def route(name: str, namespace: str, models: Sequence[Json], gateway: Json | None = None, **spec: Any) -> Json:
    """A ModelRoute of a test, that does everything in seconds. `spec` as in the API; of `probe`, `switch` and
    `failback` it replaces parts."""
    parts: dict[str, Mapping[str, Any]] = {"probe": _PROBE, "switch": _SWITCH, "failback": _FAILBACK}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "models": list(models),
            "gateway": by_http_route(name, namespace) if gateway is None else gateway,
            "weights": _WEIGHTS,
            **{part: {**usual, **spec.pop(part, {})} for part, usual in parts.items()},
            **spec,
        },
    }


class Route(Told):
    """One test route on the cluster."""

    kind = "ModelRoute"
    under_way = ("switch",)

    def __init__(self, api: Api, namespace: str, name: str = "chat") -> None:
        super().__init__(api, namespace, name)
        self.host = hostname(name, namespace)

    def apply(self, models: Sequence[Json], gateway: Json | None = None, **spec: Any) -> Json:
        """Apply the route; arguments as of `route`."""
        return self.api.apply(route(self.name, self.namespace, models, gateway, **spec))

    # -- What it says -------------------------------------------------------------------------------------------------

    def shares(self) -> dict[str, int]:
        """Percent by model, as the gateway is told."""
        return shares_of(self.object())

    def switches(self) -> list[tuple[str, str]]:
        """Kinds and aims of the switches that ended, the newest last."""
        return [(past["kind"], past["to"]) for past in self.status().get("switches") or []]

    def scoreboard(self) -> dict[str, Json]:
        """What is said of each model, by its name."""
        return rows_of(self.object())

    def wait_states(self, states: Mapping[str, str], *, seconds: float = 60) -> dict[str, Json]:
        """Wait until models are in these states, by their names; the scoreboard then."""

        def look(found: Json) -> dict[str, Json] | None:
            rows = rows_of(found)
            return rows if all(rows.get(name, {}).get("state") == state for name, state in states.items()) else None

        return self.wait(f"to say {dict(states)}", look, seconds=seconds)

    def wait_serves(self, name: str, *, seconds: float = 60) -> Json:
        """Wait until all traffic is at that model, every replica was seen to serve so, and no switch goes on; the
        status then."""

        def look(found: Json) -> Json | None:
            status: Json = found.get("status") or {}
            newest = status.get("observedGeneration") == found["metadata"]["generation"]
            proved = 0 < status.get("revision", 0) == status.get("provedRevision", 0)
            settled = newest and proved and status.get("active") == name and "switch" not in status
            return status if settled and shares_of(found) == {name: 100} else None

        return self.wait(f"to serve {name}, proved", look, seconds=seconds)

    def wait_switch(self, kind: str, *, seconds: float = 60) -> Json:
        """Wait until a switch of that kind goes on."""

        def look(found: Json) -> Json | None:
            going: Json = (found.get("status") or {}).get("switch") or {}
            return going if going.get("kind") == kind else None

        return self.wait(f"to begin a {kind}", look, seconds=seconds)

    def wait_past(self, kind: str, since: float, *, seconds: float = 60) -> Json:
        """Wait until a switch of that kind that ended after that moment (seconds since the epoch) is told."""

        def look(found: Json) -> Json | None:
            past = (found.get("status") or {}).get("switches") or []
            fresh = [p for p in past if p["kind"] == kind and seconds_of(p["endedAt"]) >= since]
            return fresh[-1] if fresh else None

        return self.wait(f"to end a {kind}", look, seconds=seconds)

    # -- For its clients ----------------------------------------------------------------------------------------------

    def ask(self, url: str, **headers: str) -> httpx.Response:
        """Ask for a completion through the gateway at `url`, as a client of the route."""
        return httpx.post(
            f"{url.rstrip('/')}/v1/chat/completions",
            content=completion(),
            headers={"host": self.host, "content-type": "application/json", **headers},
            timeout=15,
            trust_env=False,
        )


def shares_of(found: Mapping[str, Any]) -> dict[str, int]:
    """Percent by model, of those that have a share."""
    shares = (found.get("status") or {}).get("shares") or []
    return {share["name"]: share["percent"] for share in shares if share["percent"]}


def rows_of(found: Mapping[str, Any]) -> dict[str, Json]:
    """The scoreboard of a route, by the name of the model."""
    return {row["name"]: row for row in (found.get("status") or {}).get("models") or []}


def seconds_to_proof(past: Mapping[str, Any]) -> float:
    """From when a switch was decided until every replica was seen to serve by it."""
    assert past.get("provedAt"), f"it was never proved: {past}"
    return seconds_of(past["provedAt"]) - seconds_of(past["startedAt"])
