"""YAML is read as Kubernetes reads it, and each value is found again at its line and column."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.cli.yaml_source import MAX_DEPTH, Document, Position, SourceError, read_documents


def only(text: str) -> Document:
    (document,) = read_documents(text)
    return document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: 2030-01-02T03:04:05Z", {"a": "2030-01-02T03:04:05Z"}),
        ("a: 2030-01-02", {"a": "2030-01-02"}),
        ("a: [x, {b: null}, 1.5, true]", {"a": ["x", {"b": None}, 1.5, True]}),
        ("80: a", {"80": "a"}),
        ("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}", {"base": {"x": 1, "y": 2}, "use": {"x": 1, "y": 3}}),
        ('{"json": [1, 2]}', {"json": [1, 2]}),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert only(text).value == value


def test_empty_documents_are_passed_over() -> None:
    assert [document.value for document in read_documents("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n")] == [
        {"a": 1},
        {"b": 2},
    ]


def test_positions_are_those_of_keys_and_items_in_the_whole_file() -> None:
    _, document = read_documents("x: 1\n---\nspec:\n  ports:\n    - name: a\n    - name: b\n      port: 80\n")
    assert document.position(("spec", "ports", 1, "port")) == Position(7, 7)
    assert document.position(("spec", "ports", 1)) == Position(6, 7)


def test_what_is_missing_is_told_at_what_is_around_it() -> None:
    document = only("spec:\n  ports: []\n")
    assert document.position(("spec", "ports", 3, "name")) == Position(2, 3)
    assert document.position(("status",)) == Position(1, 1)


def test_a_key_written_twice_is_told_but_not_one_that_overrides_a_merged_one() -> None:
    assert only("a: 1\nb: {c: 1, c: 2, c: 3}\n").twice == [("b", "c")]
    assert only("x: &x {a: 1}\ny: {<<: *x, a: 2}\n").twice == []


def test_a_part_becomes_a_document_with_its_own_paths() -> None:
    part = only("items:\n  - a: {b: 1, b: 2}\n").within(("items", 0))
    assert part.value == {"a": {"b": 2}}
    assert part.position(("a",)) == Position(2, 5)
    assert part.twice == [("a", "b")]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "not valid YAML"),
        ("a: *nothing\n", 1, "not valid YAML: found undefined alias"),
        ("a: &x [*x]\n", 1, "an alias that holds itself"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key must be a word"),
        ("a: 1\nb: .nan\n", 2, "JSON cannot hold .nan"),
        ("a: !!binary aGk=\n", 1, "JSON cannot hold"),
        ("a: !mine x\n", 1, "not valid YAML"),
        ("a: 0b\u0000\n", 1, "not valid YAML"),
    ],
)
def test_what_kubernetes_would_not_take_is_told_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(SourceError, match=problem) as caught:
        list(read_documents(text))
    assert caught.value.position.line == line


def test_aliases_that_stand_for_billions_of_values_are_refused_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(SourceError, match="too large"):
        list(read_documents("\n".join(lines)))


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_what_is_nested_too_deeply_is_refused_where_it_is(brackets: str) -> None:
    opening, closing = ("[", "]") if brackets == "[]" else ("{a: ", "}")
    whole = opening * (MAX_DEPTH - 1) + "1" + closing * (MAX_DEPTH - 1)
    assert only(f"x:\n  {whole}").value["x"]
    with pytest.raises(SourceError, match=f"nested more than {MAX_DEPTH} deep") as caught:
        list(read_documents("x:\n  " + opening * 100_000 + closing * 100_000))
    assert caught.value.position.line == 2
