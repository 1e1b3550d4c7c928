"""The Redis of a CacheTier: run by the operator, or adopted."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import PRESERVE_UNKNOWN, ApiModel, ObjectName, rules
from sophia_operator.api.connection_pool import Host
from sophia_operator.api.pod_settings import PodSettings
from sophia_operator.api.redis_parameters import MAX_PARAMETERS, MAX_VALUE_LENGTH, TABLE, described
from sophia_operator.api.secret_refs import CaRef, SecretKey


class EvictionPolicy(StrEnum):
    """What Redis does when its memory is full."""

    NO_EVICTION = "NoEviction"
    ALL_KEYS_LRU = "AllKeysLRU"
    ALL_KEYS_LFU = "AllKeysLFU"
    ALL_KEYS_RANDOM = "AllKeysRandom"
    VOLATILE_LRU = "VolatileLRU"
    VOLATILE_LFU = "VolatileLFU"
    VOLATILE_RANDOM = "VolatileRandom"
    VOLATILE_TTL = "VolatileTTL"


class Persistence(StrEnum):
    """What a node keeps on disk."""

    NONE = "None"
    SNAPSHOT = "Snapshot"
    APPEND_ONLY = "AppendOnly"


class Storage(ApiModel):
    """A volume for each node."""

    size_megabytes: int = Field(ge=1, le=16_777_216, description="Size of the volume, in MiB.")
    storage_class_name: ObjectName | None = Field(None, description="Its class; without: the cluster's default.")


class RedisTls(ApiModel):
    """TLS between clients and nodes, and among nodes."""

    secret_name: ObjectName = Field(
        description="Secret of type kubernetes.io/tls, with `ca.crt`; its certificate is valid for the Services."
    )


ParameterValue = Annotated[str, Field(max_length=MAX_VALUE_LENGTH)]
_SAME_STORAGE: Final = (
    "redis.managed.storage cannot change, since volumes are made with their node: make another tier, and point "
    "applications to it"
)
_SAME_TLS: Final = (
    "redis.managed.tls cannot be turned on or off, since nodes with and without it do not understand each other: make "
    "another tier, and point applications to it"
)


class ManagedRedis(ApiModel):
    """Nodes that the operator runs: one primary and its replicas."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                "has(self.storage) == has(oldSelf.storage) && (!has(self.storage) || self.storage == oldSelf.storage)",
                _SAME_STORAGE,
            ),
            ("has(self.tls) == has(oldSelf.tls)", _SAME_TLS),
        )
    }

    replicas: int = Field(1, ge=0, le=5, description="Replicas beside the primary; without one, a roll loses keys.")
    max_memory_megabytes: int = Field(256, ge=1, le=1_048_576, description="Memory for entries in each node, in MiB.")
    eviction_policy: EvictionPolicy = Field(
        EvictionPolicy.ALL_KEYS_LRU, description="What Redis does when that memory is full."
    )
    persistence: Persistence = Field(Persistence.NONE, description="What a node keeps on disk.")
    storage: Storage | None = Field(
        None, description="A volume for each node; without, its data lives as long as its pod. It cannot change."
    )
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict,
        json_schema_extra={"maxProperties": MAX_PARAMETERS} | rules(*TABLE.rules()),
        description=described(),
    )
    tls: RedisTls | None = Field(None, description="TLS; without: none.")
    resources: dict[str, Any] = Field(
        default_factory=dict,
        json_schema_extra=PRESERVE_UNKNOWN,
        description="Resources of the container; its memory must hold maxMemoryMegabytes and what Redis needs beside.",
    )
    template: PodSettings = Field(default_factory=PodSettings, description="What users decide of the pods.")
    image: str | None = Field(
        None, min_length=1, max_length=512, description="Image of Redis or Valkey; without: the operator's default."
    )
    image_pull_policy: str | None = Field(
        None, pattern="^(Always|IfNotPresent|Never)$", max_length=12, description="When the image is pulled."
    )

    @field_validator("parameters")
    @classmethod
    def _parameters_are_known(cls, parameters: dict[str, str]) -> dict[str, str]:
        if found := TABLE.problem(parameters):
            raise ValueError(found)
        return parameters


class RedisCredentialsRef(ApiModel):
    """A Secret with the user that connects to an adopted Redis."""

    name: ObjectName = Field(description="Name of the Secret, in the tier's namespace.")
    username_key: SecretKey = Field(
        "username", description="Key of the user's name; `default` when the Secret has none."
    )
    password_key: SecretKey = Field("password", description="Key of the password.")


class ExternalTls(ApiModel):
    """TLS to an adopted Redis."""

    ca_secret_ref: CaRef | None = Field(
        None, description="Secret with the certificates to verify it with; without: those that the system trusts."
    )


_MANAGED: Final = "redis.external.maxMemoryMegabytes and evictionPolicy need redis.external.manageConfig true"
_WITH_PORT: Final = "^[^:]*:[0-9]*$"
_HOST_ALONE: Final = "redis.external.host must be a name or an address alone: write the port into redis.external.port"


class ExternalRedis(ApiModel):
    """A Redis that somebody else runs."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            ("self.manageConfig || !(has(self.maxMemoryMegabytes) || has(self.evictionPolicy))", _MANAGED),
            (f"!self.host.matches('{_WITH_PORT}')", _HOST_ALONE),
        )
    }

    host: Host = Field(description="Host name or IP address.")
    port: int = Field(6379, ge=1, le=65_535, description="Port.")
    tls: ExternalTls | None = Field(None, description="TLS; without: none.")
    credentials_secret_ref: RedisCredentialsRef | None = Field(
        None, description="Secret with its user; without: no password."
    )
    manage_config: bool = Field(
        False, description="Whether the operator may set maxmemory and its policy there, live. It changes nothing else."
    )
    max_memory_megabytes: int | None = Field(
        None, ge=1, le=1_048_576, description="With manageConfig: memory for entries, in MiB."
    )
    eviction_policy: EvictionPolicy | None = Field(
        None, description="With manageConfig: what it does when that memory is full."
    )

    @model_validator(mode="after")
    def _possible(self) -> ExternalRedis:
        if not self.manage_config and (self.max_memory_megabytes is not None or self.eviction_policy is not None):
            raise ValueError(_MANAGED)
        if re.fullmatch(_WITH_PORT, self.host):
            raise ValueError(_HOST_ALONE)
        return self


_ONE = "redis needs managed or external, not both"


class RedisLevel(ApiModel):
    """Which Redis."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("has(self.managed) != has(self.external)", _ONE))
    }

    managed: ManagedRedis | None = Field(None, description="Nodes that the operator runs.")
    external: ExternalRedis | None = Field(None, description="A Redis that somebody else runs.")

    @model_validator(mode="after")
    def _either(self) -> RedisLevel:
        if (self.managed is None) == (self.external is None):
            raise ValueError(_ONE)
        return self
