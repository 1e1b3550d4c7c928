"""How users' requests reach a service: through a Gateway, or by a plain Service alone."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from sophia_operator.api.common import (
    ATOMIC_LIST,
    DNS_LABEL_PATTERN,
    HOSTNAME_PATTERN,
    INT_OR_STRING,
    QUALIFIED_NAME_PATTERN,
    SET_LIST,
    ApiModel,
    DnsLabel,
    ObjectName,
    map_list,
    rules,
)
from sophia_operator.api.route import AsWritten, RouteMatch, RouteTimeouts
from sophia_operator.api.route_filters import (
    FILTERS_RULE,
    REPLACED_PREFIX,
    RouteFilter,
    check_replaced_prefix,
    go_together,
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
        None,
        # Kubernetes' own rule for it: a name of up to 63 characters, which a domain may precede.
        pattern=QUALIFIED_NAME_PATTERN,
        max_length=253,
        description="Application protocol, as in `kubernetes.io/h2c` or `http`.",
    )


_SAME_NUMBER = "two ports must not have the same number"


def _numbers_differ(ports: list[ServicePort]) -> list[ServicePort]:
    if len({p.port for p in ports}) < len(ports):
        raise ValueError(_SAME_NUMBER)
    return ports


#: A Service tells its ports apart by their names, and by number and protocol. All of ours are TCP.
Ports = Annotated[
    list[ServicePort],
    Field(
        min_length=1,
        max_length=16,
        json_schema_extra=map_list("name")
        | rules(
            # Ports of one name have a message of their own.
            ("self.all(p, self.all(q, p.name == q.name || p.port != q.port))", _SAME_NUMBER)
        ),
    ),
    AfterValidator(_numbers_differ),
]


class ParentRef(ApiModel):
    """A Gateway to attach to."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: DnsLabel | None = Field(None, description="Namespace of the Gateway; the object's own when absent.")
    section_name: ObjectName | None = Field(None, description="Name of one listener of the Gateway.")


_SAME_PARENT = "parentRefs to the same Gateway each need a sectionName, and all of these must differ"


def _parents_differ(refs: list[ParentRef]) -> list[ParentRef]:
    sections: dict[tuple[str, str | None], list[str | None]] = {}
    for ref in refs:
        sections.setdefault((ref.name, ref.namespace), []).append(ref.section_name)
    if any(len(names) > 1 and (None in names or len({*names}) < len(names)) for names in sections.values()):
        raise ValueError(_SAME_PARENT)
    return refs


#: The Gateways that an HTTPRoute is attached to.
ParentRefs = Annotated[
    list[ParentRef],
    Field(
        min_length=1,
        max_length=8,
        json_schema_extra=ATOMIC_LIST
        | rules(
            (
                # As the Gateway API has it: the namespace of the route itself, written out, is another one.
                "self.all(p, self.filter(q, q.name == p.name"
                " && has(q.__namespace__) == has(p.__namespace__)"
                " && (!has(p.__namespace__) || q.__namespace__ == p.__namespace__)"
                " && (!has(q.sectionName) || !has(p.sectionName) || q.sectionName == p.sectionName)).size() == 1)",
                _SAME_PARENT,
            )
        ),
    ),
    AfterValidator(_parents_differ),
]


class RouteRule(ApiModel):
    """Requests that the service answers. The operator adds the backends and their weights."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                "!has(self.filters) || !self.filters.exists(f,"
                " (has(f.requestRedirect) && has(f.requestRedirect.path)"
                " && has(f.requestRedirect.path.replacePrefixMatch))"
                " || (has(f.urlRewrite) && has(f.urlRewrite.path) && has(f.urlRewrite.path.replacePrefixMatch)))"
                " || !has(self.matches) || size(self.matches) == 0 || (size(self.matches) == 1"
                " && (!has(self.matches[0].path) || !has(self.matches[0].path.type)"
                " || self.matches[0].path.type == 'PathPrefix'))",
                REPLACED_PREFIX,
            )
        )
    }

    matches: list[Annotated[dict[str, Any], AsWritten(RouteMatch)]] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra=ATOMIC_LIST,
        description="Matches as in an HTTPRoute rule of the Gateway API.",
    )
    filters: Annotated[list[Annotated[dict[str, Any], AsWritten(RouteFilter)]], AfterValidator(go_together)] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra=ATOMIC_LIST | FILTERS_RULE,
        description="Filters as in an HTTPRoute rule of the Gateway API.",
    )
    timeouts: Annotated[dict[str, Any], AsWritten(RouteTimeouts)] | None = Field(
        None,
        description="Timeouts as in an HTTPRoute rule of the Gateway API.",
    )

    @model_validator(mode="after")
    def _replaced_prefix_is_matched(self) -> Self:
        check_replaced_prefix(self.matches, self.filters)
        return self


class GatewayTraffic(ApiModel):
    """Traffic through a Gateway, by an HTTPRoute that the operator owns whole."""

    parent_refs: ParentRefs = Field(description="Gateways to attach to.")
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
