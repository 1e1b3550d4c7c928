"""What a query may hold between double braces is what something fills in."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sophia_operator.api.queries import PLACEHOLDERS, Query
from sophia_operator.api.release import Color
from sophia_operator.core.evidence import placeholders
from sophia_operator.core.evidence.subject import Subject

_QUERY = TypeAdapter(Query)
_PIECES = ["{", "}", " ", "\n", "release", "{{color}}", "{{ window }}", "colour", "{{name", "a"]


def test_every_name_is_filled_in() -> None:
    who = Subject("shop", "chat", "chat-2", Color.GREEN, 80)
    for name in PLACEHOLDERS:
        assert "{" not in placeholders.fill(f"{{{{{name}}}}}", who, 60)


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12).map("".join))
def test_what_is_admitted_can_be_filled_in(query: str) -> None:
    with suppress(ValidationError):
        placeholders.check(_QUERY.validate_python(query))


@pytest.mark.parametrize(
    "query", ["{{}}", "{{release}", "{{{release}}}", "{{Release}}", "{{release}} {{", "{{re lease}}"]
)
def test_what_nothing_fills_in_is_refused(query: str) -> None:
    with pytest.raises(ValidationError, match="double braces must hold one of release, color"):
        _QUERY.validate_python(query)


@pytest.mark.parametrize("query", ["{" * 8192, "{a" * 4096, "{{release}}" * 744, "{{ " * 2730, "{{" + " " * 8000])
def test_the_longest_query_is_judged_at_once(query: str) -> None:
    started = time.perf_counter()
    with suppress(ValidationError):
        _QUERY.validate_python(query)
    assert time.perf_counter() - started < 1
