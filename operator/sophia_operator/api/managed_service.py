"""ManagedService: a workload that is rolled out blue-green."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import (
    PRESERVE_UNKNOWN,
    SET_LIST,
    ApiModel,
    ObjectName,
    map_list,
    rules,
)
from sophia_operator.api.conditions import Condition
from sophia_operator.api.metrics import MetricsPreset
from sophia_operator.api.release import Color
from sophia_operator.api.rollout_plan import Percent, RolloutPlan
from sophia_operator.api.smoke import SmokeVia
from sophia_operator.api.traffic import Ports, Traffic

#: `<name>-green-check`, the longest child whose name is a DNS label of at most 63 characters, must fit.
MAX_NAME_LENGTH: Final = 50
NAME_RULE: Final = f"name must be at most {MAX_NAME_LENGTH} characters, so that the names of its children fit"
NAME_FORM: Final = r"[a-z]([-a-z0-9]*[a-z0-9])?"
NAME_FORM_RULE: Final = "name must start with a letter and hold only a-z, 0-9 and -, since Services are named after it"


class Config(ApiModel):
    """ConfigMaps and Secrets that move with the release: each release uses its own immutable copies."""

    config_maps: list[ObjectName] = Field(
        default_factory=list, max_length=32, json_schema_extra=SET_LIST, description="Names of ConfigMaps."
    )
    secrets: list[ObjectName] = Field(
        default_factory=list, max_length=32, json_schema_extra=SET_LIST, description="Names of Secrets."
    )


_GATEWAY_METRICS = "the presets Contour and Traefik need traffic.gateway; use App or Custom"
_SMOKE_GATEWAY = "smoke tests via Gateway need traffic.gateway"
_SMOKE_PORT = "the port of a smoke test must name one of the ports"
_PORT = "traffic.gateway.port must name one of the ports"


class ManagedServiceSpec(ApiModel):
    """What runs, how users reach it, and how changes are rolled out."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                "has(self.traffic.gateway) || !has(self.rollout) || !has(self.rollout.metrics)"
                " || !(self.rollout.metrics.preset in ['Contour', 'Traefik'])",
                _GATEWAY_METRICS,
            ),
            (
                "!has(self.traffic.gateway) || !has(self.traffic.gateway.port)"
                " || self.ports.exists(p, p.name == self.traffic.gateway.port)",
                _PORT,
            ),
            (
                "has(self.traffic.gateway) || !has(self.rollout) || !has(self.rollout.smokeTests)"
                " || self.rollout.smokeTests.all(t, t.via == 'Service')",
                _SMOKE_GATEWAY,
            ),
            (
                "!has(self.rollout) || !has(self.rollout.smokeTests) || self.rollout.smokeTests.all(t,"
                " !has(t.port) || self.ports.exists(p, p.name == t.port))",
                _SMOKE_PORT,
            ),
        )
    }

    replicas: int = Field(1, ge=0, le=10_000, description="Size of the service; both releases of a rollout have it.")
    template: dict[str, Any] = Field(
        json_schema_extra=PRESERVE_UNKNOWN,
        description="Pod template, as in a Deployment. A change of it is a new release.",
    )
    ports: Ports = Field(description="Ports of the service.")
    traffic: Traffic = Field(description="How requests reach the service.")
    rollout: RolloutPlan = Field(default_factory=RolloutPlan, description="How changes are rolled out.")
    config: Config = Field(default_factory=Config, description="ConfigMaps and Secrets that move with the release.")
    paused: bool = Field(False, description="Hold: start no rollout, and hold the one under way.")
    history_limit: int = Field(10, ge=1, le=100, description="How many ended releases are kept.")

    @model_validator(mode="after")
    def _parts_fit(self) -> ManagedServiceSpec:
        gateway = self.traffic.gateway
        if gateway is None and self.rollout.metrics.preset in (MetricsPreset.CONTOUR, MetricsPreset.TRAEFIK):
            raise ValueError(_GATEWAY_METRICS)
        if gateway is not None and gateway.port is not None and gateway.port not in {p.name for p in self.ports}:
            raise ValueError(_PORT)
        if gateway is None and any(t.via is not SmokeVia.SERVICE for t in self.rollout.smoke_tests):
            raise ValueError(_SMOKE_GATEWAY)
        if not {t.port for t in self.rollout.smoke_tests if t.port is not None} <= {p.name for p in self.ports}:
            raise ValueError(_SMOKE_PORT)
        return self


class ReleaseRef(ApiModel):
    """A release and where it runs."""

    name: ObjectName = Field(description="Name of the Release.")
    revision: int = Field(ge=1, description="Number of the release.")
    color: Color | None = Field(None, description="The colour it runs as.")
    weight_percent: Percent | None = Field(None, description="Its share of the traffic, in percent.")
    phase: str | None = Field(None, max_length=64, description="Where it is, for people.")


class ManagedServiceStatus(ApiModel):
    """What the operator saw; all of it can be rebuilt."""

    observed_generation: int = Field(0, ge=0, description="Generation that this status speaks of.")
    last_revision: int = Field(0, ge=0, description="Number of the newest release ever made.")
    stable: ReleaseRef | None = Field(None, description="The release that serves.")
    rollout: ReleaseRef | None = Field(None, description="The release that is being rolled out, or that failed last.")
    previous: ReleaseRef | None = Field(None, description="The release that is kept for an instant rollback.")
    summary: str | None = Field(None, max_length=256, description="The state of things in a few words.")
    weight: str | None = Field(None, max_length=16, description="Share of the traffic at the new release, as in `25%`.")
    replicas: int = Field(0, ge=0, description="Pods of the release that serves.")
    ready_replicas: int = Field(0, ge=0, description="Ready pods of the release that serves.")
    selector: str | None = Field(
        None, max_length=512, description="Label selector of those pods, for the scale subresource."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("type"),
        description="Conditions of the service.",
    )


class ManagedService(ApiModel):
    """A workload behind a Gateway, or a plain Service, whose every change is rolled out blue-green."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (f"self.metadata.name.size() <= {MAX_NAME_LENGTH}", NAME_RULE),
            (f"self.metadata.name.matches('^{NAME_FORM}$')", NAME_FORM_RULE),
        )
    }

    api_version: str = Field(description="sophia.ai/v1alpha1.")
    kind: str = Field(description="ManagedService.")
    metadata: dict[str, Any] = Field(json_schema_extra=PRESERVE_UNKNOWN, description="Metadata of the object.")
    spec: ManagedServiceSpec = Field(description="What runs, how users reach it, and how changes are rolled out.")
    status: ManagedServiceStatus = Field(default_factory=ManagedServiceStatus, description="What the operator saw.")

    @field_validator("metadata")
    @classmethod
    def _children_can_be_named_after_it(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        name = str(metadata.get("name", "unnamed"))
        if len(name) > MAX_NAME_LENGTH:
            raise ValueError(NAME_RULE)
        if not re.fullmatch(NAME_FORM, name):
            raise ValueError(NAME_FORM_RULE)
        return metadata
