"""Breaks one bound of a schema at a time in an object that keeps them all."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sophia_operator.api.schema.structural import Schema
from sophia_operator.cli.object_check import path_text
from sophia_operator.cli.yaml_source import Path

REMOVED = object()


@dataclass(frozen=True)
class Mutation:
    """Put `value` at `path` (or take away what is there), which breaks `bound`; the refusal names `at`."""

    path: Path
    bound: str
    value: Any
    at: Path

    def __str__(self) -> str:
        return f"{path_text(self.at)}-{self.bound}"

    def apply(self, document: dict[str, Any]) -> dict[str, Any]:
        mutated = copy.deepcopy(document)
        holder: Any = mutated
        for part in self.path[:-1]:
            holder = holder[part]
        if self.value is REMOVED:
            del holder[self.path[-1]]
        else:
            holder[self.path[-1]] = self.value
        return mutated


def mutations(schema: Schema, value: Any, path: Path) -> Iterator[Mutation]:
    """One mutation for each bound at `path` and below, as far as `value` goes."""
    yield from _of_scalar(schema, value, path)
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            inner = (*path, name)
            if name in value:
                yield from mutations(child, value[name], inner)
            if name in schema.get("required", ()):
                yield Mutation(inner, "required", REMOVED, inner)
    elif isinstance(value, list):
        yield from _of_list(schema, value, path)
        for index, item in enumerate(value):
            yield from mutations(schema["items"], item, (*path, index))


def unset(schema: Schema, values: list[Any], path: str) -> Iterator[str]:
    """The fields of the schema that none of these values sets."""
    for name, child in schema.get("properties", {}).items():
        inner = [value[name] for value in values if isinstance(value, dict) and name in value]
        if inner:
            yield from unset(child, inner, f"{path}.{name}")
        else:
            yield f"{path}.{name}"
    if "items" in schema:
        yield from unset(schema["items"], [item for value in values for item in value], f"{path}[]")


def _of_scalar(schema: Schema, value: Any, path: Path) -> Iterator[Mutation]:
    def broken(bound: str, by: Any) -> Mutation:
        return Mutation(path, bound, by, path)

    is_text = isinstance(value, str)
    if "enum" in schema:
        yield broken("enum", "NotOneOfThem")
    if "minimum" in schema:
        yield broken("minimum", schema["minimum"] - 1)
    if "maximum" in schema:
        yield broken("maximum", schema["maximum"] + 1)
    if is_text and schema.get("minLength"):
        yield broken("minLength", "")
    if is_text and "maxLength" in schema:
        yield broken("maxLength", value + "a" * (schema["maxLength"] + 1 - len(value)))
    if "pattern" in schema:
        yield broken("pattern", next(text for text in ("!", " \n", "") if not re.search(schema["pattern"], text)))
    if schema.get("format") == "date-time":
        yield broken("format", "2030-13-01")
    if "type" in schema or "x-kubernetes-int-or-string" in schema:
        # A list would not do: the API server takes any list for a text that has a format.
        yield broken("type", {} if schema.get("type") not in ("array", "object") else "text")


def _of_list(schema: Schema, value: list[Any], path: Path) -> Iterator[Mutation]:
    if schema.get("minItems"):
        yield Mutation(path, "minItems", [], path)
    if "maxItems" in schema:
        yield Mutation(path, "maxItems", value[:1] * (schema["maxItems"] + 1), path)
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        yield Mutation(path, "duplicate", [*value, value[0]], (*path, len(value)))
