"""Objects as an API server would give them: a service `hello` and its releases, at a fixed time."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Json = dict[str, Any]

NOW: Final = datetime(2026, 3, 2, 3, 14, 0, tzinfo=UTC)
NAMESPACE: Final = "shop"
SERVICE: Final = "hello"

PLAN: Final[Json] = {
    "stages": [
        {"weightPercent": 10, "observeSeconds": 300},
        {"weightPercent": 25, "observeSeconds": 300},
        {"weightPercent": 50, "observeSeconds": 300},
        {"weightPercent": 100, "observeSeconds": 300},
    ],
    "smokeTests": [{"name": "answers", "path": "/", "attempts": 3}],
    "gates": [
        {"name": "success-rate", "successRate": {"minPercent": "99"}, "failureLimit": 1, "inconclusiveLimit": 20},
        {
            "name": "latency-p95",
            "latency": {"quantile": "0.95", "maxMs": 250},
            "comparedTo": "Stable",
            "maxRatio": "1.5",
        },
    ],
    "metrics": {"preset": "Contour"},
    "keepPreviousSeconds": 600,
}
TEMPLATE: Final[Json] = {"spec": {"containers": [{"name": "app", "image": "localhost/hello:1"}]}}
PORTS: Final[list[Json]] = [{"name": "http", "port": 80, "targetPort": 8080}]


def ago(seconds: float) -> str:
    """A time before NOW, as the API server writes it; negative seconds are ahead."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str, message: str, *, since: float = 60) -> Json:
    """A condition of generation 1."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": ago(since),
    }


def service(
    *, spec: Json | None = None, status: Json | None = None, metadata: Json | None = None, name: str = SERVICE
) -> Json:
    """A ManagedService; `status` None: the operator has not looked at it."""
    gateway = {"parentRefs": [{"name": "sophia"}], "hostnames": ["hello.example.com"]}
    out: Json = {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ManagedService",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "generation": 1,
            "resourceVersion": "41",
            "creationTimestamp": ago(86_400),
            **(metadata or {}),
        },
        "spec": {
            "replicas": 2,
            "template": TEMPLATE,
            "ports": PORTS,
            "traffic": {"gateway": gateway},
            "rollout": PLAN,
            **(spec or {}),
        },
    }
    if status is not None:
        out["status"] = {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, **status}
    return deepcopy(out)


def release(revision: int, state: str, /, *, spec: Json | None = None, **status: Any) -> Json:
    """A Release of the service, in that state."""
    name = f"{SERVICE}-{revision}"
    return deepcopy(
        {
            "apiVersion": "sophia.ai/v1alpha1",
            "kind": "Release",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "generation": 1,
                "labels": {"sophia.ai/service": SERVICE},
            },
            "spec": {
                "serviceName": SERVICE,
                "revision": revision,
                "hash": "v1:" + f"{revision:x}" * 64,
                "snapshot": {
                    "template": {"spec": {"containers": [{"name": "app", "image": f"localhost/hello:{revision}"}]}},
                    "ports": PORTS,
                    "plan": PLAN,
                },
                "intent": "Proceed",
                **(spec or {}),
            },
            "status": {"observedGeneration": 1, "phase": state, **status, "state": status.get("state", state)},
        }
    )


def transition(seconds: float, state: str, reason: str, message: str, weight: int | None = None) -> Json:
    """A step of a release's way, so many seconds ago."""
    out: Json = {"time": ago(seconds), "state": state, "reason": reason, "message": message}
    return out if weight is None else {**out, "weightPercent": weight}


def stable(revision: int = 2, *, promoted: float = 86_000, color: str = "blue", **status: Any) -> Json:
    """The release that serves, promoted so many seconds ago."""
    return release(
        revision,
        "Promoted",
        color=color,
        startedAt=ago(promoted + 1300),
        promotedAt=ago(promoted),
        endedAt=ago(promoted),
        weights={"wantedPercent": 100, "writtenPercent": 100, "observedPercent": 100},
        transitions=[transition(promoted, "Promoted", "Promoted", f"all 4 stages of hello-{revision} passed")],
        conditions=[condition("Ready", "True", "Promoted", f"all 4 stages of hello-{revision} passed")],
        **status,
    )


def gate(name: str, verdict: str, **fields: Any) -> Json:
    """What a gate saw 5 seconds ago; it looks again in 10."""
    return {"name": name, "verdict": verdict, "lookedAt": ago(5), "nextLookAt": ago(-10), "looks": 7, **fields}


def shifting(revision: int = 3, *, effective: float | None = 108, spec: Json | None = None, **status: Any) -> Json:
    """A release at its second stage, whose weight was observed so many seconds ago."""
    stage: Json = {"index": 1, "weightPercent": 25, "previousWeightPercent": 10, "startedAt": ago(115)}
    if effective is not None:
        stage["effectiveAt"] = ago(effective)
    defaults: Json = {
        "phase": "Shifting 25%",
        "stateSince": ago(460),
        "startedAt": ago(480),
        "color": "green",
        "stage": stage,
        "weights": {
            "wantedPercent": 25,
            "writtenPercent": 25,
            "observedPercent": 24,
            "message": "metrics: 243 of 1002 requests at green, 25 % wanted; within the bound",
        },
        "gates": [
            gate("success-rate", "Pass", value="99.8", requests=1204, message="99.8 % of 1204 requests succeeded"),
            gate("latency-p95", "Pass", value="182", baseline="171", requests=1204, message="182 ms at 0.95"),
        ],
        "transitions": [
            transition(480, "Provisioning", "Provisioning", "release hello-3 starts as green; hello-2 serves"),
            transition(470, "SmokeTesting", "Available", "2 of 2 pods of hello-3 are ready behind green"),
            transition(460, "Shifting", "SmokeTestsPassed", "stage 1 of 4 gives hello-3 10 % of the traffic", 10),
            transition(115, "Shifting", "StagePassed", "stage 2 of 4 gives hello-3 25 % of the traffic", 25),
            transition(108, "Shifting", "WeightObserved", "metrics: 243 of 1002 requests at green", 25),
        ],
        "conditions": [condition("Ready", "False", "Shifting", "stage 2 (25 %) is watched until 03:17:12 UTC")],
    }
    return release(revision, "Shifting", spec=spec, **{**defaults, **status})


def rolled_back(revision: int = 3, **status: Any) -> Json:
    """A release that a gate stopped two minutes ago."""
    why = "gate success-rate failed: 91.2 % of 418 requests succeeded, at least 99 % wanted"
    defaults: Json = {
        "color": "green",
        "startedAt": ago(300),
        "endedAt": ago(120),
        "stage": {"index": 0, "weightPercent": 10, "startedAt": ago(200), "effectiveAt": ago(190)},
        "weights": {"wantedPercent": 0, "writtenPercent": 0, "observedPercent": 0},
        "outcome": {"state": "RolledBack", "reason": "GateFailed", "message": why},
        "gates": [
            gate(
                "success-rate",
                "Fail",
                value="91.2",
                requests=418,
                failures=2,
                message="91.2 % of 418 requests succeeded, at least 99 % wanted",
            )
        ],
        "transitions": [
            transition(124, "RollingBack", "GateFailed", why),
            transition(120, "RolledBack", "RolledBack", f"release hello-{revision}: {why}"),
        ],
        "conditions": [condition("Ready", "False", "RolledBack", why)],
    }
    return release(revision, "RolledBack", **{**defaults, **status})


def status_of(*conditions: Json, **fields: Any) -> Json:
    """A service's status with Available true, and these conditions."""
    given = {c["type"] for c in conditions}
    base = [] if "Available" in given else [condition("Available", "True", "Available", "hello-2 serves")]
    return {"conditions": [*base, *conditions], **fields}


SETTLED: Final = status_of(
    condition("Ready", "True", "Settled", "release hello-2 is what the spec asks for, and it serves"),
    stable={"name": "hello-2", "revision": 2, "color": "blue", "weightPercent": 100, "phase": "Promoted"},
)
ROLLING: Final = status_of(
    condition("Ready", "False", "Shifting", "release hello-3: stage 2 (25 %) is watched until 03:17:12 UTC"),
    condition("Reconciling", "True", "Shifting", "release hello-3: stage 2 (25 %) is watched until 03:17:12 UTC"),
    stable={"name": "hello-2", "revision": 2, "color": "blue", "weightPercent": 75, "phase": "Promoted"},
    rollout={"name": "hello-3", "revision": 3, "color": "green", "weightPercent": 25, "phase": "Shifting 25%"},
    weight="25%",
)
LATCHED: Final = status_of(
    condition("Ready", "False", "ReleaseLatched", "release hello-3 failed: gate success-rate failed; hello-2 serves"),
    condition("Stalled", "True", "ReleaseLatched", "release hello-3 failed: gate success-rate failed; hello-2 serves"),
    stable={"name": "hello-2", "revision": 2, "color": "blue", "weightPercent": 100, "phase": "Promoted"},
    rollout={"name": "hello-3", "revision": 3, "color": "green", "weightPercent": 0, "phase": "RolledBack"},
)
