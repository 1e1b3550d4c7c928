"""The API's own rules, as checks over the YAML of a CRD: each function yields what is wrong, with its path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sophia_operator.api.model_endpoint import FRACTION_PATTERN

Schema = Mapping[str, Any]

# Words for time that a field's name must not end in: its unit comes last.
_TIMES: Final = frozenset(
    {
        "duration", "timeout", "interval", "period", "deadline", "window", "delay", "latency", "ttl", "age",
        "grace", "elapsed", "cooldown", "lifetime",
    }
)  # fmt: skip
_CONDITION: Final = frozenset({"type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"})
_UNITS: Final = {"Seconds": "second", "Ms": "millisecond", "Percent": "percent", "Bytes": "byte"}


def lint(crd: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a CRD; empty when nothing is."""
    problems: list[str] = []
    for version in crd["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            for path, node in _nodes(schema["properties"][part], part):
                problems += [f"{path}: {problem}" for problem in _lint_node(path, node)]
        problems += [f"status.conditions: {problem}" for problem in _lint_conditions(schema)]
        problems += [f"version {version['name']}: {problem}" for problem in _lint_subresources(version, schema)]
        for column in version["additionalPrinterColumns"]:
            problems += [f"column {column['name']}: {problem}" for problem in _lint_column(column, schema)]
    return problems


def _nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from _nodes(schema["additionalProperties"], f"{path}.*")


def _lint_node(path: str, node: Schema) -> Iterator[str]:
    name = path.rpartition(".")[2]
    if not name.endswith("[]") and name != "*":
        yield from _lint_field(name, node)
    match node.get("type"):
        case "number":
            yield "is a float; use a string with a pattern"
        case "array":
            if "x-kubernetes-list-type" not in node:
                yield "is a list without x-kubernetes-list-type"
            if "maxItems" not in node:
                yield "is a list without maxItems"
        case "string":
            if not node.keys() & {"maxLength", "enum", "format"}:
                yield "is a string without maxLength, enum or format"
        case "integer":
            if "minimum" not in node:
                yield "is an integer without minimum"
            if "maximum" not in node and path.startswith("spec"):
                yield "is an integer without maximum"
        case "object" if "additionalProperties" in node and "maxProperties" not in node:
            yield "is a map without maxProperties"


def _lint_field(name: str, node: Schema) -> Iterator[str]:
    description = node.get("description", "")
    if not description:
        yield "has no description"
    elif not description.endswith("."):
        yield "has a description that does not end with a full stop"
    if not re.fullmatch(r"[a-z][a-zA-Z0-9]*", name):
        yield "is not in camelCase"
    is_scalar = node.get("type") not in ("object", "array") and node.get("format") != "date-time"
    # How much a time counts, as in the weights of a score, is no time.
    is_share = node.get("pattern") == FRACTION_PATTERN
    if is_scalar and not is_share and re.split(r"(?=[A-Z])", name)[-1].lower() in _TIMES:
        yield "is a time whose name does not end in its unit"
    for suffix, word in _UNITS.items():
        if name.endswith(suffix) and word not in description:
            yield f"ends in {suffix}, and its description does not say {word}s"
    if name.endswith("Seconds") and node.get("type") != "integer":
        yield "ends in Seconds and is no integer"


def _lint_conditions(schema: Schema) -> Iterator[str]:
    conditions = schema["properties"]["status"].get("properties", {}).get("conditions")
    if conditions is None:
        yield "is missing"
        return
    if (conditions.get("x-kubernetes-list-type"), conditions.get("x-kubernetes-list-map-keys")) != ("map", ["type"]):
        yield "is not a map list keyed by type"
    if missing := _CONDITION - conditions["items"]["properties"].keys():
        yield f"lacks the fields {sorted(missing)}"


def _lint_subresources(version: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    subresources = version.get("subresources", {})
    if subresources.get("status") != {}:
        yield "has no status subresource"
    wanted = {"specReplicasPath": "integer", "statusReplicasPath": "integer", "labelSelectorPath": "string"}
    for key, path in subresources.get("scale", {}).items():
        if (found := _resolve(schema, path)) != wanted[key]:
            yield f"{key} {path} leads to {found}, not to {wanted[key]}"


def _lint_column(column: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    found = _resolve(schema, column["jsonPath"])
    if found is None:
        yield f"{column['jsonPath']} leads nowhere"
    elif found != column["type"]:
        yield f"{column['jsonPath']} leads to {found}, not to {column['type']}"


def _resolve(schema: Schema, path: str) -> str | None:
    """The type of the field that a JSON path leads to, as columns name types; None if there is no such field."""
    if path == ".metadata.creationTimestamp":
        return "date"
    node: Schema | None = schema
    for name, key in re.findall(r'\.(\w+)(?:\[\?\(@\.(\w+)=="\w+"\)\])?', path):
        node = (node or {}).get("properties", {}).get(name)
        if key:
            node = (node or {}).get("items")
            if key not in (node or {}).get("properties", {}):
                return None
    if not node:
        return None
    return "date" if node.get("format") == "date-time" else str(node.get("type"))
