"""What the operator keeps of each object that it watches: only what a pass reads, never the data of a Secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sophia_operator.core.hashing import content_hash

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_META: Final = (
    "name",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "ownerReferences",
)
_POD_CONDITIONS: Final = ("Ready", "PodScheduled", "ContainersReady")
#: Of why a pod ended only so much is kept: the kubelet lists what every container used.
_POD_MESSAGE: Final = 200

CONFIG_KINDS: Final = ("ConfigMap", "Secret")


def slim(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the object with the fields that a pass reads, without its resourceVersion and managed fields."""
    kind = obj["kind"]
    out: dict[str, Any] = {"apiVersion": obj["apiVersion"], "kind": kind, "metadata": _metadata(obj)}
    shape = _SHAPES.get(kind)
    return out | (shape(obj) if shape is not None else {key: obj[key] for key in ("spec", "status") if key in obj})


def config_hash(obj: Mapping[str, Any]) -> str | None:
    """Hash of the content of a ConfigMap or Secret; None for every other kind.

    The salt is the object's own name, so that the same content has another hash elsewhere, and the same
    hash again when the object is deleted and made anew.
    """
    kind = obj["kind"]
    if kind not in CONFIG_KINDS:
        return None
    meta = obj["metadata"]
    data = {key: obj[key] for key in ("data", "binaryData", "type") if obj.get(key)}
    return content_hash(f"{kind}/{meta.get('namespace', '')}/{meta['name']}", data)


def _metadata(obj: Mapping[str, Any]) -> dict[str, Any]:
    meta = obj["metadata"]
    out = {key: meta[key] for key in _META if meta.get(key) is not None}
    annotations = out.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        out["annotations"] = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    return out


def _nothing(_: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _pod(obj: Mapping[str, Any]) -> dict[str, Any]:
    status = obj.get("status", {})
    conditions = [
        {key: c[key] for key in ("type", "status", "reason", "message") if c.get(key)}
        for c in status.get("conditions", ())
        if c.get("type") in _POD_CONDITIONS
    ]
    containers = [
        _container(c) for c in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    ]
    why = {key: status[key][:_POD_MESSAGE] for key in ("reason", "message") if status.get(key)}
    return {"status": {"phase": status.get("phase"), "conditions": conditions, "containerStatuses": containers, **why}}


def _container(status: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {key: status[key] for key in ("name", "image", "ready", "restartCount") if key in status}
    waiting = status.get("state", {}).get("waiting")
    if waiting:
        out["waiting"] = {key: waiting[key] for key in ("reason", "message") if waiting.get(key)}
    ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated")
    if ended:
        out["ended"] = {key: ended[key] for key in ("reason", "exitCode") if ended.get(key) is not None}
    return out


def _endpoint_slice(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "endpoints": [
            {
                "conditions": endpoint.get("conditions") or {},
                "targetRef": {"name": (endpoint.get("targetRef") or {}).get("name", "")},
            }
            for endpoint in obj.get("endpoints") or ()
        ]
    }


def _gateway(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Without how many routes each listener has: that changes with every service that comes or goes, and would wake
    all the others that share the Gateway."""
    spec = obj.get("spec", {})
    listeners = [
        {key: listener[key] for key in ("name", "port", "protocol") if key in listener}
        for listener in spec.get("listeners") or ()
    ]
    addresses = (obj.get("status") or {}).get("addresses") or []
    return {
        "spec": {"gatewayClassName": spec.get("gatewayClassName", ""), "listeners": listeners},
        "status": {"addresses": addresses},
    }


def _gateway_class(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": {"controllerName": obj.get("spec", {}).get("controllerName")}}


_SHAPES: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "ConfigMap": _nothing,
    "Secret": _nothing,
    "Pod": _pod,
    "EndpointSlice": _endpoint_slice,
    "Gateway": _gateway,
    "GatewayClass": _gateway_class,
}
