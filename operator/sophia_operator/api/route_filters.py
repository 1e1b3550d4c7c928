"""Filters of an HTTPRoute rule: each type with the field that is its own. See `route` for how close the bounds are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from sophia_operator.api.common import (
    PRESERVE_UNKNOWN,
    SET_LIST,
    DnsLabel,
    ObjectName,
    PreservedObject,
    map_list,
    rules,
)
from sophia_operator.api.route import FieldName, RoutePart

PortNumber = Annotated[int, Field(ge=1, le=65_535)]
ReferredName = Annotated[str, Field(min_length=1, max_length=253)]
KindName = Annotated[str, Field(pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", min_length=1, max_length=63)]
GroupName = Annotated[
    str, Field(pattern=r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]


class HeaderValue(RoutePart):
    """A header with its value."""

    name: FieldName = Field(description="Name of the header.")
    value: str = Field(min_length=1, max_length=4096, description="Value of the header.")


class HeaderModifier(RoutePart):
    """Changes to headers."""

    set_: list[HeaderValue] = Field(
        default_factory=list,
        alias="set",
        max_length=16,
        json_schema_extra=map_list("name"),
        description="Headers that replace those of the same name.",
    )
    add: list[HeaderValue] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("name"),
        description="Headers that come on top of those of the same name.",
    )
    remove: list[Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=list, max_length=16, json_schema_extra=SET_LIST, description="Names of headers to remove."
    )


_PATH_FIELD: Final = "path has the field of its type and not the other: replaceFullPath or replacePrefixMatch"


class PathModifier(RoutePart):
    """Another path."""

    model_config = RoutePart.model_config | {
        "json_schema_extra": PRESERVE_UNKNOWN
        | rules(
            (
                "!(self.type in ['ReplaceFullPath', 'ReplacePrefixMatch'])"
                " || (has(self.replaceFullPath) == (self.type == 'ReplaceFullPath')"
                " && has(self.replacePrefixMatch) == (self.type == 'ReplacePrefixMatch'))",
                _PATH_FIELD,
            )
        )
    }

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"] = Field(description="What is replaced.")
    replace_full_path: str | None = Field(None, max_length=1024, description="What the whole path becomes.")
    replace_prefix_match: str | None = Field(
        None, max_length=1024, description="What the part of the path becomes that the rule's match names."
    )

    @model_validator(mode="after")
    def _has_its_field(self) -> Self:
        present = (self.replace_full_path is not None, self.replace_prefix_match is not None)
        if present != (self.type == "ReplaceFullPath", self.type == "ReplacePrefixMatch"):
            raise ValueError(_PATH_FIELD)
        return self


class Redirect(RoutePart):
    """Where clients are sent."""

    scheme: Literal["http", "https"] | None = Field(None, description="Another scheme.")
    hostname: ObjectName | None = Field(None, description="Another host name.")
    path: PathModifier | None = Field(None, description="Another path.")
    port: PortNumber | None = Field(None, description="Another port.")
    status_code: int | None = Field(None, ge=301, le=308, description="HTTP status code of the answer.")


class Rewrite(RoutePart):
    """What backends see instead of what clients sent."""

    hostname: ObjectName | None = Field(None, description="Another host name.")
    path: PathModifier | None = Field(None, description="Another path.")


_MIRROR_PORT: Final = "a Service needs a port"


class MirrorBackend(RoutePart):
    """Who gets the copies."""

    model_config = RoutePart.model_config | {
        "json_schema_extra": PRESERVE_UNKNOWN
        | rules(
            (
                "has(self.port) || (has(self.group) && self.group != '') || (has(self.kind) && self.kind != 'Service')",
                _MIRROR_PORT,
            )
        )
    }

    name: ReferredName = Field(description="Name of the object.")
    namespace: DnsLabel | None = Field(None, description="Namespace of the object; the service's own when absent.")
    group: GroupName | None = Field(None, description="API group of the object; the core group when absent.")
    kind: KindName | None = Field(None, description="Kind of the object; Service when absent.")
    port: PortNumber | None = Field(None, description="Port of the Service.")

    @model_validator(mode="after")
    def _a_service_has_a_port(self) -> Self:
        if self.port is None and not self.group and self.kind in (None, "Service"):
            raise ValueError(_MIRROR_PORT)
        return self


class Mirror(RoutePart):
    """A copy of each request, whose answer nobody waits for."""

    backend_ref: MirrorBackend = Field(description="Who gets the copies.")


class ExtensionRef(RoutePart):
    """A filter of the gateway's own."""

    group: GroupName = Field(description="API group of the object.")
    kind: KindName = Field(description="Kind of the object.")
    name: ReferredName = Field(description="Name of the object.")


#: Each type of filter, and the field that is its own.
_FIELDS: Final[Mapping[str, str]] = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "ExtensionRef": "extensionRef",
    "CORS": "cors",
    "ExternalAuth": "externalAuth",
}
_OWN_FIELD: Final = "a filter has the field of its type, as requestMirror of RequestMirror, and none of another"


class RouteFilter(RoutePart):
    """What happens to a request or an answer on its way."""

    model_config = RoutePart.model_config | {
        "json_schema_extra": PRESERVE_UNKNOWN
        | rules(
            (
                f"!(self.type in {list(_FIELDS)}) || ("
                + " && ".join(f"has(self.{field}) == (self.type == '{kind}')" for kind, field in _FIELDS.items())
                + ")",
                _OWN_FIELD,
            )
        )
    }

    type: Literal[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
        "ExternalAuth",
    ] = Field(description="What the filter does.")
    request_header_modifier: HeaderModifier | None = Field(None, description="Changes to headers of requests.")
    response_header_modifier: HeaderModifier | None = Field(None, description="Changes to headers of answers.")
    request_mirror: Mirror | None = Field(None, description="A copy of each request for somebody else.")
    request_redirect: Redirect | None = Field(None, description="An answer that sends clients elsewhere.")
    url_rewrite: Rewrite | None = Field(None, description="Another host name or path for backends.")
    extension_ref: ExtensionRef | None = Field(None, description="A filter of the gateway's own.")
    # Young in the Gateway API, or not in its standard yet: whatever they hold passes.
    cors: PreservedObject | None = Field(None, description="Answers to requests of other origins.")
    external_auth: PreservedObject | None = Field(None, description="A check of each request by somebody else.")

    @model_validator(mode="after")
    def _has_its_own_field(self) -> Self:
        present = self.model_dump(by_alias=True, exclude_none=True, exclude={"type"}).keys()
        if present != {_FIELDS[self.type]}:
            raise ValueError(_OWN_FIELD)
        return self


_ONCE: Final = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS")
_TOGETHER: Final = f"filters hold {', '.join(_ONCE)} once at most, and RequestRedirect not beside URLRewrite"

FILTERS_RULE: Final = rules(
    (
        f"{list(_ONCE)}.all(t, self.filter(f, f.type == t).size() <= 1)"
        " && !(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
        _TOGETHER,
    )
)


def go_together(filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The filters, as they are. Raises ValueError where the Gateway API takes each, but not all of them."""
    types = [f["type"] for f in filters]
    if any(types.count(kind) > 1 for kind in _ONCE) or {"RequestRedirect", "URLRewrite"} <= set(types):
        raise ValueError(_TOGETHER)
    return filters


REPLACED_PREFIX: Final = "replacePrefixMatch needs a rule with exactly one match, by PathPrefix"


def check_replaced_prefix(matches: Sequence[Mapping[str, Any]], filters: Iterable[Mapping[str, Any]]) -> None:
    """Raise ValueError for a prefix that is to be replaced and that no match names.

    What is absent is what the Gateway API makes of it: one match, by the prefix `/`.
    """
    modifiers = (f.get(field, {}).get("path", {}) for f in filters for field in ("requestRedirect", "urlRewrite"))
    if not any("replacePrefixMatch" in modifier for modifier in modifiers):
        return
    types = [match.get("path", {}).get("type", "PathPrefix") for match in matches]
    if types not in ([], ["PathPrefix"]):
        raise ValueError(REPLACED_PREFIX)
