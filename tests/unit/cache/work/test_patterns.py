"""Patterns of what a flush takes away match that, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_operator.api.cache_tier import CacheNamespace
from sophia_operator.core.cache.glob import matches
from sophia_operator.core.cache.names import key_prefix
from sophia_operator.core.cache.work import patterns

NUMBERS = st.integers(1, 12_000)


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_an_escaped_text_matches_itself_alone(text: str, other: str) -> None:
    assert matches(patterns.escaped(text), text)
    assert matches(patterns.escaped(text), other) is (text == other)


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.none() | NUMBERS)
def test_older_ones_are_all_with_a_lower_number(number: int, other: int, revision: int | None) -> None:
    key = key_prefix("emb", other, revision) + "doc"
    assert any(matches(p, key) for p in patterns.older_than("emb", number)) is (other < number)


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.none() | NUMBERS)
def test_the_one_before_is_that_alone(number: int, other: int, revision: int | None) -> None:
    key = key_prefix("emb", other, revision) + "doc"
    assert matches(patterns.just_before("emb", number), key) is (other == number - 1)


def test_few_patterns_say_it() -> None:
    assert patterns.older_than("emb", 2) == ("emb:g1[:r]*",)
    assert patterns.older_than("emb", 10) == ("emb:g[1-9][:r]*",)
    assert patterns.older_than("a.b", 12) == ("a.b:g[1-9][:r]*", "a.b:g1[0-1][:r]*")
    assert len(patterns.older_than("emb", 123_456)) <= 11


@pytest.mark.parametrize("key", ["emb:g10:x", "emb:g1r7:x", "emb2:g1:x", "embg1:x", "xemb:g1:x", "emb:G1:x"])
def test_a_generation_is_that_alone(key: str) -> None:
    assert matches(patterns.of_generation("emb", "g1"), "emb:g1:x")
    assert not matches(patterns.of_generation("emb", "g1"), key)


def namespaces(*prefixes: str) -> list[CacheNamespace]:
    return [CacheNamespace(name=f"n{i}", prefix=prefix) for i, prefix in enumerate(prefixes)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("emb:*", "emb"),
        ("emb:g1:doc-?", "emb"),
        ("emb2:*", "emb2"),
        ("emb*:g1:x", None),
        ("em[b]:*", "emb"),  # one letter in brackets is that letter
        ("em[ab]:*", None),
        ("e?b:*", None),
        ("*", None),
        ("other:*", None),
        ("emb", None),
        (r"emb\:*", "emb"),
        (r"emb\*:x", None),
    ],
)
def test_a_pattern_is_of_the_namespace_that_it_begins_with(pattern: str, expected: str | None) -> None:
    found = patterns.owner(pattern, namespaces("emb", "emb2"))
    assert (found.prefix if found else None) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"), [("a:*", None), ("a:b*", None), ("a:b:*", "a:b"), ("a:g1:*", "a"), ("a:b:c", "a:b")]
)
def test_where_prefixes_overlap_the_longest_counts(pattern: str, expected: str | None) -> None:
    found = patterns.owner(pattern, namespaces("a", "a:b"))
    assert (found.prefix if found else None) == expected
