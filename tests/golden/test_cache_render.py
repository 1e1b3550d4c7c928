"""Rendering of tiers, case by case, against the files beside this one.

A new case is a folder with an `in.yaml`. `UPDATE_GOLDEN=1 uv run pytest tests/golden` writes every `out.yaml` anew;
the review happens in the diff.
"""

from __future__ import annotations

import copy

import pytest

from tests.golden import cache_cases
from tests.golden.plain import assert_nothing_is_shared
from tests.golden.test_render import UPDATE


@pytest.mark.parametrize("name", cache_cases.CASES)
def test_what_is_rendered(name: str) -> None:
    out = cache_cases.FOLDER / name / "out.yaml"
    rendered = cache_cases.to_yaml(cache_cases.load(name).render())
    if UPDATE:
        out.write_text(rendered)
    assert out.exists(), "new case: write its out.yaml with UPDATE_GOLDEN=1, and read it"
    assert rendered == out.read_text()


def test_there_are_cases() -> None:
    assert len(cache_cases.CASES) >= 11
    strays = {p.name for p in cache_cases.FOLDER.iterdir()} - set(cache_cases.CASES)
    assert not strays, f"folders without in.yaml: {strays}"


@pytest.mark.parametrize("name", cache_cases.CASES)
def test_rendering_twice_gives_the_same_and_leaves_its_input_alone(name: str) -> None:
    case = cache_cases.load(name)
    before = copy.deepcopy(case)
    first = case.render()
    assert first == case.render()
    assert_nothing_is_shared(first.objects)
    assert case == before
