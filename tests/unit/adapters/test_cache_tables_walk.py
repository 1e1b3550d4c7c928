"""Which ranges of keys a flush looks at."""

from __future__ import annotations

import pytest

from sophia_operator.adapters.cache_tables_walk import Position, Range, after, ranges


@pytest.mark.parametrize(
    ("start", "end"), [("a", "b"), ("emb:", "emb;"), ("a\U0010ffff", "b"), ("a\ud7ff", "a\ue000"), ("é", "ê")]
)
def test_the_end_of_a_range_is_just_after_it(start: str, end: str) -> None:
    assert after(start) == end
    # As text in UTF-8, which is what orders them in the table.
    assert (start + "\U0010ffff\U0010ffff").encode() < end.encode()


def test_nothing_comes_after_everything() -> None:
    with pytest.raises(ValueError, match="begins"):
        after("")


def test_ranges_are_in_order_and_none_is_within_another() -> None:
    assert ranges(("b:*", "a:g1:*", "a:*", "c*"), ("a:", "b:g1:", "c:")) == [
        Range("a:", "a;"),
        Range("b:g1:", "b:g1;"),
        Range("c:", "c;"),
    ]
    assert ranges(("a:*",), ("b:",)) == []


@pytest.mark.parametrize(
    "position", [Position("emb:g1:é\n"), Position("+1:", missed=True, part=7), Position("", missed=True)]
)
def test_a_cursor_is_read_as_it_was_written(position: Position) -> None:
    assert Position.of(position.cursor) == position
    assert Position.of("") == Position()
