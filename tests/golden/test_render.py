"""Rendering, case by case, against the files beside this one.

A new case is a folder with an `in.yaml`. `UPDATE_GOLDEN=1 uv run pytest tests/golden` writes every `out.yaml` anew;
the review happens in the diff.
"""

from __future__ import annotations

import copy
import os
from typing import Any, Final

import pytest

from tests.golden import cases

UPDATE: Final = os.environ.get("UPDATE_GOLDEN") == "1"


@pytest.mark.parametrize("name", cases.CASES)
def test_what_is_rendered(name: str) -> None:
    case = cases.load(name)
    out = cases.FOLDER / name / "out.yaml"
    rendered = cases.to_yaml(case.render(), case)
    if UPDATE:
        out.write_text(rendered)
    assert out.exists(), "new case: write its out.yaml with UPDATE_GOLDEN=1, and read it"
    assert rendered == out.read_text()


def test_there_are_cases() -> None:
    assert len(cases.CASES) >= 12
    strays = {p.name for p in cases.FOLDER.iterdir()} - set(cases.CASES)
    assert not strays, f"folders without in.yaml: {strays}"


@pytest.mark.parametrize("name", cases.CASES)
def test_rendering_twice_gives_the_same(name: str) -> None:
    assert cases.load(name).render() == cases.load(name).render()


@pytest.mark.parametrize("name", cases.CASES)
def test_rendering_leaves_its_input_alone(name: str) -> None:
    case = cases.load(name)
    before = copy.deepcopy(case)
    for obj in case.render().objects:
        _scribble(obj)
    assert case == before


@pytest.mark.parametrize("name", cases.CASES)
def test_no_part_of_an_object_is_shared_with_another(name: str) -> None:
    """Else changing one object, as stamping does, would change another."""
    seen: set[int] = set()
    for obj in cases.load(name).render().objects:
        for part in _parts(obj):
            assert id(part) not in seen
            seen.add(id(part))


def _scribble(value: Any) -> None:
    for part in _parts(value):
        part.clear()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [part for v in value.values() for part in _parts(v)] + [value]
    if isinstance(value, list):
        return [part for v in value for part in _parts(v)] + [value]
    return []
