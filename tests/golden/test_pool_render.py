"""Rendering of pools, case by case, against the files beside this one.

A new case is a folder with an `in.yaml`. `UPDATE_GOLDEN=1 uv run pytest tests/golden` writes every `out.yaml` anew;
the review happens in the diff.
"""

from __future__ import annotations

import copy

import pytest

from tests.golden import pool_cases
from tests.golden.plain import assert_nothing_is_shared
from tests.golden.test_render import UPDATE


@pytest.mark.parametrize("name", pool_cases.CASES)
def test_what_is_rendered(name: str) -> None:
    out = pool_cases.FOLDER / name / "out.yaml"
    rendered = pool_cases.to_yaml(pool_cases.load(name).render())
    if UPDATE:
        out.write_text(rendered)
    assert out.exists(), "new case: write its out.yaml with UPDATE_GOLDEN=1, and read it"
    assert rendered == out.read_text()


def test_there_are_cases() -> None:
    assert len(pool_cases.CASES) >= 6
    strays = {p.name for p in pool_cases.FOLDER.iterdir()} - set(pool_cases.CASES)
    assert not strays, f"folders without in.yaml: {strays}"


@pytest.mark.parametrize("name", pool_cases.CASES)
def test_rendering_twice_gives_the_same_and_leaves_its_input_alone(name: str) -> None:
    case = pool_cases.load(name)
    before = copy.deepcopy(case)
    first = case.render()
    assert first == case.render()
    assert_nothing_is_shared(first.objects)
    assert case == before
