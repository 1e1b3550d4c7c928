"""Renders `docs/reference/api.md`: every field of every kind, the rules, the conditions and their reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from hack.generate.parameters import render_parameters
from sophia_operator.api.common import API_VERSION
from sophia_operator.api.conditions import ConditionType, Reason
from sophia_operator.api.meanings import CONDITION_MEANINGS, REASON_MEANINGS
from sophia_operator.api.schema.crd import Kind, object_schema
from sophia_operator.api.schema.structural import Schema

HEADER: Final = """\
<!-- Generated from the models by `make generate`. Do not edit. -->
# API reference

All kinds are of the group and version `{api_version}` and live in namespaces. Numbers with fractions are
strings, as in `"99.5"`. Names of fields that hold times end in their unit. Fields that are not marked
*required* may be left out.
"""
# A part of at least this many fields that was listed before is referred to, not listed again.
_REPEATED: Final = 8


@dataclass(frozen=True)
class Row:
    """One field: where it is, and its schema."""

    path: str
    schema: Schema
    required: bool
    same_as: str = ""


class _WithComputedDefaults(GenerateJsonSchema):
    """Shows defaults that the models compute, too; the CRD leaves those to the operator."""

    def get_default_value(self, schema: Any) -> Any:
        factory = schema.get("default_factory")
        return factory() if factory else super().get_default_value(schema)


class _Walker:
    """Lists the fields of schemas, and remembers the larger parts it has listed."""

    def __init__(self) -> None:
        self._listed: dict[str, str] = {}

    def rows(self, schema: Schema, path: str) -> Iterator[Row]:
        required = schema.get("required", ())
        for name, child in schema.get("properties", {}).items():
            yield from self._field(child, f"{path}.{name}", name in required)

    def _field(self, schema: Schema, path: str, required: bool) -> Iterator[Row]:
        inner, inner_path = _holder_of_fields(schema, path)
        size = _count_fields(inner)
        key = json.dumps({k: v for k, v in inner.items() if k not in ("description", "default")}, sort_keys=True)
        if size >= _REPEATED and key in self._listed:
            yield Row(path, schema, required, same_as=self._listed[key])
            return
        self._listed.setdefault(key, inner_path)
        yield Row(path, schema, required)
        yield from self.rows(inner, inner_path)


def render_reference(kinds: Sequence[Kind]) -> str:
    """The whole page, in Markdown."""
    walker = _Walker()
    parts = [HEADER.format(api_version=API_VERSION)]
    parts += [_render_kind(kind, walker) for kind in kinds]
    parts += [render_parameters(_cell), _render_meanings()]
    return "\n".join(parts)


def _render_kind(kind: Kind, walker: _Walker) -> str:
    schema = object_schema(kind, generator=_WithComputedDefaults)
    names = ", ".join(f"`{name}`" for name in (kind.plural, kind.name.lower(), *kind.short_names))
    lines = [
        f"## {kind.name}",
        "",
        schema["description"],
        "",
        f"Names for kubectl: {names}. Category: `sophia`.",
        "",
    ]
    if kind.scale:
        lines += [
            f"It has the scale subresource (`{kind.scale.spec_replicas.lstrip('.')}`): `kubectl scale` and "
            "autoscalers can size it.",
            "",
        ]
    for part in ("spec", "status"):
        lines += [
            f"### {kind.name} {part}",
            "",
            "| field | type | default | bounds | description |",
            "|---|---|---|---|---|",
        ]
        lines += [_render_row(row) for row in walker.rows(schema["properties"][part], part)]
        lines.append("")
    lines += [f"### {kind.name} rules", "", "| where | what must hold |", "|---|---|"]
    lines += [f"| {_code(path)} | {_cell(message)} |" for path, message in _rules(schema, "")]
    lines += ["", f"### {kind.name} columns", "", "| column | shown | what it says |", "|---|---|---|"]
    for column in kind.columns:
        shown = "with `-o wide`" if column.priority else "always"
        lines.append(f"| {column.name} | {shown} | {_cell(column.description or 'Time since it was created.')} |")
    return "\n".join([*lines, ""])


def _render_row(row: Row) -> str:
    schema = row.schema
    description = schema.get("description", "")
    if row.same_as:
        description += f" The same fields as `{row.same_as}`."
    if row.required:
        default = "*required*"
    elif "default" in schema:
        default = _default(schema["default"])
    else:
        default = ""
    cells = (_code(row.path), _type(schema), default, _bounds(schema), description)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _default(value: Any) -> str:
    text = json.dumps(value)
    # Whole parts show their defaults field by field below; `{}` and lists of nothing say enough.
    return _code(text) if len(text) <= 40 or isinstance(value, list) else "see its fields"


def _holder_of_fields(schema: Schema, path: str) -> tuple[Schema, str]:
    while True:
        if schema.get("type") == "array":
            schema, path = schema["items"], f"{path}[]"
        elif "additionalProperties" in schema:
            schema, path = schema["additionalProperties"], f"{path}.*"
        else:
            return schema, path


def _count_fields(schema: Schema) -> int:
    children = [_holder_of_fields(child, "")[0] for child in schema.get("properties", {}).values()]
    return len(children) + sum(_count_fields(child) for child in children)


def _type(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return "object, any fields" if schema.get("type") else "any"
    if schema["type"] == "array":
        inner = schema["items"]
        return f"list of {_type(inner)}" + (
            f" ({_bounds(inner)})" if inner["type"] != "object" and _bounds(inner) else ""
        )
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    return "time (RFC 3339)" if schema.get("format") == "date-time" else str(schema["type"])


def _bounds(schema: Schema) -> str:
    parts = []
    if "enum" in schema:
        parts.append("one of " + ", ".join(_code(value) for value in schema["enum"]))
    parts += _range(schema.get("minimum"), schema.get("maximum"), "")
    parts += _range(schema.get("minLength"), schema.get("maxLength"), " characters")
    parts += _range(schema.get("minItems"), schema.get("maxItems"), " items")
    parts += _range(schema.get("minProperties"), schema.get("maxProperties"), " entries")
    if "pattern" in schema:
        parts.append(_code(schema["pattern"]))
    if keys := schema.get("x-kubernetes-list-map-keys"):
        parts.append("unique by " + ", ".join(_code(key) for key in keys))
    if schema.get("x-kubernetes-list-type") == "set":
        parts.append("unique")
    return "; ".join(parts)


def _range(low: int | None, high: int | None, unit: str) -> list[str]:
    if low is not None and high is not None:
        return [f"{low:,} to {high:,}{unit}"]
    if high is not None:
        return [f"at most {high:,}{unit}"]
    return [] if low is None else [f"at least {low:,}{unit}"]


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path.lstrip(".") or "the whole object", rule["message"]
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            yield from _rules(schema[keyword], path + suffix)


def _render_meanings() -> str:
    lines = ["## Conditions", "", "| type | what it says |", "|---|---|"]
    lines += [f"| `{kind}` | {_cell(_meaning(CONDITION_MEANINGS, kind))} |" for kind in ConditionType]
    lines += ["", "## Reasons", "", "| reason | what it means |", "|---|---|"]
    lines += [f"| `{reason}` | {_cell(_meaning(REASON_MEANINGS, reason))} |" for reason in Reason]
    return "\n".join([*lines, ""])


def _meaning(meanings: Mapping[Any, str], member: StrEnum) -> str:
    if member not in meanings:
        raise SystemExit(f"{type(member).__name__}.{member.name} has no line in sophia_operator/api/meanings.py")
    return meanings[member]


def _code(value: object) -> str:
    return f"`{value}`" if value != "the whole object" else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
