"""Deployments that keep to restricted Pod Security, as namespaces of tests ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hack.rig.api import Api, Json, is_ready

_USER: Final = 65_532
_SECURITY: Final = {
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER_SECURITY: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def deployment(
    name: str,
    namespace: str,
    container: Mapping[str, Any],
    *,
    replicas: int = 1,
    volumes: Sequence[Mapping[str, Any]] = (),
    memory: tuple[str, str] = ("16Mi", "64Mi"),
) -> Json:
    """A Deployment of one container, with label app=<name>. `memory` is what it asks for, and its limit."""
    resources = {"requests": {"cpu": "10m", "memory": memory[0]}, "limits": {"memory": memory[1]}}
    whole = {
        "name": name,
        "imagePullPolicy": "IfNotPresent",
        "resources": resources,
        "securityContext": _CONTAINER_SECURITY,
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "automountServiceAccountToken": False,
                    # None of them has anything to put in order.
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": _SECURITY,
                    "containers": [whole],
                    "volumes": [dict(volume) for volume in volumes],
                },
            },
        },
    }


def service(name: str, namespace: str, port: int, app: str | None = None) -> Json:
    """A Service that leads to pods with label app=<app>, or app=<name>, at the same port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": app or name}, "ports": [{"port": port, "targetPort": port}]},
    }


def pods(api: Api, namespace: str, app: str) -> list[Json]:
    """Pods of it that are not on their way out, by name."""
    found = api.list("Pod", namespace, f"app={app}")
    there = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
    return sorted(there, key=lambda pod: str(pod["metadata"]["name"]))


def wait_pods(api: Api, namespace: str, app: str, count: int, *, seconds: float = 90) -> list[Json]:
    """Wait until there are so many pods, all of them ready. Raises TimeoutError."""

    def look() -> list[Json] | None:
        found = pods(api, namespace, app)
        return found if len(found) == count and all(map(is_ready, found)) else None

    return api.until(f"{count} pods of {app} to be ready", look, seconds=seconds)
