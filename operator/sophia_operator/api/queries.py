"""Prometheus queries as users write them, with placeholders that the operator fills in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from sophia_operator.api.common import rules


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What can stand between double braces in queries of one sort."""

    names: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """Matches a whole query in which every placeholder is one of these. Runs in linear time."""
        # PromQL itself has double braces only inside strings, so two in a row always open a placeholder.
        known = rf"\{{\{{[ \t\r\n]*(?:{'|'.join(self.names)})[ \t\r\n]*\}}\}}"
        return rf"(?:[^{{]|\{{[^{{]|{known})*\{{?"

    @property
    def message(self) -> str:
        """What is said of a query with another one."""
        return f"double braces must hold one of {', '.join(self.names)}, as in {{{{{self.names[0]}}}}}"

    def rules(self) -> dict[str, Any]:
        """As a CEL rule on the query."""
        return rules((f"self.matches(r'^{self.pattern}$')", self.message))

    def check(self, query: str) -> str:
        """The query as it is. Raises ValueError for one with another placeholder."""
        if not re.fullmatch(self.pattern, query):
            raise ValueError(self.message)
        return query


_OF_RELEASES: Final = Placeholders(("release", "color", "namespace", "service", "window"))
_OF_MODELS: Final = Placeholders(("model", "namespace", "route", "window"))

#: In queries on a release of a ManagedService.
PLACEHOLDERS: Final = _OF_RELEASES.names
#: In queries on a model of a ModelRoute.
MODEL_PLACEHOLDERS: Final = _OF_MODELS.names

#: A query in which every placeholder is one that something fills in.
Query = Annotated[
    str,
    Field(min_length=1, max_length=8192, json_schema_extra=_OF_RELEASES.rules()),
    AfterValidator(_OF_RELEASES.check),
]
#: The same on a model of a ModelRoute.
ModelQuery = Annotated[
    str,
    Field(min_length=1, max_length=4096, json_schema_extra=_OF_MODELS.rules()),
    AfterValidator(_OF_MODELS.check),
]
