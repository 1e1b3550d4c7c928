"""A small synchronous client of the API server: plain JSON over one connection pool."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from hack.rig.access import KubeconfigError, access_of
from hack.rig.waiting import T, until

Json = dict[str, Any]

_GROUPS: Final[dict[str, str]] = {
    "Namespace": "api/v1",
    "Pod": "api/v1",
    "Service": "api/v1",
    "ConfigMap": "api/v1",
    "Secret": "api/v1",
    "ServiceAccount": "api/v1",
    "Event": "api/v1",
    "ResourceQuota": "api/v1",
    "Endpoints": "api/v1",
    "StatefulSet": "apis/apps/v1",
    "Deployment": "apis/apps/v1",
    "ReplicaSet": "apis/apps/v1",
    "EndpointSlice": "apis/discovery.k8s.io/v1",
    "HTTPRoute": "apis/gateway.networking.k8s.io/v1",
    "Gateway": "apis/gateway.networking.k8s.io/v1",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2",
    "Lease": "apis/coordination.k8s.io/v1",
    "ManagedService": "apis/sophia.ai/v1alpha1",
    "Release": "apis/sophia.ai/v1alpha1",
    "CacheTier": "apis/sophia.ai/v1alpha1",
    "ConnectionPool": "apis/sophia.ai/v1alpha1",
    "ModelRoute": "apis/sophia.ai/v1alpha1",
    "RecoveryAction": "apis/sophia.ai/v1alpha1",
    "RecoveryPolicy": "apis/sophia.ai/v1alpha1",
}
#: Where it is not the kind's name and an s.
_PLURALS: Final = {"Endpoints": "endpoints", "RecoveryPolicy": "recoverypolicies"}
_CLUSTER_SCOPED: Final = frozenset({"Namespace"})


class ApiError(Exception):
    """The API server said no. `code` is the HTTP status, `message` its own words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Api:
    """Talks to the cluster of a kubeconfig as its user, who should be an administrator. Raises KubeconfigError."""

    def __init__(self, kubeconfig: Path, *, timeout_seconds: float = 30.0) -> None:
        access = access_of(kubeconfig)
        self._client = httpx.Client(
            base_url=access.server, verify=access.tls, auth=access.sign, timeout=timeout_seconds, trust_env=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One request; returns the parsed answer, or its text when it is no JSON. Raises ApiError."""
        answer = self._client.request(method, path, **options)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, answer.json().get("message", "") if is_json else answer.text)
        return answer.json() if is_json else answer.text

    def get(self, kind: str, namespace: str | None, name: str) -> Json | None:
        """One object, or None."""
        try:
            found: Json = self.request("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    def list(self, kind: str, namespace: str | None, selector: str = "") -> list[Json]:
        """Objects of a kind."""
        items: list[Json] = self.request("GET", path_of(kind, namespace), params={"labelSelector": selector})["items"]
        return items

    def apply(self, obj: Mapping[str, Any], manager: str = "user") -> Json:
        """Server-side apply, as `kubectl apply --server-side --force-conflicts` does."""
        meta = obj["metadata"]
        applied: Json = self.request(
            "PATCH",
            path_of(obj["kind"], meta.get("namespace"), meta["name"]),
            params={"fieldManager": manager, "force": "true"},
            # Which is YAML as well.
            content=json.dumps(dict(obj)),
            headers={"content-type": "application/apply-patch+yaml"},
        )
        return applied

    def merge(self, kind: str, namespace: str | None, name: str, patch: Mapping[str, Any], sub: str = "") -> Json:
        """Merge-patch an object, or its subresource `sub`."""
        merged: Json = self.request(
            "PATCH",
            path_of(kind, namespace, name) + (f"/{sub}" if sub else ""),
            json=dict(patch),
            headers={"content-type": "application/merge-patch+json"},
        )
        return merged

    def delete(self, kind: str, namespace: str | None, name: str, *, grace_seconds: int | None = None) -> bool:
        """Delete in the background; False when it was not there."""
        params = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            params["gracePeriodSeconds"] = str(grace_seconds)
        try:
            self.request("DELETE", path_of(kind, namespace, name), params=params)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    def evict(self, namespace: str, pod: str) -> None:
        """Evict a pod, as a drain of its node does. Raises ApiError 429 while a budget forbids it."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        self.request("POST", path_of("Pod", namespace, pod) + "/eviction", json=body)

    def watch(self, kind: str, namespace: str, *, seconds: int) -> Iterator[Json]:
        """Events of a kind for so many seconds: `{type, object}`."""
        params = {"watch": "true", "timeoutSeconds": str(seconds)}
        with self._client.stream("GET", path_of(kind, namespace), params=params, timeout=seconds + 5) as answer:
            for line in answer.iter_lines():
                yield json.loads(line)

    def user(self) -> str:
        """Who this client is for the API server."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        found = self.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review)
        return str(found["status"]["userInfo"]["username"])

    def logs(self, namespace: str, pod: str, *, previous: bool = False) -> str:
        """Log of a pod with one container."""
        params = {"previous": "true"} if previous else {}
        return str(self.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", params=params))

    def until(self, what: str, look: Callable[[], T | None], *, seconds: float, every: float = 0.25) -> T:
        """Look until there is an answer that is not None or False. Raises TimeoutError, which names it."""
        return until(what, look, seconds=seconds, every=every)


def path_of(kind: str, namespace: str | None, name: str = "") -> str:
    """URL path of an object, or of its collection."""
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    where = "" if namespace is None or kind in _CLUSTER_SCOPED else f"/namespaces/{namespace}"
    return f"/{_GROUPS[kind]}{where}/{plural}" + (f"/{name}" if name else "")


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's condition Ready is true."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))


def access(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """URL of the API server, and the way to speak to it for who knows client certificates only."""
    found = access_of(kubeconfig)
    if not found.certified:
        raise KubeconfigError("The current context uses a token, and this needs a client certificate.")
    return found.server, found.tls
