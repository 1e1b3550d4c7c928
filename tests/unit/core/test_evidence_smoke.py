from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.api.smoke import Expectation, JsonPathExpectation, SmokeTest
from sophia_operator.core.evidence.smoke import PathNotFoundError, judge_response, lookup

BODY = {"items": [{"status": "ok", "n": 1, "f": 1.5, "t": True, "z": None, "o": {"b": 1, "a": [2]}}], "a-b": "é"}


def outcome(answered: int = 200, body: bytes = b"", elapsed_ms: float = 1, **expect: Any) -> tuple[bool, str]:
    test = SmokeTest(name="t", path="/", expect=Expectation(**expect))
    result = judge_response(test, answered, body, elapsed_ms)
    return result.passed, result.message


def at(path: str, equals: str, body: bytes | None = None) -> tuple[bool, str]:
    content = json.dumps(BODY).encode() if body is None else body
    return outcome(body=content, json_path=JsonPathExpectation(path=path, equals=equals))


def test_an_answer_that_is_expected_passes() -> None:
    assert outcome(204, b"hello", 3.4, status=204, body_contains="ell", max_latency_ms=4) == (
        True,
        "answered 204 in 3 ms",
    )


def test_everything_that_is_wrong_is_said() -> None:
    passed, message = outcome(503, b"down", 20.6, body_contains="up", max_latency_ms=20)
    assert not passed
    assert message.split("; ") == [
        "the answer is 503, 200 expected",
        "the body (4 bytes) does not contain 'up'",
        "it took 21 ms, at most 20 ms expected",
    ]


def test_text_is_looked_for_in_utf_8_and_bodies_may_be_anything() -> None:
    assert outcome(body="grün".encode(), body_contains="ü")[0]
    assert not outcome(body=b"\xff\xfe\x00", body_contains="ü")[0]


@pytest.mark.parametrize(
    ("path", "equals"),
    [
        (".items[0].status", "ok"),
        ("$.items[0].status", "ok"),
        (".items[0].n", "1"),
        (".items[0].f", "1.5"),
        (".items[0].t", "true"),
        (".items[0].z", "null"),
        (".items[0].o", '{"a": [2], "b": 1}'),
        (".items[0].o.a[0]", "2"),
        (".a-b", "é"),
    ],
)
def test_values_are_found_and_compared_as_text_or_json(path: str, equals: str) -> None:
    assert at(path, equals) == (True, "answered 200 in 1 ms")


@pytest.mark.parametrize(
    ("path", "equals", "words"),
    [
        (".items[0].status", "no", ".items[0].status is 'ok', 'no' expected"),
        (".items[0].t", "1", ".items[0].t is 'true', '1' expected"),
        (".items[0].n", "one", ".items[0].n is '1', 'one' expected"),
        (".items[1].status", "ok", "there is no item 1 at $.items"),
        (".items.status", "ok", "there is no 'status' at $.items"),
        (".nothing", "ok", "there is no 'nothing' at $"),
        (".items[0].status[0]", "o", "there is no item 0 at $.items[0].status"),
    ],
)
def test_values_that_differ_or_are_missing_are_named(path: str, equals: str, words: str) -> None:
    passed, message = at(path, equals)
    assert not passed
    assert words in message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_does_not_pass(body: bytes) -> None:
    assert at(".a", "1", body) == (False, f"the body ({len(body)} bytes) is not JSON")


def test_a_long_value_is_cut_in_the_message() -> None:
    passed, message = at(".a", "short", json.dumps({"a": "x" * 5000}).encode())
    assert not passed
    assert len(message) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.from_regex(r"\$?(\.[a-c]|\[[0-2]\]){1,4}", fullmatch=True))
def test_any_document_has_a_value_at_a_path_or_says_it_has_not(document: Any, path: str) -> None:
    with suppress(PathNotFoundError):
        lookup(document, path)


@given(JSON)
def test_a_value_equals_its_own_json(value: Any) -> None:
    test = SmokeTest(
        name="t",
        path="/",
        expect=Expectation(
            json_path=JsonPathExpectation.model_construct(
                path=".v", equals=value if isinstance(value, str) else json.dumps(value, indent=1)
            )
        ),
    )
    assert judge_response(test, 200, json.dumps({"v": value}).encode(), 1).passed
