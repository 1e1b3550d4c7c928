"""Every invariant kills an operator that breaks it, and spares the one that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sophia_operator.runtime.world import Mind
from tests.support import rollout_model, rollout_model_judge, rollout_model_judge_statuses, rollout_model_rest
from tests.support.rollout_model_judge_statuses import InvariantError
from tests.support.rollout_model_mutants import MUTANTS, Mutant

_BROKE = re.compile(r'broke\(\s*"(I\d+)"')


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.invariant} {m.name}")
def test_the_mutant_dies_and_the_operator_lives(mutant: Mutant) -> None:
    mutant.play(Mind())
    with pytest.raises(InvariantError, match=re.escape(mutant.says)) as broken:
        mutant.play(mutant.mind)
    assert broken.value.invariant == mutant.invariant


def test_every_invariant_has_a_mutant() -> None:
    judges = (rollout_model, rollout_model_judge, rollout_model_judge_statuses, rollout_model_rest)
    sources = [Path(str(judge.__file__)).read_text() for judge in judges]
    invariants = {found for source in sources for found in _BROKE.findall(source)}
    assert invariants == {f"I{number}" for number in range(1, 11)}
    assert {mutant.invariant for mutant in MUTANTS} == invariants
