"""Checks one object as the API server would, as far as that is possible without a cluster."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sophia_operator.api.common import API_VERSION, DNS_SUBDOMAIN_PATTERN, GROUP
from sophia_operator.api.managed_service import Bindings
from sophia_operator.api.schema.crd import Kind, object_schema
from sophia_operator.api.schema.kinds import KINDS, MANAGED_SERVICE
from sophia_operator.api.schema.structural import Schema
from sophia_operator.cli.yaml_source import Document, Path
from sophia_operator.core.render.obstacles import obstacles, unseen

_KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in KINDS}
_MAX_NAME: Final = 253
_METADATA: Final = frozenset(
    {
        "name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "uid",
        "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "managedFields", "selfLink",
    }
)  # fmt: skip

# pydantic's words, and ours: what must be, rather than what "Input" should.
_WORDING: Final = (
    ("Field required", "required"),
    ("Extra inputs are not permitted", "unknown field"),
    ("Value error, ", ""),
    ("Input should be ", "must be "),
    ("String should ", "must "),
    ("List should ", "must "),
    ("Dictionary should ", "must "),
    (" after validation", ""),
    ("a valid dictionary", "an object"),
    ("a valid array", "a list"),
    ("a valid integer", "an integer"),
    ("a valid ", "a "),
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the path to it from the top of the object."""

    path: Path
    message: str


def is_ours(value: Any) -> bool:
    """Whether this is an object of our group, or is so close to one that it was meant to be."""
    if not isinstance(value, Mapping):
        return False
    group, _, _ = str(value.get("apiVersion", "")).partition("/")
    if group == GROUP:
        return True
    return value.get("kind") in _KINDS and bool(difflib.get_close_matches(group, [GROUP], cutoff=0.75))


def check_object(document: Document) -> Iterator[Problem]:
    """Every problem of an object for which `is_ours` holds."""
    value = document.value
    yield from (Problem(path, "is there twice") for path in document.twice)
    if value.get("apiVersion") != API_VERSION:
        yield Problem(("apiVersion",), f"must be {API_VERSION}")
    name = value.get("kind")
    if name not in _KINDS:
        yield Problem(("kind",), f"no kind {name} in {GROUP}{_did_you_mean(str(name), _KINDS)}")
        return
    kind = _KINDS[name]
    if isinstance(value.get("metadata"), Mapping):
        yield from _check_metadata(value["metadata"])
    else:
        yield Problem(("metadata",), "required, with a name")
        value = {**value, "metadata": {}}
    yield from _check_model(kind, value)
    for part in ("spec", "status"):
        yield from _check_twins(_schema(kind)["properties"][part], value.get(part), (part,))
    if kind is MANAGED_SERVICE:
        yield from _check_bindings(value.get("spec"))


def path_text(path: Path) -> str:
    """The path as people write it: `spec.rollout.stages[1].weightPercent`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "(object)"


def _check_bindings(spec: Any) -> Iterator[Problem]:
    """What the operator would refuse: the API server does not look into the template."""
    if not isinstance(spec, Mapping) or not isinstance(spec.get("template"), Mapping):
        return
    try:
        bindings = Bindings.model_validate(spec.get("bindings") or {})
    except ValidationError:
        return  # told already
    for words in obstacles(spec["template"], unseen(bindings)):
        yield Problem(("spec", "bindings"), words)


@cache
def _schema(kind: Kind) -> Schema:
    return object_schema(kind)


def _check_model(kind: Kind, value: Mapping[str, Any]) -> Iterator[Problem]:
    # By way of JSON, strictly, and by the names that users write: numbers in quotes and names in snake_case would
    # pass otherwise, and not in the cluster. Nulls are taken out as the API server does.
    text = json.dumps(_without_nulls(value))
    try:
        kind.model.model_validate_json(text, strict=True, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as failure:
        yield from _problems(kind, value, failure.errors(include_url=False))


def _problems(kind: Kind, value: Any, errors: Iterable[ErrorDetails]) -> Iterator[Problem]:
    merged: dict[Path, list[str]] = {}
    given: dict[Path, str] = {}
    for error in errors:
        path = tuple(error["loc"])
        if error["type"] != "missing":
            # The last parts may name a branch of `integer or string`, which is nothing that users wrote.
            path = path[: _depth(value, path)]
        message = _wording(error)
        if error["type"] == "extra_forbidden":
            message += _did_you_mean(str(path[-1]), _at(_schema(kind), path[:-1]).get("properties", {}))
        messages = merged.setdefault(path, [])
        if message not in messages:
            messages.append(message)
        given[path] = _given(error)
    for path, messages in merged.items():
        yield Problem(path, " or ".join(messages) + given[path])


def _wording(error: ErrorDetails) -> str:
    message = error["msg"]
    for theirs, ours in _WORDING:
        message = message.replace(theirs, ours)
    return message


def _given(error: ErrorDetails) -> str:
    value = error["input"]
    if error["type"] in ("missing", "extra_forbidden", "value_error") or not isinstance(value, str | int | float):
        return ""
    return f", not {_shortened(json.dumps(value))}"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def _depth(value: Any, path: Path) -> int:
    """How many parts of the path are there in the value."""
    for depth, part in enumerate(path):
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        else:
            return depth
    return len(path)


def _at(schema: Schema, path: Path) -> Schema:
    for part in path:
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part) or schema.get("additionalProperties", {})
    return schema


def _did_you_mean(name: str, candidates: Iterable[str]) -> str:
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.lower().replace("_", ""), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def _check_metadata(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    at: Path = ("metadata",)
    for key in metadata:
        if key not in _METADATA:
            yield Problem((*at, key), f"unknown field{_did_you_mean(str(key), _METADATA)}")
    name = metadata.get("name")
    if name is None:
        if not metadata.get("generateName"):
            yield Problem((*at, "name"), "required")
    elif not isinstance(name, str):
        yield Problem((*at, "name"), f"must be a string, not {json.dumps(name)}")
    elif len(name) > _MAX_NAME or not re.search(DNS_SUBDOMAIN_PATTERN, name):
        yield Problem((*at, "name"), "must hold only a-z, 0-9, - and ., and start and end with a letter or number")
    for part in ("labels", "annotations"):
        entries = metadata.get(part) or {}
        if not isinstance(entries, Mapping):
            yield Problem((*at, part), "must be an object")
            continue
        for key, entry in entries.items():
            if not isinstance(entry, str):
                yield Problem((*at, part, key), f"must be a string, not {json.dumps(entry)}; put it in quotes")


def _check_twins(schema: Schema, value: Any, path: Path) -> Iterator[Problem]:
    """Items of sets, and of lists with keys, that are there twice."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            inner = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if inner:
                yield from _check_twins(inner, child, (*path, name))
    elif isinstance(value, list) and "items" in schema:
        first: dict[str, int] = {}
        for index, item in enumerate(value):
            yield from _check_twins(schema["items"], item, (*path, index))
            identity = _identity(schema, item)
            if identity is not None and first.setdefault(identity, index) != index:
                yield Problem((*path, index), f"a duplicate of {path_text(path)}[{first[identity]}]")


def _identity(schema: Schema, item: Any) -> str | None:
    """What must be unique of an item, as JSON; None where twins are welcome."""
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return json.dumps(item, sort_keys=True)
        case "map" if isinstance(item, Mapping):
            properties = schema["items"]["properties"]
            keys = schema["x-kubernetes-list-map-keys"]
            return json.dumps([item.get(key, properties[key].get("default")) for key in keys])
        case _:
            return None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without_nulls(child) for child in value]
    return value
