"""How users' requests reach a service: through a Gateway, or by a plain Service alone."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from sophia_operator.api.common import (
    ATOMIC_LIST,
    DNS_LABEL_PATTERN,
    HOSTNAME_PATTERN,
    INT_OR_STRING,
    PRESERVE_UNKNOWN,
    SET_LIST,
    ApiModel,
    DnsLabel,
    ObjectName,
    map_list,
    rules,
)

#: Kubernetes' own rule for names of container ports, but for the letter they must have.
PortName = Annotated[str, Field(pattern=DNS_LABEL_PATTERN, max_length=15)]
Hostname = Annotated[str, Field(pattern=HOSTNAME_PATTERN, min_length=1, max_length=253)]


class ServicePort(ApiModel):
    """A port of the service."""

    name: DnsLabel = Field(description="Name of the port, unique in its list.")
    port: int = Field(ge=1, le=65_535, description="Port that clients use.")
    target_port: Annotated[int, Field(ge=1, le=65_535)] | PortName | None = Field(
        None,
        json_schema_extra=INT_OR_STRING,
        description="Port of the pods, by number or by name; the same as `port` when absent.",
    )
    app_protocol: str | None = Field(
        None, max_length=253, description="Application protocol, as in `kubernetes.io/h2c` or `http`."
    )


class ParentRef(ApiModel):
    """A Gateway to attach to."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: DnsLabel | None = Field(None, description="Namespace of the Gateway; the service's own when absent.")
    section_name: ObjectName | None = Field(None, description="Name of one listener of the Gateway.")


class RouteRule(ApiModel):
    """Requests that the service answers. The operator adds the backends and their weights."""

    matches: list[Annotated[dict[str, Any], Field(json_schema_extra=PRESERVE_UNKNOWN)]] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra=ATOMIC_LIST,
        description="Matches as in an HTTPRoute rule of the Gateway API.",
    )
    filters: list[Annotated[dict[str, Any], Field(json_schema_extra=PRESERVE_UNKNOWN)]] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra=ATOMIC_LIST,
        description="Filters as in an HTTPRoute rule of the Gateway API.",
    )
    timeouts: dict[str, Any] | None = Field(
        None,
        json_schema_extra=PRESERVE_UNKNOWN,
        description="Timeouts as in an HTTPRoute rule of the Gateway API.",
    )


class GatewayTraffic(ApiModel):
    """Traffic through a Gateway, by an HTTPRoute that the operator owns whole."""

    parent_refs: list[ParentRef] = Field(
        min_length=1, max_length=8, json_schema_extra=ATOMIC_LIST, description="Gateways to attach to."
    )
    hostnames: list[Hostname] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=SET_LIST,
        description="Host names to answer to.",
    )
    rules: list[RouteRule] = Field(
        default_factory=lambda: [RouteRule()],
        min_length=1,
        max_length=8,
        json_schema_extra=ATOMIC_LIST,
        description="Which requests belong to the service; all of them by default.",
    )
    port: DnsLabel | None = Field(None, description="Name of the port that gets the traffic; the first when absent.")
    probe_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+$",
        max_length=2048,
        description="Where the operator reaches the Gateway for its own marked requests; read from "
        "the Gateway's addresses "
        "when absent.",
    )


class NoTraffic(ApiModel):
    """No Gateway: a plain Service whose selector is switched, so that traffic goes over at once."""


_ONE_WAY = "traffic has exactly one of gateway and none"


class Traffic(ApiModel):
    """How requests reach the service."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("has(self.gateway) != has(self.none)", _ONE_WAY))
    }

    gateway: GatewayTraffic | None = Field(None, description="Weights on an HTTPRoute.")
    none: NoTraffic | None = Field(None, description="A plain Service, switched from 0 to 100 percent.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.gateway is None) == (self.none is None):
            raise ValueError(_ONE_WAY)
        return self


PORTS_LIST = map_list("name")
