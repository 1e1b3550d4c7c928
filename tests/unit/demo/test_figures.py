"""How long a fault reached users, and who answered at which weight."""

from __future__ import annotations

import pytest

from hack.demo.figures import fault_to_all_stable_seconds, stage_figures, stage_spans
from hack.load import Record
from tests.support import objects
from tests.unit.demo.fakes import BEGIN, record


@pytest.mark.parametrize(
    ("records", "seconds"),
    [
        ([], None),
        ([record(0, "bad"), record(5, "bad")], None),  # it spoiled nothing
        ([record(0, "good", 500), record(5, "bad")], None),  # not its fault
        ([record(3, "bad", 500)], 0.5),  # until the answer is there
        ([record(0, "bad"), record(2, "bad", 500), record(7, "bad"), record(9, "good")], 5.5),
        ([record(7, "bad"), record(4, "bad", 500), record(2, "bad", 500)], 5.5),  # in any order
        ([record(2, "bad", 500), record(60, None, 503)], 0.5),  # what is lost was answered by nobody
    ],
)
def test_from_the_first_fault_to_the_last_answer_of_the_bad_release(
    records: list[Record], seconds: float | None
) -> None:
    assert fault_to_all_stable_seconds("bad", records) == (None if seconds is None else pytest.approx(seconds))


def test_a_stage_lasts_from_its_weight_observed_to_the_next_step() -> None:
    steps = [
        objects.transition(0, "Shifting", "SmokeTestsPassed", "", 10),
        objects.transition(-5, "Shifting", "WeightObserved", "", 10),
        objects.transition(-13, "Shifting", "StagePassed", "", 25),
    ]
    assert stage_spans(objects.release(2, "Shifting", transitions=steps)) == [(10, BEGIN + 5, BEGIN + 13)]


def test_a_release_that_nobody_has_looked_at_yet_has_no_stages() -> None:
    assert stage_figures({"metadata": {"name": "shop-2"}}, [record()]) == []
