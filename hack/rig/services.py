"""ManagedServices of the demo app, and what they are doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hack.rig.api import Api, Json

APP_IMAGE: Final = "localhost/sophia-demo-app:dev"
GATEWAY: Final = {"name": "sophia", "namespace": "projectcontour"}


def hostname(name: str, namespace: str) -> str:
    """Host name of a test service."""
    return f"{name}.{namespace}.example.com"


def stages(*weights: int, seconds: int) -> list[dict[str, int]]:
    """Stages of equal length."""
    return [{"weightPercent": w, "observeSeconds": seconds} for w in weights]


def success_gate(**changes: Any) -> dict[str, Any]:
    """At least 99 % of the requests succeed, over a short window."""
    gate = {"name": "success-rate", "successRate": {"minPercent": "99"}, "windowSeconds": 10, "minRequests": 20}
    return {**gate, **changes}


def latency_gate(max_ms: int = 300, **changes: Any) -> dict[str, Any]:
    """The 95th percentile of the response time stays below `max_ms`."""
    gate = {
        "name": "latency",
        "latency": {"quantile": "0.95", "maxMs": max_ms},
        "windowSeconds": 15,
        "minRequests": 20,
    }
    return {**gate, **changes}


def smoke_test(**changes: Any) -> dict[str, Any]:
    """The front page answers 200."""
    return {"name": "front", "path": "/", "attempts": 3, "timeoutSeconds": 2, **changes}


def rollout(**changes: Any) -> dict[str, Any]:
    """A plan that is short enough for a demo: looks every two seconds, four stages of eight."""
    plan: dict[str, Any] = {
        "stages": stages(10, 25, 50, 100, seconds=8),
        "smokeTests": [smoke_test()],
        "gates": [success_gate()],
        "metrics": {"preset": "Contour"},
        "lookIntervalSeconds": 2,
        "progressDeadlineSeconds": 60,
        "routeDeadlineSeconds": 60,
        "keepPreviousSeconds": 60,
        "abortKeepSeconds": 5,
        "drainSeconds": 3,
    }
    return {**plan, **changes}


def service(
    name: str,
    namespace: str,
    *,
    env: Mapping[str, str] | None = None,
    plan: Mapping[str, Any] | None = None,
    replicas: int = 2,
    **spec: Any,
) -> Json:
    """A ManagedService of the demo app. A change of `env` is a change to roll out."""
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ManagedService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            "traffic": {"gateway": {"parentRefs": [GATEWAY], "hostnames": [hostname(name, namespace)]}},
            "rollout": dict(plan) if plan is not None else rollout(),
            "template": template(env or {}),
            **spec,
        },
    }


def template(env: Mapping[str, str], image: str = APP_IMAGE) -> Json:
    """Pod template of the demo app."""
    release = {
        "name": "SOPHIA_RELEASE",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['sophia.ai/release']"}},
    }
    return {
        "metadata": {"annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "app",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "env": [release, *({"name": k, "value": v} for k, v in sorted(env.items()))],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


class Service:
    """One test service on the cluster."""

    def __init__(self, api: Api, name: str, namespace: str) -> None:
        self.api = api
        self.name = name
        self.namespace = namespace
        self.host = hostname(name, namespace)

    def apply(self, **options: Any) -> Json:
        """Apply the service; options as of `service`."""
        return self.api.apply(service(self.name, self.namespace, **options))

    def object(self) -> Json:
        """The ManagedService."""
        found = self.api.get("ManagedService", self.namespace, self.name)
        assert found is not None, f"ManagedService {self.name} is gone"
        return found

    def status(self) -> Json:
        """Its status, or {}."""
        return self.object().get("status") or {}

    def release(self, revision: int) -> Json | None:
        """One Release, or None."""
        return self.api.get("Release", self.namespace, f"{self.name}-{revision}")

    def state(self, revision: int) -> str | None:
        """State of a Release, or None."""
        found = self.release(revision)
        return None if found is None else (found.get("status") or {}).get("state")

    def condition(self, kind: str) -> Json | None:
        """A condition of the service."""
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), None)

    def wait_state(self, revision: int, *states: str, seconds: float = 120) -> Json:
        """Wait until a Release is in one of the states; return it."""

        def look() -> Json | None:
            found = self.release(revision)
            state = (found or {}).get("status", {}).get("state")
            return found if state in states else None

        try:
            return self.api.until(f"{self.name}-{revision} to be {' or '.join(states)}", look, seconds=seconds)
        except TimeoutError as error:
            found = self.release(revision)
            raise TimeoutError(f"{error}; its status: {(found or {}).get('status')}; {self.status()}") from None

    def wait_stage(self, revision: int, index: int, *, effective: bool = True, seconds: float = 90) -> Json:
        """Wait until a Release is at that stage (0 is the first) and, unless told, its weight is observed."""

        def look() -> Json | None:
            found = self.release(revision)
            stage = (found or {}).get("status", {}).get("stage")
            at = stage is not None and stage["index"] == index and (not effective or "effectiveAt" in stage)
            return found if at else None

        try:
            return self.api.until(f"{self.name}-{revision} at stage {index}", look, seconds=seconds, every=0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its status: {(self.release(revision) or {}).get('status')}") from None

    def wait_settled(self, revision: int, *, seconds: float = 60) -> Json:
        """Wait until the service is Ready with that revision as the stable one."""

        def look() -> Json | None:
            status = self.status()
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
            return status if ready and status.get("stable", {}).get("revision") == revision else None

        try:
            return self.api.until(f"{self.name} to settle on revision {revision}", look, seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its status: {self.status()}") from None

    def intend(self, revision: int, intent: str, reason: str = "a test") -> None:
        """Set the intent of a Release."""
        patch = {"spec": {"intent": intent, "reason": reason}}
        self.api.merge("Release", self.namespace, f"{self.name}-{revision}", patch)

    def weights(self) -> dict[str, int]:
        """Weights of the route by colour; {} without a route."""
        route = self.api.get("HTTPRoute", self.namespace, self.name)
        if route is None:
            return {}
        for rule in route["spec"]["rules"]:
            refs: Sequence[Json] = rule["backendRefs"]
            if not any(ref["name"].endswith("-check") for ref in refs):
                return {ref["name"].rsplit("-", 1)[1]: ref["weight"] for ref in refs}
        return {}
