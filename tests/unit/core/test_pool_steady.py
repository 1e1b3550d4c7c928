"""Which figures say something else than before."""

from __future__ import annotations

import pytest

from sophia_operator.core.steady import differs, ms_text, steady


@pytest.mark.parametrize(
    ("old", "new", "other"),
    [(0, 0, False), (0, 1, True), (1, 0, True), (1, 2, False), (1, 3, True), (100, 119, False), (100, 120, True)],
)
def test_figures(old: int, new: int, other: bool) -> None:
    assert differs(old, new) is other
    assert steady(old, new) == (new if other else old)
    assert steady(None, new) == new


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0"), (9.94, "9.9"), (10.4, "10"), (1234.5, "1234")])
def test_milliseconds(value: float, text: str) -> None:
    assert ms_text(value) == text
