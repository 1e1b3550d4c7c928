"""Placeholders in users' queries: `{{release}}`, `{{color}}`, `{{namespace}}`, `{{service}}`, `{{window}}`."""

from __future__ import annotations

import re
from typing import Final

from sophia_operator.api.queries import PLACEHOLDERS
from sophia_operator.core.evidence.subject import Subject

_PLACEHOLDER: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class QueryError(ValueError):
    """A query cannot be built from what the user wrote; the message says what to change."""


class UnknownPlaceholder(QueryError):  # noqa: N818 - named for what is wrong
    """A query has a placeholder that nothing fills in."""

    def __init__(self, name: str) -> None:
        known = ", ".join(f"{{{{{n}}}}}" for n in PLACEHOLDERS)
        super().__init__(f"unknown placeholder {{{{{name}}}}}: a query can use {known}")
        self.name = name


def check(query: str) -> None:
    """Raise UnknownPlaceholder for the first placeholder that nothing fills in."""
    for match in _PLACEHOLDER.finditer(query):
        name = match.group(1).strip()
        if name not in PLACEHOLDERS:
            raise UnknownPlaceholder(name)


def fill(query: str, who: Subject, window_seconds: int) -> str:
    """The query with every placeholder filled in. Raises UnknownPlaceholder.

    The values are DNS labels, a colour and a duration such as `60s`: none can end a string or a selector.
    """
    check(query)
    values = {
        "release": who.release,
        "color": who.color.value,
        "namespace": who.namespace,
        "service": who.service,
        "window": f"{window_seconds}s",
    }
    return _PLACEHOLDER.sub(lambda match: values[match.group(1).strip()], query)
