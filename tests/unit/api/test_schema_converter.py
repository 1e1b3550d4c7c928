"""The converter passes what a CRD can hold, and names the place and the keyword of everything else."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sophia_operator.api.schema.structural import Schema, SchemaError, convert_document, structural_schema


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Colour(StrEnum):
    BLUE = "Blue"
    GREEN = "Green"


class Stage(Camel):
    """One step of
    a plan."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"x-kubernetes-validations": [{"rule": "self.a > 0", "message": "type's rule"}]},
    )

    weight_percent: int = Field(ge=1, le=100, description="Share in percent.")
    note: str | None = Field(None, max_length=10, description="A note.")


def convert(node: Schema, **definitions: Schema) -> Schema:
    return convert_document({**node, "$defs": definitions}, "Doc")


def field(annotation: Any, default: Any = ..., **extra: Any) -> Schema:
    """Convert a model with one field `x` of this annotation, and return the schema of that field."""

    class Doc(Camel):
        x: annotation = Field(default, **extra)

    schema: Schema = structural_schema(Doc)["properties"]["x"]
    return schema


def test_a_reference_is_inlined_and_the_place_overrules_the_type() -> None:
    rule = {"rule": "true", "message": "place's rule"}
    schema = field(Stage, description="The first.", json_schema_extra={"x-kubernetes-validations": [rule]})
    assert schema == {
        "description": "The first.",
        "type": "object",
        "required": ["weightPercent"],
        "properties": {
            "weightPercent": {
                "description": "Share in percent.",
                "type": "integer",
                "minimum": 1,
                "maximum": 100,
            },
            "note": {"description": "A note.", "type": "string", "maxLength": 10},
        },
        "x-kubernetes-validations": [{"rule": "self.a > 0", "message": "type's rule"}, rule],
    }


def test_a_docstring_describes_where_the_field_does_not() -> None:
    assert field(Stage)["description"] == "One step of a plan."


def test_optional_means_absent_and_a_null_default_is_none_at_all() -> None:
    assert field(str | None, None, max_length=5) == {"type": "string", "maxLength": 5}
    assert field(Stage | None, None)["type"] == "object"


def test_a_default_is_kept_without_the_nulls_inside_it() -> None:
    assert field(Stage, Stage(weight_percent=10))["default"] == {"weightPercent": 10}
    assert field(list[Stage], [Stage(weight_percent=10)])["default"] == [{"weightPercent": 10}]
    assert field(bool, False)["default"] is False


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Colour, {"type": "string", "enum": ["Blue", "Green"]}),
        (Literal["Only"], {"type": "string", "enum": ["Only"]}),
        (datetime, {"type": "string", "format": "date-time"}),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer"}),
        (Annotated[int, Field(ge=0, le=9)], {"type": "integer", "minimum": 0, "maximum": 9}),
        (dict[str, str], {"type": "object", "additionalProperties": {"type": "string"}}),
        (Annotated[str, Field(pattern="^a+$")], {"type": "string", "pattern": "^a+$"}),
    ],
)
def test_plain_types(annotation: Any, expected: Schema) -> None:
    assert field(annotation) == expected


def test_int_or_string_keeps_the_bounds_of_both() -> None:
    schema = field(Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern="^[0-9]+%$")] | None, None)
    assert schema == {"pattern": "^[0-9]+%$", "minimum": 0, "x-kubernetes-int-or-string": True}


def test_lists_carry_their_type_keys_and_bounds() -> None:
    extra = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["weightPercent"]}
    schema = field(list[Stage], max_length=10, json_schema_extra=extra)
    assert schema["maxItems"] == 10
    assert schema["x-kubernetes-list-map-keys"] == ["weightPercent"]
    assert schema["items"]["type"] == "object"


def test_free_form_objects_must_say_so() -> None:
    preserve = {"x-kubernetes-preserve-unknown-fields": True}
    assert field(dict[str, Any], json_schema_extra=preserve) == {"type": "object", **preserve}
    assert field(Any, None, json_schema_extra=preserve) == preserve


def test_keywords_come_in_one_order() -> None:
    schema = convert({"maxLength": 3, "type": "string", "minLength": 1, "description": "D."})
    assert list(schema) == ["description", "type", "minLength", "maxLength"]


class Recursive(Camel):
    child: Recursive | None = None


class Cat(Camel):
    kind: Literal["cat"]


class Dog(Camel):
    kind: Literal["dog"]


@pytest.mark.parametrize(
    ("annotation", "keyword"),
    [
        (set[str], "uniqueItems"),
        (float, "type"),
        (tuple[int, str], "prefixItems"),
        (Annotated[int, Field(gt=0)], "exclusiveMinimum"),
        (Annotated[int, Field(lt=9)], "exclusiveMaximum"),
        (Annotated[Cat | Dog, Field(discriminator="kind")], "oneOf"),
        (Cat | Dog, "anyOf"),
        (int | bool, "anyOf"),
        (dict[str, Any], "additionalProperties"),
        (dict[Annotated[str, Field(max_length=4)], str], "propertyNames"),
        (Any, "type"),
        (list[Any], "type"),
    ],
)
def test_what_a_crd_cannot_hold_is_refused_by_place_and_keyword(annotation: Any, keyword: str) -> None:
    with pytest.raises(SchemaError, match=rf"^Doc\.x(\[\*\])?: {keyword}: ") as caught:
        field(annotation)
    assert caught.value.keyword == keyword


def test_a_float_is_refused_with_the_way_out() -> None:
    with pytest.raises(SchemaError, match="use a string with a pattern"):
        field(float)


def test_recursion_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"Recursive\.child: \$ref: Recursive contains itself"):
        structural_schema(Recursive)


def test_two_uses_of_one_type_are_not_recursion() -> None:
    leaf = {"type": "string"}
    schema = convert({"type": "object", "properties": {"a": {"$ref": "#/$defs/L"}, "b": {"$ref": "#/$defs/L"}}}, L=leaf)
    assert schema["properties"] == {"a": leaf, "b": leaf}


@pytest.mark.parametrize(
    ("node", "keyword"),
    [
        (
            {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
            "additionalProperties",
        ),
        ({"type": "object", "patternProperties": {}}, "patternProperties"),
        ({"type": "string", "maximum": 3}, "maximum"),
        ({"type": "string", "format": "hostname-ish"}, "format"),
        ({"type": "string", "neverHeardOf": 1}, "neverHeardOf"),
        ({"type": "string", "x-kubernetes-sparkles": True}, "x-kubernetes-sparkles"),
        ({"type": ["string", "null"]}, "type"),
        ({"$ref": "#/$defs/Gone"}, "$ref"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array"}, "items"),
        (
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "bag"},
            "x-kubernetes-list-type",
        ),
        (
            {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"},
            "x-kubernetes-list-map-keys",
        ),
        ({"type": "string", "x-kubernetes-validations": [{"rule": "true"}]}, "x-kubernetes-validations"),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": False},
            "x-kubernetes-preserve-unknown-fields",
        ),
    ],
)
def test_unknown_or_misplaced_keywords_are_refused(node: Schema, keyword: str) -> None:
    with pytest.raises(SchemaError) as caught:
        convert(node)
    assert caught.value.keyword == keyword


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ({"type": "object", "properties": {}}, "the items have no name"),
        (
            {"type": "object", "properties": {"name": {"type": "string"}}},
            "name must be required or defaulted",
        ),
    ],
)
def test_the_keys_of_a_map_list_must_exist_and_be_set(items: Schema, problem: str) -> None:
    node = {"type": "array", "items": items}
    node |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    with pytest.raises(SchemaError, match=problem):
        convert(node)
