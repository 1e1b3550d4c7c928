"""What users of the model ask for: a small menu of images, sizes, plans and configuration, in many combinations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sophia_operator.api.managed_service import ManagedServiceSpec

IMAGES = ("app:1", "app:2", "app:3", "app:4")
#: The API server's dry run refuses this one's template while the fault is on.
REFUSED_IMAGE = "app:4"

_STAGES = (
    [{"weightPercent": 25, "observeSeconds": 5}, {"weightPercent": 100, "observeSeconds": 5}],
    [
        {"weightPercent": 10, "observeSeconds": 3},
        {"weightPercent": 50, "observeSeconds": 6},
        {"weightPercent": 100, "observeSeconds": 2},
    ],
    [{"weightPercent": 100, "observeSeconds": 4}],
)
_RATE = {
    "name": "errors",
    "successRate": {"minPercent": "99"},
    "minRequests": 10,
    "inconclusiveLimit": 3,
    "windowSeconds": 8,
}
_GATES: tuple[list[dict[str, Any]], ...] = (
    [_RATE],
    [
        {**_RATE, "failureLimit": 1},
        {"name": "dry", "promql": {"query": "up", "max": "1"}, "minRequests": 0, "dryRun": True},
    ],
    [
        {**_RATE, "comparedTo": "Stable", "maxRatio": "3", "inconclusiveLimit": 1},
        {"name": "own", "promql": {"query": "queue_length", "max": "100"}, "minRequests": 0, "windowSeconds": 8},
    ],
    [],
)
_SMOKE: tuple[list[dict[str, Any]], ...] = (
    [],
    [{"name": "home", "path": "/", "attempts": 2}, {"name": "ready", "path": "/ready", "attempts": 2}],
    [{"name": "home", "path": "/", "attempts": 2, "via": "Gateway"}],
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asks for: choices from the menu, by number."""

    image: str = "app:1"
    replicas: int = 2
    stages: int = 0
    gates: int = 0
    smoke: int = 0
    keep_seconds: int = 15
    abort_keep_seconds: int = 5
    drain_seconds: int = 6
    pause_on_failure: bool = False
    max_unavailable: int = 0
    config: bool = False
    paused: bool = False
    gateway: bool = True


@lru_cache(maxsize=4096)
def spec_of(wish: Wish) -> ManagedServiceSpec:
    """The spec of a ManagedService that says so."""
    smoke = _SMOKE[wish.smoke]
    if not wish.gateway:
        smoke = [{k: v for k, v in test.items() if k != "via"} for test in smoke]
    traffic: dict[str, Any] = {"none": {}}
    if wish.gateway:
        traffic = {"gateway": {"parentRefs": [{"name": "gw"}], "hostnames": ["app.example.com"]}}
    return ManagedServiceSpec.model_validate(
        {
            "replicas": wish.replicas,
            "template": {"spec": {"containers": [{"name": "app", "image": wish.image}]}},
            "ports": [{"name": "http", "port": 80}],
            "traffic": traffic,
            "config": {"configMaps": ["settings"]} if wish.config else {},
            "paused": wish.paused,
            "historyLimit": 2,
            "rollout": {
                "stages": _STAGES[wish.stages],
                "gates": _GATES[wish.gates],
                "smokeTests": smoke,
                "lookIntervalSeconds": 4,
                "progressDeadlineSeconds": 20,
                "routeDeadlineSeconds": 12,
                "keepPreviousSeconds": wish.keep_seconds,
                "abortKeepSeconds": wish.abort_keep_seconds,
                "drainSeconds": wish.drain_seconds,
                "onFailure": "Pause" if wish.pause_on_failure else "Rollback",
                "maxUnavailable": wish.max_unavailable,
            },
        }
    )
