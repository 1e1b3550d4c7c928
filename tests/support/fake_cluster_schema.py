"""What the API server does with an object before it stores it: prune, default, validate.

Custom resources go by the schemas in `crds/`, as the real one does it. Of the built-in kinds only what the operator
makes is checked and defaulted, and only as far as its loop could go wrong over it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from sophia_operator.api.schema.kinds import KINDS

_ROOT: Final = Path(__file__).resolve().parents[2]
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}


class InvalidError(ValueError):
    """The object is refused; the message is a list of reasons."""


@cache
def schema(kind: str) -> Mapping[str, Any] | None:
    """The structural schema of a custom resource; None for a built-in kind."""
    found = next((k for k in KINDS if k.name == kind), None)
    if found is None:
        return None
    crd = yaml.safe_load((_ROOT / "crds" / f"{found.crd_name}.yaml").read_text())
    loaded: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return loaded


def admit(obj: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    """The object as it would be stored. Raises InvalidError."""
    kind = obj["kind"]
    found, problems = schema(kind), list[str]()
    if found is not None:
        parts = {name: found["properties"][name] for name in ("spec", "status") if name in obj}
        stored = dict(obj) | {name: _walk(obj[name], part, name, problems) for name, part in parts.items()}
        if "spec" not in obj:
            problems.append("spec: Required value")
    else:
        stored = dict(obj)
        if kind in _BUILT_IN:
            stored = _BUILT_IN[kind](copy.deepcopy(stored), problems)
    if old is not None and not problems:
        problems += _immutable(stored, old)
    if problems:
        raise InvalidError(f'{kind} "{obj["metadata"]["name"]}" is invalid: {"; ".join(problems[:5])}')
    return stored


def _walk(value: Any, part: Mapping[str, Any], path: str, problems: list[str]) -> Any:
    if part.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            problems.append(f"{path}: must be an integer or a string")
        return value
    wanted = part.get("type")
    if wanted is not None and (not isinstance(value, _TYPES[wanted]) or (wanted == "integer" and value is True)):
        problems.append(f"{path}: must be of type {wanted}")
        return value
    if isinstance(value, dict):
        return _walk_map(value, part, path, problems)
    if isinstance(value, list):
        if len(value) > part.get("maxItems", len(value)) or len(value) < part.get("minItems", 0):
            problems.append(f"{path}: has {len(value)} items")
        return [_walk(item, part["items"], f"{path}[{i}]", problems) for i, item in enumerate(value)]
    _check_scalar(value, part, path, problems)
    return value


def _walk_map(value: dict[str, Any], part: Mapping[str, Any], path: str, problems: list[str]) -> dict[str, Any]:
    known = part.get("properties", {})
    free = part.get("additionalProperties")
    keep = part.get("x-kubernetes-preserve-unknown-fields", False)
    out: dict[str, Any] = {}
    for key, item in value.items():
        if item is None:
            continue
        if key in known:
            out[key] = _walk(item, known[key], f"{path}.{key}", problems)
        elif isinstance(free, Mapping):
            out[key] = _walk(item, free, f"{path}.{key}", problems)
        elif keep:
            out[key] = item
    for key, child in known.items():
        if key not in out and "default" in child:
            out[key] = _walk(copy.deepcopy(child["default"]), child, f"{path}.{key}", problems)
    problems += [f"{path}.{key}: Required value" for key in part.get("required", ()) if key not in out]
    return out


def _check_scalar(value: Any, part: Mapping[str, Any], path: str, problems: list[str]) -> None:
    if "enum" in part and value not in part["enum"]:
        problems.append(f'{path}: Unsupported value: "{value}"')
    if isinstance(value, str):
        if len(value) > part.get("maxLength", len(value)) or len(value) < part.get("minLength", 0):
            problems.append(f"{path}: has {len(value)} characters")
        if "pattern" in part and not re.search(part["pattern"], value):
            problems.append(f"{path}: does not match {part['pattern']}")
    elif not isinstance(value, bool) and not part.get("minimum", value) <= value <= part.get("maximum", value):
        problems.append(f"{path}: {value} is out of range")


def _immutable(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    kind = new["kind"]
    if kind == "Release":
        after, before = new["spec"], old["spec"]
        out = [f"spec.{f}: is immutable" for f in ("hash", "serviceName", "revision") if after[f] != before[f]]
        parts = ("ports", "plan", "config")
        changed = [p for p in parts if after["snapshot"].get(p) != before["snapshot"].get(p)]
        return out + [f"spec.snapshot.{p}: snapshot is immutable" for p in changed]
    if kind == "Deployment" and new["spec"]["selector"] != old["spec"]["selector"]:
        return ["spec.selector: field is immutable"]
    if kind in ("ConfigMap", "Secret") and old.get("immutable"):
        fields = ("data", "binaryData", "immutable", "type")
        return [f"{f}: field is immutable when `immutable` is set" for f in fields if new.get(f) != old.get(f)]
    return []


def _deployment(obj: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    spec = obj.get("spec") or {}
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    selector = (spec.get("selector") or {}).get("matchLabels") or {}
    if not selector or any(labels.get(k) != v for k, v in selector.items()):
        problems.append("spec.template.metadata.labels: `selector` does not match template `labels`")
    pod = template.get("spec")
    if not isinstance(pod, dict) or not isinstance(pod.get("containers"), list) or not pod["containers"]:
        problems.append("spec.template.spec.containers: Required value")
        return obj
    for i, container in enumerate(pod["containers"]):
        if not isinstance(container, dict) or not container.get("image") or not container.get("name"):
            problems.append(f"spec.template.spec.containers[{i}].image: Required value")
            return obj
        for key, value in _CONTAINER_DEFAULTS.items():
            container.setdefault(key, value)
    for key, value in _POD_DEFAULTS.items():
        pod.setdefault(key, copy.deepcopy(value))
    spec.setdefault("replicas", 1)
    return obj


_CONTAINER_DEFAULTS: Final = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
_POD_DEFAULTS: Final[dict[str, Any]] = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}


def _service(obj: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    spec = obj.get("spec") or {}
    if not spec.get("ports"):
        problems.append("spec.ports: Required value")
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("clusterIP", "10.0.0.1")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])
    return obj


def _route(obj: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    spec = obj.get("spec") or {}
    for parent in spec.get("parentRefs", ()):
        parent.setdefault("group", "gateway.networking.k8s.io")
        parent.setdefault("kind", "Gateway")
    for rule in spec.get("rules", ()):
        rule.setdefault("matches", [{"path": {"type": "PathPrefix", "value": "/"}}])
        for match in rule["matches"]:
            match.setdefault("path", {"type": "PathPrefix", "value": "/"})
        for backend in rule.get("backendRefs", ()):
            backend.setdefault("group", "")
            backend.setdefault("kind", "Service")
            if not 0 <= backend.setdefault("weight", 1) <= 1_000_000:
                problems.append("spec.rules.backendRefs.weight: out of range")
    return obj


_BUILT_IN: Final[Mapping[str, Callable[[dict[str, Any], list[str]], dict[str, Any]]]] = {
    "Deployment": _deployment,
    "Service": _service,
    "HTTPRoute": _route,
}
