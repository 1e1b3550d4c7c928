"""Where a ModelRoute acts: the gateway that spreads requests over models."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import QUALIFIED_NAME_PATTERN, SET_LIST, ApiModel, rules
from sophia_operator.api.connection_pool import Host
from sophia_operator.api.model_endpoint import ApiKeyRef, ApiPath
from sophia_operator.api.traffic import Hostname, ParentRefs

MAX_REPLICAS: Final = 64
#: An HTTPRoute has at most 16 rules: one for each model that a client may choose, and one for who chooses none.
MAX_ROUTED_MODELS: Final = 15
#: Of a model behind Portkey: two of them have room in a header of an HTTPRoute (4096) with all that is said of them.
MAX_ROUTED_URL: Final = 512

LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]


_WITH_PORT: Final = "^[^:]*:[0-9]*$"
_HOST_ALONE = "dataPlane.host must be a name or an address alone: write the port into dataPlane.port"


class DataPlane(ApiModel):
    """The pods that carry a Gateway's traffic."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules((f"!self.host.matches('{_WITH_PORT}')", _HOST_ALONE))
    }

    host: Host = Field(
        description="Name that resolves to the address of each of them: that of a headless Service of theirs."
    )
    port: int = Field(ge=1, le=65_535, description="Port of the pods at which the Gateway's listener answers.")

    @model_validator(mode="after")
    def _host_is_alone(self) -> DataPlane:
        if re.search(_WITH_PORT, self.host):
            raise ValueError(_HOST_ALONE)
        return self


class HttpRouteGateway(ApiModel):
    """An HTTPRoute that the operator owns whole."""

    parent_refs: ParentRefs = Field(description="Gateways to attach to.")
    hostnames: list[Hostname] = Field(
        min_length=1,
        max_length=16,
        json_schema_extra=SET_LIST,
        description="Host names that clients use, the first one in what they are bound to.",
    )
    path: ApiPath = Field("/v1", description="Where the API begins for clients.")
    data_plane: DataPlane | None = Field(
        None,
        description="Each of the pods that carry the traffic, to prove a switch at every one of them; without: the "
        "Gateway's address, which shows one of them at a time.",
    )


#: With the prefix of a DNS subdomain, and the slash.
_LONGEST_LABEL: Final = 317
_LABELS = "selector must have keys as labels have them, as in app.kubernetes.io/name"


class GatewayPods(ApiModel):
    """Pods of a gateway for models that somebody else runs."""

    selector: dict[str, LabelValue] = Field(
        min_length=1,
        max_length=8,
        json_schema_extra=rules(
            (f"self.all(k, size(k) <= {_LONGEST_LABEL} && k.matches(r'{QUALIFIED_NAME_PATTERN}'))", _LABELS)
        ),
        description="Labels of the pods, in the route's namespace. The operator makes a Service for them.",
    )
    port: int = Field(ge=1, le=65_535, description="Port of the pods.")
    timeout_seconds: int = Field(
        120,
        ge=1,
        le=3600,
        description="A model that sends nothing for so long is given up, in seconds, and the next one is asked.",
    )

    @field_validator("selector")
    @classmethod
    def _keys_are_labels(cls, selector: dict[str, str]) -> dict[str, str]:
        if any(len(key) > _LONGEST_LABEL or not re.search(QUALIFIED_NAME_PATTERN, key) for key in selector):
            raise ValueError(_LABELS)
        return selector


class LiteLlmGateway(GatewayPods):
    """LiteLLM proxies that read the operator's ConfigMap `<route>-litellm`."""

    port: int = Field(4000, ge=1, le=65_535, description="Port of the pods.")
    credentials_secret_ref: ApiKeyRef | None = Field(
        None, description="Secret with the key that the proxies ask for; the operator's marked requests carry it."
    )


class PortkeyGateway(GatewayPods):
    """Portkey gateways behind an HTTPRoute that tells them, in a header, whom to ask."""

    port: int = Field(8787, ge=1, le=65_535, description="Port of the pods.")
    http_route: HttpRouteGateway = Field(description="How clients reach them.")


_ONE_GATEWAY = "gateway needs exactly one of httpRoute, liteLLM and portkey"


class ModelGateway(ApiModel):
    """The gateway."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            ("[has(self.httpRoute), has(self.liteLLM), has(self.portkey)].filter(x, x).size() == 1", _ONE_GATEWAY)
        )
    }

    http_route: HttpRouteGateway | None = Field(
        None, description="Weights of an HTTPRoute, over Services that serve their models under one name."
    )
    lite_llm: LiteLlmGateway | None = Field(None, alias="liteLLM", description="LiteLLM proxies.")
    portkey: PortkeyGateway | None = Field(None, description="Portkey gateways behind an HTTPRoute.")

    @model_validator(mode="after")
    def _one(self) -> ModelGateway:
        if sum(g is not None for g in (self.http_route, self.lite_llm, self.portkey)) != 1:
            raise ValueError(_ONE_GATEWAY)
        return self
