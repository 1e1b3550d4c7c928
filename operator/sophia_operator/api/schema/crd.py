"""Builds CustomResourceDefinitions from a declaration of each kind and the schemas of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from sophia_operator.api.common import GROUP, VERSION
from sophia_operator.api.schema.structural import Schema, convert_document

GENERATED_HEADER: Final = (
    "# Generated from the models in operator/sophia_operator/api by `make generate`. Do not edit.\n"
)

_STANDARD_PROPERTIES: Final[Mapping[str, Schema]] = {
    "apiVersion": {"description": "Version of the schema that this object follows.", "type": "string"},
    "kind": {"description": "Kind of this object.", "type": "string"},
    "metadata": {"type": "object"},  # the API server refuses anything else here, even a description
}


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`. `priority` 0 is always shown, 1 only with `-o wide`."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    description: str = ""
    priority: int = 0

    def to_dict(self) -> dict[str, Any]:
        column: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            column["description"] = self.description
        if self.priority:
            column["priority"] = self.priority
        return column


@dataclass(frozen=True)
class Scale:
    """Paths of the scale subresource, by which `kubectl scale` and autoscalers size an object."""

    spec_replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    selector: str = ".status.selector"

    def to_dict(self) -> dict[str, str]:
        return {
            "specReplicasPath": self.spec_replicas,
            "statusReplicasPath": self.status_replicas,
            "labelSelectorPath": self.selector,
        }


@dataclass(frozen=True)
class Kind:
    """A kind of the group `sophia.ai`: its names, its models and how it is shown.

    `model` is the whole object; its fields `spec` and `status` become the schema, and the CEL rules on the
    model itself hold for the whole object (where `self.metadata.name` can be read).
    """

    name: str
    plural: str
    short_names: Sequence[str]
    model: type[BaseModel]
    columns: Sequence[Column]
    scale: Scale | None = None

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{GROUP}"


def object_schema(kind: Kind, generator: type[GenerateJsonSchema] = GenerateJsonSchema) -> Schema:
    """The schema of a whole object of this kind, with the standard fields as the API server wants them.

    `generator` is what pydantic's part of the work is done with; documentation brings its own.
    """
    document = kind.model.model_json_schema(by_alias=True, mode="validation", schema_generator=generator)
    # The API server checks the standard fields itself, and takes no schema of ours for them.
    document["properties"] = {name: document["properties"][name] for name in ("spec", "status")}
    document["required"] = ["spec"]
    schema = convert_document(document, kind.name)
    schema["properties"] = {**_STANDARD_PROPERTIES, **schema["properties"]}
    return schema


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    """The CRD of this kind, as `kubectl apply` takes it. Raises `SchemaError` if the models do not fit."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scale:
        subresources["scale"] = kind.scale.to_dict()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": kind.crd_name,
            "labels": {"app.kubernetes.io/name": "sophia-operator", "app.kubernetes.io/part-of": "sophia"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": list(kind.short_names),
                "categories": ["sophia"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [column.to_dict() for column in kind.columns],
                    "subresources": subresources,
                    "schema": {"openAPIV3Schema": object_schema(kind)},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes every value out: anchors would make the file unreadable, and some tools refuse them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def to_yaml(document: Mapping[str, Any]) -> str:
    """YAML in the order of the mapping's keys; the same input gives the same bytes."""
    return yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def render_crd(kind: Kind) -> str:
    """The file in `crds/` for this kind."""
    return GENERATED_HEADER + to_yaml(custom_resource_definition(kind))
