"""What a query may hold between double braces is what something fills in."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sophia_operator.api.queries import MODEL_PLACEHOLDERS, PLACEHOLDERS, ModelQuery, Query
from sophia_operator.api.release import Color
from sophia_operator.core.evidence import placeholders
from sophia_operator.core.evidence.subject import Subject
from sophia_operator.core.model.queries import quality_request
from tests.support import model_routes

_QUERY = TypeAdapter(Query)
_MODEL_QUERY = TypeAdapter(ModelQuery)
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


@pytest.mark.parametrize(
    ("name", "value"), list(zip(MODEL_PLACEHOLDERS, ["primary", model_routes.NAMESPACE, "chat", "60s"], strict=True))
)
def test_every_name_of_a_query_on_a_model_is_filled_in(name: str, value: str) -> None:
    query = _MODEL_QUERY.validate_python(f"a{{{{\n{name} }}}}")
    route = model_routes.model_route(models=[model_routes.model("primary", qualityQuery=query)])
    request = quality_request(model_routes.view(route), "primary")
    assert request is not None
    assert request.query == f"a{value}"


@pytest.mark.parametrize("name", sorted({*PLACEHOLDERS, "models", ""} - {*MODEL_PLACEHOLDERS}))
def test_what_nothing_fills_in_of_a_model_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"one of model, namespace, route, window, as in \{\{model\}\}"):
        _MODEL_QUERY.validate_python(f"a{{{{{name}}}}}")


@pytest.mark.parametrize("query", ["{" * 8192, "{a" * 4096, "{{release}}" * 744, "{{ " * 2730, "{{" + " " * 8000])
def test_the_longest_query_is_judged_at_once(query: str) -> None:
    started = time.perf_counter()
    with suppress(ValidationError):
        _QUERY.validate_python(query)
    assert time.perf_counter() - started < 1
