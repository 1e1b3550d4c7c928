"""Every invariant kills an operator that breaks it, and spares the one that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sophia_operator.runtime.world import Mind
from tests.support import rollout_model, rollout_model_judge, rollout_model_judge_statuses, rollout_model_rest
from tests.support import rollout_model_lies as lies
from tests.support import rollout_model_scripts as scripts
from tests.support.rollout_model import Model
from tests.support.rollout_model_judge_statuses import InvariantError
from tests.support.rollout_model_lies import deceived
from tests.support.rollout_model_mutants import MUTANTS, Mutant
from tests.support.rollout_model_rest import settle
from tests.support.rollout_model_specs import Wish

_BROKE = re.compile(r'broke\(\s*"(I\d+)"')


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.invariant} {m.name}")
def test_the_mutant_dies_and_the_operator_lives(mutant: Mutant) -> None:
    mutant.play(Mind())
    with pytest.raises(InvariantError, match=re.escape(mutant.says)) as broken:
        mutant.play(mutant.mind)
    assert broken.value.invariant == mutant.invariant


def test_the_way_back_is_open_in_a_storm() -> None:
    """Nothing says so at a single write: one that is deaf in a storm goes wrong by what it does not do."""
    model = Model(Wish(), Mind())
    scripts.errors_in_a_storm(model)
    settle(model)
    with pytest.raises(AssertionError, match="app-2: Shifting"):
        scripts.errors_in_a_storm(Model(Wish(), deceived(lies.blind_in_a_storm)))


def test_every_invariant_has_a_mutant() -> None:
    judges = (rollout_model, rollout_model_judge, rollout_model_judge_statuses, rollout_model_rest)
    sources = [Path(str(judge.__file__)).read_text() for judge in judges]
    invariants = {found for source in sources for found in _BROKE.findall(source)}
    assert invariants == {f"I{number}" for number in range(1, 12)}
    assert {mutant.invariant for mutant in MUTANTS} == invariants
