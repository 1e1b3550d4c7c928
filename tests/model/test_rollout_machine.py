"""Hundreds of ways that a rollout can go, with a crash possible between any two writes; and how far they reach."""

from __future__ import annotations

from typing import Final

import pytest

from tests.model.machine import EXAMPLES, STEPS
from tests.model.reach import measure

#: In how many of 100 walks each thing must have happened: at most half of what was measured.
LEAST_PERCENT: Final[dict[str, float]] = {}


@pytest.mark.timeout(7200)
def test_no_walk_breaks_a_rule_and_together_they_get_to_where_things_go_wrong() -> None:
    reached = measure(EXAMPLES, STEPS)
    share = {what: 100 * reached[what] / reached["examples"] for what in LEAST_PERCENT}
    assert {what: share[what] for what, least in LEAST_PERCENT.items() if share[what] < least} == {}
