"""Matches and timeouts of an HTTPRoute rule: what a typo in them would only show when the route is written.

The bounds are those of the Gateway API v1, standard and experimental, and no closer. Fields that it may grow pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sophia_operator.api.common import PRESERVE_UNKNOWN, ApiModel, map_list, rules


@dataclass(frozen=True)
class AsWritten:
    """Marks an object that a model checks and describes, and that stays as users wrote it.

    Fields that the model does not know must reach the HTTPRoute, and defaults are the Gateway API's to set.
    """

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema
        return handler(self.model.__pydantic_core_schema__)

    def _checked(self, value: dict[str, Any]) -> dict[str, Any]:
        # Strictly, and by the names in the cluster: nothing converts the values later.
        self.model.model_validate(value, strict=True, by_alias=True, by_name=False)
        return value


class RoutePart(ApiModel):
    """A part of an HTTPRoute rule."""

    model_config = ApiModel.model_config | {"json_schema_extra": PRESERVE_UNKNOWN}


FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$", min_length=1, max_length=256)]

_PATH: Final = (
    "value must be an absolute path in the characters of a URL, without empty, . and .. parts, without %2F;"
    " or type must be RegularExpression"
)
_PATH_CHARACTERS: Final = r"^/([-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$"
_PATH_PARTS: Final = r"//|/[.][.]?(/|$)|%2[fF]"


class PathMatch(RoutePart):
    """Paths that a rule is about."""

    model_config = RoutePart.model_config | {
        "json_schema_extra": PRESERVE_UNKNOWN
        | rules(
            (
                "!has(self.value) || (has(self.type) && self.type == 'RegularExpression')"
                f' || (self.value.matches(r"{_PATH_CHARACTERS}") && !self.value.matches(r"{_PATH_PARTS}"))',
                _PATH,
            )
        )
    }

    type: Literal["Exact", "PathPrefix", "RegularExpression"] | None = Field(
        None, description="How paths are compared; PathPrefix when absent."
    )
    value: str | None = Field(None, max_length=1024, description="The path; `/` when absent.")

    @model_validator(mode="after")
    def _is_a_path(self) -> Self:
        if self.value is None or self.type == "RegularExpression":
            return self
        # Python's $ would let a line break pass.
        if not re.fullmatch(_PATH_CHARACTERS, self.value) or re.search(_PATH_PARTS, self.value):
            raise ValueError(_PATH)
        return self


Comparison = Literal["Exact", "RegularExpression"]


class HeaderMatch(RoutePart):
    """A header that requests must have."""

    name: FieldName = Field(description="Name of the header.")
    type: Comparison | None = Field(None, description="How values are compared; Exact when absent.")
    value: str = Field(min_length=1, max_length=4096, description="Value of the header.")


class QueryParamMatch(RoutePart):
    """A query parameter that requests must have."""

    name: FieldName = Field(description="Name of the parameter.")
    type: Comparison | None = Field(None, description="How values are compared; Exact when absent.")
    value: str = Field(min_length=1, max_length=1024, description="Value of the parameter.")


class RouteMatch(RoutePart):
    """Requests that a rule is about: those for which all of this holds."""

    path: PathMatch | None = Field(None, description="Paths; all of them when absent.")
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] | None = Field(
        None, description="HTTP method; any when absent."
    )
    headers: list[HeaderMatch] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("name"),
        description="Headers that requests must have.",
    )
    query_params: list[QueryParamMatch] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("name"),
        description="Query parameters that requests must have.",
    )


_DURATION: Final = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
_TIMEOUTS: Final = "backendRequest must not be longer than request"
_MS: Final = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}

GatewayDuration = Annotated[str, Field(pattern=_DURATION, max_length=28)]


class RouteTimeouts(RoutePart):
    """How long a request may take."""

    model_config = RoutePart.model_config | {
        "json_schema_extra": PRESERVE_UNKNOWN
        | rules(
            (
                # Text that is no duration has its own message; converting it would add a worse one.
                f"!has(self.request) || !self.request.matches('{_DURATION}')"
                f" || !has(self.backendRequest) || !self.backendRequest.matches('{_DURATION}')"
                " || duration(self.request) == duration('0s')"
                " || duration(self.backendRequest) <= duration(self.request)",
                _TIMEOUTS,
            )
        )
    }

    request: GatewayDuration | None = Field(
        None, description="Limit of a whole request, as in `10s`; `0s` means without limit."
    )
    backend_request: GatewayDuration | None = Field(
        None, description="Limit of one try at a backend, as in `5s`; `0s` means without limit."
    )

    @model_validator(mode="after")
    def _a_try_fits_into_the_whole(self) -> Self:
        if self.request is None or self.backend_request is None:
            return self
        if 0 < _milliseconds(self.request) < _milliseconds(self.backend_request):
            raise ValueError(_TIMEOUTS)
        return self


def _milliseconds(duration: str) -> int:
    return sum(int(count) * _MS[unit] for count, unit in re.findall(r"([0-9]+)(h|ms|m|s)", duration))
