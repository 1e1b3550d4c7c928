"""Where objects live in the API."""

from __future__ import annotations

from typing import Final

from sophia_operator.ports import ObjectRef

#: Plural of each kind that the operator reads or writes, and whether it lives in namespaces.
_KINDS: Final[dict[str, tuple[str, bool]]] = {
    "CacheTier": ("cachetiers", True),
    "ConfigMap": ("configmaps", True),
    "ConnectionPool": ("connectionpools", True),
    "Deployment": ("deployments", True),
    "EndpointSlice": ("endpointslices", True),
    "Event": ("events", True),
    "Gateway": ("gateways", True),
    "GatewayClass": ("gatewayclasses", False),
    "HTTPRoute": ("httproutes", True),
    "Lease": ("leases", True),
    "ManagedService": ("managedservices", True),
    "ModelRoute": ("modelroutes", True),
    "Namespace": ("namespaces", False),
    "Pod": ("pods", True),
    "PodDisruptionBudget": ("poddisruptionbudgets", True),
    "RecoveryAction": ("recoveryactions", True),
    "RecoveryPolicy": ("recoverypolicies", True),
    "Release": ("releases", True),
    "Secret": ("secrets", True),
    "Service": ("services", True),
    "StatefulSet": ("statefulsets", True),
}


def collection(api_version: str, kind: str, namespace: str | None) -> str:
    """Path of all objects of a kind in a namespace, or in all of them without one. Raises KeyError."""
    plural, namespaced = _KINDS[kind]
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespaced and namespace else f"{root}/{plural}"


def item(ref: ObjectRef, subresource: str | None = None) -> str:
    """Path of one object, or of a subresource of it."""
    path = f"{collection(ref.api_version, ref.kind, ref.namespace)}/{ref.name}"
    return path if subresource is None else f"{path}/{subresource}"
