"""What of a pod users may decide, of every kind whose pods the operator makes."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from sophia_operator.api.common import ATOMIC_LIST, PRESERVE_UNKNOWN, ApiModel, ObjectName, PreservedObject

LabelValue = Annotated[str, Field(max_length=63)]
AnnotationValue = Annotated[str, Field(max_length=4096)]
_FEW: Final[dict[str, Any]] = {"maxProperties": 32}


class PodSettings(ApiModel):
    """Where pods run, and what they are marked with."""

    node_selector: dict[str, LabelValue] = Field(
        default_factory=dict, json_schema_extra=_FEW, description="Labels that the node must have."
    )
    affinity: dict[str, Any] = Field(
        default_factory=dict, json_schema_extra=PRESERVE_UNKNOWN, description="Affinity of the pods."
    )
    tolerations: list[PreservedObject] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=ATOMIC_LIST,
        description="Tolerations of the pods.",
    )
    topology_spread_constraints: list[PreservedObject] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=ATOMIC_LIST,
        description="How the pods are spread; over nodes, where possible, when absent.",
    )
    priority_class_name: ObjectName | None = Field(None, description="Priority of the pods.")
    labels: dict[str, LabelValue] = Field(
        default_factory=dict, json_schema_extra=_FEW, description="Further labels of the pods."
    )
    annotations: dict[str, AnnotationValue] = Field(
        default_factory=dict, json_schema_extra=_FEW, description="Further annotations of the pods."
    )
