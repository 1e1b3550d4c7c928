"""What a release is bound to, and how to connect to it: as it was when the release was made."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from sophia_operator.api.common import ATOMIC_LIST, ApiModel, DnsLabel, Hash, ObjectName

MAX_BINDINGS: Final = 16
MAX_CACHE_BINDINGS: Final = 8
MAX_MODEL_BINDINGS: Final = 8
#: Tiers below another one.
MAX_LEVELS: Final = 7
#: Characters of a chain, in a snapshot.
MAX_CHAIN: Final = 65_536


class BindingKind(StrEnum):
    """Kinds of objects that a release can be bound to."""

    CONNECTION_POOL = "ConnectionPool"
    CACHE_TIER = "CacheTier"
    MODEL_ROUTE = "ModelRoute"


class LevelVersion(ApiModel):
    """How to connect to a tier below the one that a release is bound to, as it was when the release was made."""

    name: ObjectName = Field(description="Name of the CacheTier, and of the directory with its binding.")
    secret_name: ObjectName = Field(description="Name of the Secret that says how to connect.")
    hash: Hash = Field(description="Hash of its content.")
    copy_name: ObjectName = Field(description="Name of the immutable copy that the release's pods use.")


class BindingVersion(ApiModel):
    """How to connect to one object, as it was when the release was made."""

    kind: BindingKind = Field(description="Kind of the object.")
    name: ObjectName = Field(description="Name of the object, and of the directory with its binding.")
    containers: list[DnsLabel] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=ATOMIC_LIST,
        description="Names of the containers that get it; without: all.",
    )
    secret_name: ObjectName = Field(description="Name of the Secret that says how to connect.")
    hash: Hash = Field(description="Hash of its content.")
    copy_name: ObjectName = Field(description="Name of the immutable copy that the release's pods use.")
    own_generation: bool = Field(
        False, description="Of a CacheTier: whether the release's keys are of a generation of its own."
    )
    chain: str | None = Field(
        None,
        max_length=MAX_CHAIN,
        description="Of a CacheTier: the content of chain.json, without generations.",
    )
    levels: list[LevelVersion] = Field(
        default_factory=list,
        max_length=MAX_LEVELS,
        json_schema_extra=ATOMIC_LIST,
        description="Of a CacheTier: the tiers below it, in the order in which they are asked.",
    )
    model: str | None = Field(
        None, max_length=320, description="Of a ModelRoute: the name of the model that requests ask for."
    )
    choice: DnsLabel | None = Field(
        None, description="Of a ModelRoute: the model of the route that the release wants first; without: the route's."
    )
    chosen: DnsLabel | None = Field(
        None, description="Of a ModelRoute: the model that served when the release was made, for people."
    )
    prompt_version: str | None = Field(
        None, max_length=63, description="Of a ModelRoute: the version of the prompt that the release uses."
    )
