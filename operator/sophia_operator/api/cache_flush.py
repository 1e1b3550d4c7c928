"""A flush of a CacheTier: what goes, and how fast."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from sophia_operator.api.common import ApiModel, DnsLabel, rules
from sophia_operator.api.named import ParentName

Generation = Annotated[str, Field(pattern=r"^g[0-9]{1,9}(r[0-9]{1,10})?$", max_length=24)]


class FlushKind(StrEnum):
    """How entries go."""

    PACED = "Paced"  # one after the other, at a rate
    GENERATION = "Generation"  # at once, by a new generation; what is old is then taken away at a rate


_ONE_SCOPE = "flush needs exactly one of namespaceName, tag, pattern, generation and flushAll"
_WHOLE = "flush.kind Generation needs flush.namespaceName or flush.tag: a generation is of a whole namespace"


class Flush(ApiModel):
    """A flush, done once for each name."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                "[has(self.namespaceName), has(self.tag), has(self.pattern), has(self.generation), has(self.flushAll)]"
                ".filter(x, x).size() == 1",
                _ONE_SCOPE,
            ),
            ("self.kind != 'Generation' || has(self.namespaceName) || has(self.tag)", _WHOLE),
        )
    }

    name: DnsLabel = Field(description="Name of the flush; one with another name is another flush.")
    kind: FlushKind = Field(FlushKind.PACED, description="How entries go.")
    namespace_name: DnsLabel | None = Field(None, description="Flush the namespace of that name.")
    tag: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][-A-Za-z0-9._]*$",
        max_length=63,
        description="Flush namespaces with that tag; at the PostgreSQL level also entries with it.",
    )
    pattern: str | None = Field(
        None,
        min_length=3,
        max_length=256,
        # The literal beginning says which namespace it is of; wildcards come after it.
        pattern=r"^[A-Za-z0-9][-A-Za-z0-9._:]*:[^\s]*$",
        description="Flush keys that match that pattern, as in `emb:*:doc-1*`; it begins with a namespace's prefix.",
    )
    generation: Generation | None = Field(
        None, description="Flush that generation of every namespace, as in `g1` or `g1r7`; never one that is in use."
    )
    flush_all: ParentName | None = Field(
        None, description="Flush everything, keys of no namespace too (FLUSHALL): the name of the tier, to be sure."
    )
    keys_per_second: int = Field(
        2000,
        ge=1,
        le=1_000_000,
        description="Most keys deleted in a second; one that is only looked at counts a tenth.",
    )
    stop: bool = Field(False, description="Stop it where it is.")

    @model_validator(mode="after")
    def _possible(self) -> Flush:
        scopes = (self.namespace_name, self.tag, self.pattern, self.generation, self.flush_all)
        if sum(scope is not None for scope in scopes) != 1:
            raise ValueError(_ONE_SCOPE)
        if self.kind is FlushKind.GENERATION and self.namespace_name is None and self.tag is None:
            raise ValueError(_WHOLE)
        return self
