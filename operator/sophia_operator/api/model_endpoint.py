"""The models that a ModelRoute chooses from, and where each of them answers."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import (
    ATOMIC_LIST,
    SET_LIST,
    ApiModel,
    DnsLabel,
    ObjectName,
    UnsignedDecimalString,
    rules,
)
from sophia_operator.api.queries import ModelQuery
from sophia_operator.api.secret_refs import CaRef, SecretKey

MAX_MODELS: Final = 16

FRACTION_PATTERN: Final = r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$"
#: From 0 to 1, with at most six digits behind the point.
FractionString = Annotated[str, Field(pattern=FRACTION_PATTERN, max_length=8)]
Capability = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=63)]
#: Where the OpenAI API begins, as in `/v1`. HTTPRoutes take no parts that are `.` or `..`.
ApiPath = Annotated[str, Field(pattern=r"^(/[-A-Za-z0-9_~][-A-Za-z0-9._~]*)*$", max_length=256)]


class ServiceRef(ApiModel):
    """A Service of the cluster."""

    name: DnsLabel = Field(description="Name of the Service, in the route's namespace.")
    port: int = Field(ge=1, le=65_535, description="Port of the Service.")
    path: ApiPath = Field("/v1", description="Where the OpenAI API begins, as in `/v1`.")


_HOST: Final = (
    r"([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*\.?|\[[0-9A-Fa-f:.]+\])"
)
#: From 1 to 65535.
_PORT: Final = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_ONE_ENDPOINT = "endpoint needs url or serviceRef, not both"
_CA_NEEDS_TLS = "endpoint.caSecretRef goes with an https url"


class Endpoint(ApiModel):
    """Where a model answers: anything that speaks the OpenAI API."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            ("has(self.url) != has(self.serviceRef)", _ONE_ENDPOINT),
            ("!has(self.caSecretRef) || (has(self.url) && self.url.startsWith('https://'))", _CA_NEEDS_TLS),
        )
    }

    url: str | None = Field(
        None,
        # No user, no query and no fragment: a password in a URL would be shown to everybody.
        pattern=rf"^https?://{_HOST}(:{_PORT})?(/[-A-Za-z0-9._~/]*)?$",
        max_length=2048,
        description="Where the OpenAI API begins, as in `https://api.example.com/v1`.",
    )
    service_ref: ServiceRef | None = Field(None, description="A Service of the cluster that speaks it.")
    ca_secret_ref: CaRef | None = Field(
        None, description="Secret with the certificates to verify the endpoint with; the public ones when absent."
    )

    @model_validator(mode="after")
    def _possible(self) -> Endpoint:
        if (self.url is None) == (self.service_ref is None):
            raise ValueError(_ONE_ENDPOINT)
        if self.ca_secret_ref is not None and not (self.url or "").startswith("https://"):
            raise ValueError(_CA_NEEDS_TLS)
        return self


class ApiKeyRef(ApiModel):
    """A Secret with the key of an API."""

    name: ObjectName = Field(description="Name of the Secret, in the route's namespace.")
    key: SecretKey = Field("api-key", description="Key of the Secret that has it.")


_ONE_QUALITY = "quality and qualityQuery do not go together"
_FALLBACK_TWICE = "fallbackOrder must name each model once"


class Model(ApiModel):
    """A model that requests may be sent to."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("!has(self.quality) || !has(self.qualityQuery)", _ONE_QUALITY))
    }

    name: DnsLabel = Field(description="Name of it in this route.")
    model: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^[A-Za-z0-9][-A-Za-z0-9._:/@+]*$",
        description="Name of the model at its endpoint, as in `gpt-4o-mini`.",
    )
    endpoint: Endpoint = Field(description="Where it answers.")
    credentials_secret_ref: ApiKeyRef | None = Field(None, description="Secret with the key of its API.")
    cost_per_1k_tokens: UnsignedDecimalString | None = Field(
        None,
        alias="costPer1kTokens",
        description="What 1,000 tokens cost, in the same currency for all models; 0 is free. Without, it is not known, "
        "and counts as the middle of the others.",
    )
    quality: FractionString | None = Field(
        None, description="How good its answers are, from 0 to 1; 0.5 when nothing says so."
    )
    quality_query: ModelQuery | None = Field(
        None,
        description="PromQL query of how good its answers are, from 0 to 1, with placeholders as in metrics.queries.",
    )
    fallback_order: list[DnsLabel] = Field(
        default_factory=list,
        max_length=MAX_MODELS - 1,
        json_schema_extra=ATOMIC_LIST | rules(("self.all(f, self.exists_one(o, o == f))", _FALLBACK_TWICE)),
        description="Models that take over when this one fails, the first one first; others follow by rank.",
    )
    capabilities: list[Capability] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=SET_LIST,
        description="What it can do, as in `tools` or `vision`.",
    )

    @field_validator("fallback_order")
    @classmethod
    def _each_fallback_once(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError(_FALLBACK_TWICE)
        return names

    @model_validator(mode="after")
    def _one_quality(self) -> Model:
        if self.quality is not None and self.quality_query is not None:
            raise ValueError(_ONE_QUALITY)
        return self
