"""Prometheus queries as users write them, with placeholders that the operator fills in."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from sophia_operator.api.common import rules

#: What can stand between double braces.
PLACEHOLDERS: Final = ("release", "color", "namespace", "service", "window")

_UNKNOWN: Final = "double braces must hold one of " + ", ".join(PLACEHOLDERS) + ", as in {{release}}"
# PromQL itself has double braces only inside strings, so two in a row always open a placeholder.
_KNOWN: Final = rf"\{{\{{[ \t\r\n]*(?:{'|'.join(PLACEHOLDERS)})[ \t\r\n]*\}}\}}"
_QUERY: Final = rf"(?:[^{{]|\{{[^{{]|{_KNOWN})*\{{?"


def _has_known_placeholders(query: str) -> str:
    if not re.fullmatch(_QUERY, query):
        raise ValueError(_UNKNOWN)
    return query


#: A query in which every placeholder is one that something fills in.
Query = Annotated[
    str,
    Field(
        min_length=1,
        max_length=8192,
        json_schema_extra=rules((f"self.matches(r'^{_QUERY}$')", _UNKNOWN)),
    ),
    AfterValidator(_has_known_placeholders),
]
