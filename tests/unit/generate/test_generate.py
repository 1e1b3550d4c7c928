"""`make generate` writes what the models say, and `--check` tells when the files on disk are stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.generate.__main__ import ROOT, drift, main, outputs, write
from hack.generate.reference import render_reference
from sophia_operator.api.conditions import ConditionType, Reason
from sophia_operator.api.meanings import CONDITION_MEANINGS, REASON_MEANINGS
from sophia_operator.api.schema.kinds import KINDS


def test_the_committed_files_are_up_to_date() -> None:
    assert drift(ROOT, outputs()) == ""


def test_two_runs_give_the_same_bytes() -> None:
    assert outputs() == outputs()


def test_check_passes_right_after_writing_and_writing_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], tmp_path) == 1
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert write(tmp_path, outputs()) == []
    assert "Generated files are stale" in capsys.readouterr().err


def test_check_shows_an_edit_as_a_diff_and_writing_undoes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, outputs())
    crd = tmp_path / "crds/releases.sophia.ai.yaml"
    crd.write_text(crd.read_text().replace("scope: Namespaced", "scope: Cluster"))
    assert main(["--check"], tmp_path) == 1
    shown = capsys.readouterr().out
    assert "-  scope: Cluster\n+  scope: Namespaced\n" in shown
    assert "crds/releases.sophia.ai.yaml (generated)" in shown
    assert write(tmp_path, outputs()) == [Path("crds/releases.sophia.ai.yaml")]


def test_a_crd_that_nothing_generates_any_more_is_found_and_removed(tmp_path: Path) -> None:
    write(tmp_path, outputs())
    old = tmp_path / "crds/oldkinds.sophia.ai.yaml"
    old.write_text("kind: OldKind\n")
    assert "-kind: OldKind" in drift(tmp_path, outputs())
    assert write(tmp_path, outputs()) == [Path("crds/oldkinds.sophia.ai.yaml")]
    assert not old.exists()


def test_every_condition_and_reason_has_its_meaning_and_no_other_is_told() -> None:
    assert set(CONDITION_MEANINGS) == set(ConditionType)
    assert set(REASON_MEANINGS) == set(Reason)
    assert all(text.endswith(".") for text in (*CONDITION_MEANINGS.values(), *REASON_MEANINGS.values()))


def test_the_reference_lists_fields_with_their_defaults_bounds_and_rules() -> None:
    page = render_reference(KINDS)
    row = (
        "| `spec.rollout.stages[].weightPercent` | integer | *required* | 1 to 100 "
        "| Share of the traffic for the new release, in percent. |"
    )
    assert row in page
    # A default that the model computes, and a rule.
    assert '`[{"weightPercent": 10, "observeSeconds": 300}, {"weightPercent": 25,' in page
    assert "| `spec.rollout.stages` | stages must rise and end at 100 |" in page


def test_the_reference_refers_to_what_it_has_listed_before() -> None:
    page = render_reference(KINDS)
    assert "| `spec.snapshot.plan` |" in page
    assert "The same fields as `spec.rollout`" in page
    assert "`spec.snapshot.plan.stages[].weightPercent`" not in page
