"""Converts a pydantic model into the structural OpenAPI v3 schema that a CustomResourceDefinition takes.

The API server refuses some of what pydantic emits (`$ref`, `anyOf` with null, `uniqueItems`) and, worse,
silently drops some (`const`, `prefixItems`, `discriminator`): the model would promise what the cluster does
not check. So only what is known to work passes here; everything else is a `SchemaError` at generation time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

# The order in which keywords are written, so that two runs give the same bytes and people find things.
KEYWORD_ORDER: Final = (
    "description", "type", "format", "default", "enum", "pattern", "minLength", "maxLength",
    "minimum", "maximum", "multipleOf", "minItems", "maxItems", "minProperties", "maxProperties", "required",
    "properties", "additionalProperties", "items", "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys", "x-kubernetes-list-type",
    "x-kubernetes-map-type", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
)  # fmt: skip

_EVERYWHERE: Final = frozenset({"description", "default", "enum", "x-kubernetes-validations"})
_KEYWORDS_OF: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"type", "format", "pattern", "minLength", "maxLength"}),
    # No format: it bounds nothing that minimum and maximum do not, and gives users a second, worse message.
    "integer": frozenset({"type", "minimum", "maximum", "multipleOf"}),
    "boolean": frozenset({"type"}),
    "array": frozenset(
        {"type", "items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
    ),
    "object": frozenset(
        {
            "type", "properties", "required", "additionalProperties", "minProperties", "maxProperties",
            "x-kubernetes-map-type", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
        }
    ),
    "int-or-string": frozenset(
        {"x-kubernetes-int-or-string", "pattern", "minLength", "maxLength", "minimum", "maximum"}
    ),
    "any": frozenset({"x-kubernetes-preserve-unknown-fields"}),
}  # fmt: skip

# Keywords that change nothing about which objects are accepted, and that CRDs have no place for.
_ANNOTATIONS: Final = frozenset({"title", "examples"})
_FORMATS: Final = frozenset({"date-time", "ipv4", "ipv6", "uuid", "byte"})

_HINTS: Final[Mapping[str, str]] = {
    "uniqueItems": "declare x-kubernetes-list-type: set (or map with keys) on a list instead of using a set",
    "oneOf": "use optional fields and a CEL rule that exactly one is set",
    "anyOf": "only T | None and int | str can be expressed; use optional fields and a CEL rule",
    "allOf": "combine the constraints in one type",
    "not": "write a CEL rule",
    "discriminator": "the API server drops it; use optional fields and a CEL rule that exactly one is set",
    "prefixItems": "the API server drops it; use an object with named fields instead of a tuple",
    "const": "use an enum with one value",
    "exclusiveMinimum": "use ge with the next larger integer",
    "exclusiveMaximum": "use le with the next smaller integer",
    "propertyNames": "take plain str as the map's key type, and check keys in a CEL rule",
    "patternProperties": "take plain str as the map's key type, and check keys in a CEL rule",
    "deprecated": "say so in the description",
}


class SchemaError(Exception):
    """A model uses something that a CRD cannot express. Carries where (`path`) and what (`keyword`)."""

    def __init__(self, path: str, keyword: str, problem: str) -> None:
        super().__init__(f"{path}: {keyword}: {problem}")
        self.path = path
        self.keyword = keyword


def structural_schema(model: type[BaseModel], path: str | None = None) -> Schema:
    """Return the structural schema of `model`, by alias, as the API server takes it.

    `path` is how errors name the root (default: the model's name). Raises `SchemaError` on anything that the
    API server would refuse or ignore.
    """
    document = model.model_json_schema(by_alias=True, mode="validation")
    return convert_document(document, path or model.__name__)


def convert_document(document: Mapping[str, Any], path: str) -> Schema:
    """Convert one JSON schema document with its `$defs`. See `structural_schema`."""
    root = {key: value for key, value in document.items() if key != "$defs"}
    return _Converter(document.get("$defs", {})).convert(root, path, ())


class _Converter:
    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, node: Mapping[str, Any], path: str, within: tuple[str, ...]) -> Schema:
        """`within` names the definitions that enclose this node; meeting one again means recursion."""
        flat, within = self._flatten(dict(node), path, within)
        for keyword in _ANNOTATIONS:
            flat.pop(keyword, None)
        if "const" in flat:
            flat["enum"] = [flat.pop("const")]
        kind = _kind_of(flat, path)
        allowed = _KEYWORDS_OF[kind] | _EVERYWHERE
        for keyword in flat:
            if keyword not in allowed:
                raise SchemaError(path, keyword, _HINTS.get(keyword, f"not known here for the kind {kind}"))
        _check_extensions(flat, path)
        if kind == "object":
            self._convert_object(flat, path, within)
        elif kind == "array":
            self._convert_array(flat, path, within)
        _check_format(flat, path)
        _tidy(flat)
        return {keyword: flat[keyword] for keyword in KEYWORD_ORDER if keyword in flat}

    def _flatten(self, node: Schema, path: str, within: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """Replace references and optional wrappers by what they stand for, until neither is left."""
        while True:
            if "$ref" in node:
                name = str(node.pop("$ref")).removeprefix("#/$defs/")
                if name in within:
                    raise SchemaError(path, "$ref", f"{name} contains itself; a CRD cannot hold recursion")
                if name not in self._definitions:
                    raise SchemaError(path, "$ref", f"no definition {name}")
                within = (*within, name)
                node = _overlay(self._definitions[name], node)
            elif "anyOf" in node:
                node = _flatten_any_of(node, path)
            else:
                return node, within

    def _convert_object(self, node: Schema, path: str, within: tuple[str, ...]) -> None:
        properties = node.pop("properties", None)
        additional = node.pop("additionalProperties", None)
        if properties is not None:
            # False only says that unknown fields are refused; the API server prunes or refuses them anyway.
            if additional not in (None, False):
                raise SchemaError(path, "additionalProperties", "cannot stand beside properties")
            node["properties"] = {
                name: self.convert(child, f"{path}.{name}", within) for name, child in properties.items()
            }
            if not node["properties"]:
                del node["properties"]
        elif additional in (True, {}):
            if not node.get("x-kubernetes-preserve-unknown-fields"):
                raise SchemaError(
                    path,
                    "additionalProperties",
                    "the values have no type; give them one, or set x-kubernetes-preserve-unknown-fields",
                )
        elif additional not in (None, False):
            node["additionalProperties"] = self.convert(additional, f"{path}[*]", within)

    def _convert_array(self, node: Schema, path: str, within: tuple[str, ...]) -> None:
        if "items" not in node:
            raise SchemaError(path, "items", "a list must say what it holds")
        node["items"] = self.convert(node["items"], f"{path}[*]", within)
        list_type = node.get("x-kubernetes-list-type")
        keys = node.get("x-kubernetes-list-map-keys")
        if (list_type == "map") != bool(keys):
            raise SchemaError(path, "x-kubernetes-list-map-keys", "goes with list type map, and only with it")
        items = node["items"]
        for key in keys or ():
            if key not in items.get("properties", {}):
                raise SchemaError(path, "x-kubernetes-list-map-keys", f"the items have no {key}")
            if key not in items.get("required", ()) and "default" not in items["properties"][key]:
                raise SchemaError(path, "x-kubernetes-list-map-keys", f"{key} must be required or defaulted")


def _flatten_any_of(node: Schema, path: str) -> Schema:
    branches = [branch for branch in node.pop("anyOf") if branch != {"type": "null"}]
    if len(branches) == 1:
        return _overlay(branches[0], node)
    types = sorted(str(branch.get("type")) for branch in branches)
    if types != ["integer", "string"]:
        raise SchemaError(path, "anyOf", _HINTS["anyOf"])
    merged: Schema = {"x-kubernetes-int-or-string": True}
    for branch in branches:
        # The bounds of both can stand side by side: minimum holds for numbers only, pattern for strings only.
        merged |= {keyword: value for keyword, value in branch.items() if keyword != "type"}
    return _overlay(merged, node)


def _overlay(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> Schema:
    """What the place says (description, default, bounds) beats what the type says; rules of both hold."""
    merged = {**inner, **outer}
    rules = [*inner.get("x-kubernetes-validations", ()), *outer.get("x-kubernetes-validations", ())]
    if rules:
        merged["x-kubernetes-validations"] = rules
    return merged


def _kind_of(node: Schema, path: str) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    kind = node.get("type")
    if kind is None:
        for keyword in ("oneOf", "allOf", "not"):
            if keyword in node:
                raise SchemaError(path, keyword, _HINTS[keyword])
        if node.get("x-kubernetes-preserve-unknown-fields"):
            return "any"
        raise SchemaError(path, "type", "missing; give it one, or set x-kubernetes-preserve-unknown-fields")
    if kind == "number":
        raise SchemaError(path, "type", "number: floats lose digits on round trips; use a string with a pattern")
    if not isinstance(kind, str) or kind not in _KEYWORDS_OF:
        raise SchemaError(path, "type", f"{kind} is not a type that a CRD can hold")
    return kind


def _check_format(node: Schema, path: str) -> None:
    if "format" in node and node["format"] not in _FORMATS:
        raise SchemaError(path, "format", f"{node['format']} is not checked by the API server; use a pattern")


def _check_extensions(node: Schema, path: str) -> None:
    for keyword, is_valid in _EXTENSIONS.items():
        if keyword in node and not is_valid(node[keyword]):
            raise SchemaError(path, keyword, f"{node[keyword]!r} is not a value for it")


def _are_rules(rules: object) -> bool:
    # Without a message users are shown CEL, also when a messageExpression fails.
    fields = {"rule", "message", "messageExpression", "reason", "fieldPath", "optionalOldSelf"}
    return isinstance(rules, list) and all(
        isinstance(rule, Mapping) and {"rule", "message"} <= set(rule) <= fields for rule in rules
    )


def _is_true(value: object) -> bool:
    return value is True


_EXTENSIONS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "x-kubernetes-validations": _are_rules,
    "x-kubernetes-list-type": lambda value: value in ("atomic", "set", "map"),
    "x-kubernetes-list-map-keys": lambda value: isinstance(value, list) and bool(value),
    "x-kubernetes-map-type": lambda value: value in ("atomic", "granular"),
    "x-kubernetes-preserve-unknown-fields": _is_true,
    "x-kubernetes-int-or-string": _is_true,
    "x-kubernetes-embedded-resource": _is_true,
}


def _tidy(node: Schema) -> None:
    if "description" in node:
        paragraphs = str(node["description"]).split("\n\n")
        node["description"] = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    if "default" in node:
        # None means "not set" in the models; in a CRD that is the absence of a default.
        if node["default"] is None:
            del node["default"]
        else:
            node["default"] = _without_nulls(node["default"])


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without_nulls(child) for child in value]
    return value
