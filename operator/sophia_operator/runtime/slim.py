"""What the operator keeps of each object that it watches: only what a pass reads, never the data of a Secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sophia_operator.core.cache.names import LABEL_CACHE
from sophia_operator.core.hashing import content_hash
from sophia_operator.core.model.names import LABEL_ROUTE
from sophia_operator.core.pool.names import LABEL_POOL

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
    out = {"phase": status.get("phase"), "conditions": conditions, "containerStatuses": containers, **why}
    labels = obj["metadata"].get("labels") or {}
    if LABEL_POOL not in labels and LABEL_CACHE not in labels:
        return {"status": out}
    if LABEL_CACHE in labels:
        # Whether a node's process is known to have ended.
        out["runs"] = [_run(c) for c in status.get("containerStatuses", ())]
    # Instances of a pool and nodes of a tier are spoken to one by one, and told apart by what they were made from.
    if status.get("podIP"):
        out["podIP"] = status["podIP"]
    images = [{key: c[key] for key in ("name", "image") if key in c} for c in obj.get("spec", {}).get("containers", ())]
    return {"spec": {"containers": images}, "status": out}


def _disruption_budget(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Without its status, which nobody reads and which changes with every pod."""
    return {"spec": obj["spec"]} if "spec" in obj else {}


def _container(status: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {key: status[key] for key in ("name", "image", "ready", "restartCount") if key in status}
    waiting = status.get("state", {}).get("waiting")
    if waiting:
        out["waiting"] = {key: waiting[key] for key in ("reason", "message") if waiting.get(key)}
    ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get("terminated")
    if ended:
        out["ended"] = {key: ended[key] for key in ("reason", "exitCode", "finishedAt") if ended.get(key) is not None}
    return out


def _run(status: Mapping[str, Any]) -> dict[str, Any]:
    """The newest run of a container's process: when it began, and whether it is over. Nothing when none ever began."""
    state = status.get("state", {})
    if "running" in state:
        return {"startedAt": state["running"].get("startedAt")}
    ended = state.get("terminated") or status.get("lastState", {}).get("terminated")
    return {"startedAt": ended.get("startedAt"), "over": True} if ended else {}


def _endpoint_slice(obj: Mapping[str, Any]) -> dict[str, Any]:
    endpoints = obj.get("endpoints") or ()
    if LABEL_ROUTE not in (obj["metadata"].get("labels") or {}):
        return {
            "endpoints": [{"conditions": e.get("conditions") or {}, "targetRef": _target(e, "name")} for e in endpoints]
        }
    # Pods of a gateway that somebody else runs are not watched: this is all that is known of them.
    return {
        "endpoints": [
            {
                "addresses": list(e.get("addresses") or ()),
                "conditions": e.get("conditions") or {},
                "targetRef": _target(e, "kind", "name", "uid"),
            }
            for e in endpoints
        ]
    }


def _target(endpoint: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    target = endpoint.get("targetRef") or {}
    return {field: target.get(field, "") for field in fields}


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
    "PodDisruptionBudget": _disruption_budget,
    "EndpointSlice": _endpoint_slice,
    "Gateway": _gateway,
    "GatewayClass": _gateway_class,
}
