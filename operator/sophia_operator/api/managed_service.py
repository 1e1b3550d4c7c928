"""ManagedService: a workload that is rolled out blue-green."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from sophia_operator.api.binding_version import MAX_BINDINGS, MAX_CACHE_BINDINGS, MAX_MODEL_BINDINGS
from sophia_operator.api.common import (
    PRESERVE_UNKNOWN,
    SET_LIST,
    ApiModel,
    DnsLabel,
    ObjectName,
    map_list,
    rules,
)
from sophia_operator.api.conditions import Condition
from sophia_operator.api.metrics import MetricsPreset
from sophia_operator.api.named import NamedObject, ParentName
from sophia_operator.api.release import Color
from sophia_operator.api.rollout_plan import Percent, RolloutPlan
from sophia_operator.api.smoke import SmokeVia
from sophia_operator.api.traffic import Ports, Traffic


class Config(ApiModel):
    """ConfigMaps and Secrets that move with the release: each release uses its own immutable copies."""

    config_maps: list[ObjectName] = Field(
        default_factory=list, max_length=32, json_schema_extra=SET_LIST, description="Names of ConfigMaps."
    )
    secrets: list[ObjectName] = Field(
        default_factory=list, max_length=32, json_schema_extra=SET_LIST, description="Names of Secrets."
    )


class PoolBinding(ApiModel):
    """A ConnectionPool that the service's containers connect through."""

    name: ParentName = Field(description="Name of the ConnectionPool, in the service's namespace.")
    containers: list[DnsLabel] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=SET_LIST,
        description="Names of the containers that get it, init containers among them; without: all.",
    )


class CacheGeneration(StrEnum):
    """Whose entries a release reads."""

    SHARED = "Shared"  # all releases read the same ones
    PER_RELEASE = "PerRelease"  # each release has its own


class CacheBinding(ApiModel):
    """A CacheTier that the service's containers ask, and the tiers below it."""

    name: ParentName = Field(description="Name of the CacheTier, in the service's namespace.")
    containers: list[DnsLabel] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=SET_LIST,
        description="Names of the containers that get it, init containers among them; without: all.",
    )
    generation: CacheGeneration = Field(
        CacheGeneration.PER_RELEASE,
        description="Whether each release has entries of its own, or all releases share them.",
    )


class ModelBinding(ApiModel):
    """A ModelRoute that the service's containers send requests for models to."""

    name: ParentName = Field(description="Name of the ModelRoute, in the service's namespace.")
    containers: list[DnsLabel] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=SET_LIST,
        description="Names of the containers that get it, init containers among them; without: all.",
    )
    model: DnsLabel | None = Field(
        None,
        description="The model of the route that the service wants first, whichever the route prefers; a change of it "
        "is rolled out. Without: the route's choice.",
    )
    prompt_version: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=63,
        description="Version of the prompt, for the service to read; a change of it is rolled out.",
    )


_ONE_DIRECTORY = (
    "a pool, a cache and a model route of the same name cannot be mounted at the same place: rename one of them"
)


def _none_in(one: str, other: str) -> tuple[str, str]:
    rule = f"!has(self.{one}) || !has(self.{other}) || self.{other}.all(o, !self.{one}.exists(p, p.name == o.name))"
    return rule, _ONE_DIRECTORY


class Bindings(ApiModel):
    """What the service uses of other kinds: each release uses its own immutable copy of how to connect."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            _none_in("pools", "caches"), _none_in("pools", "models"), _none_in("caches", "models")
        )
    }

    pools: list[PoolBinding] = Field(
        default_factory=list,
        max_length=MAX_BINDINGS,
        json_schema_extra=map_list("name"),
        description="ConnectionPools, each mounted at $SERVICE_BINDING_ROOT/<name>.",
    )
    caches: list[CacheBinding] = Field(
        default_factory=list,
        max_length=MAX_CACHE_BINDINGS,
        json_schema_extra=map_list("name"),
        description="CacheTiers, each mounted at $SERVICE_BINDING_ROOT/<name>, as are the tiers below it.",
    )
    models: list[ModelBinding] = Field(
        default_factory=list,
        max_length=MAX_MODEL_BINDINGS,
        json_schema_extra=map_list("name"),
        description="ModelRoutes, each mounted at $SERVICE_BINDING_ROOT/<name>.",
    )

    @model_validator(mode="after")
    def _each_has_a_place(self) -> Bindings:
        # One that is twice in a list has its own message.
        pools, caches, models = (
            {p.name for p in self.pools},
            {c.name for c in self.caches},
            {m.name for m in self.models},
        )
        if pools & caches or pools & models or caches & models:
            raise ValueError(_ONE_DIRECTORY)
        return self


_GATEWAY_METRICS = "the presets Contour and Traefik need traffic.gateway; use App or Custom"
_SMOKE_GATEWAY = "smoke tests via Gateway need traffic.gateway"
_SMOKE_PORT = "the port of a smoke test must name one of the ports"
_WARM = "warmPercent needs a cache in bindings.caches with generation PerRelease, which can be filled"
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
            (
                "!has(self.rollout) || !has(self.rollout.stages)"
                " || !self.rollout.stages.exists(s, has(s.warmPercent) && s.warmPercent > 0)"
                " || (has(self.bindings) && has(self.bindings.caches) && self.bindings.caches.exists(c,"
                " !has(c.generation) || c.generation == 'PerRelease'))",
                _WARM,
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
    bindings: Bindings = Field(default_factory=Bindings, description="What the service uses of other kinds.")
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
        own = any(c.generation is CacheGeneration.PER_RELEASE for c in self.bindings.caches)
        if not own and any(s.warm_percent for s in self.rollout.stages):
            raise ValueError(_WARM)
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


class ManagedService(NamedObject):
    """A workload behind a Gateway, or a plain Service, whose every change is rolled out blue-green."""

    kind: str = Field(description="ManagedService.")
    spec: ManagedServiceSpec = Field(description="What runs, how users reach it, and how changes are rolled out.")
    status: ManagedServiceStatus = Field(default_factory=ManagedServiceStatus, description="What the operator saw.")
