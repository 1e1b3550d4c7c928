"""What the test of the split promises, computed exactly: every count of requests at green, after every request."""

from __future__ import annotations

import pytest

from sophia_operator.core.evidence.share import LEAST_REQUESTS, AgreementKind, agrees, probes_needed

STEPS = [(10, 0), (25, 10), (50, 25), (100, 50)]
BACK = [(0, 10), (0, 25), (0, 50), (0, 100)]


def course(truth: float, wanted: int, previous: int, most: int) -> list[float]:
    """Chance that agreement is reached at exactly the n-th request, asked after each, when green's share is `truth`."""
    alive = {0: 1.0}
    reached = [0.0]
    for n in range(1, most + 1):
        after: dict[int, float] = {}
        for green, chance in alive.items():
            if chance * truth > 1e-15:
                after[green + 1] = after.get(green + 1, 0.0) + chance * truth
            if chance * (1 - truth) > 1e-15:
                after[green] = after.get(green, 0.0) + chance * (1 - truth)
        agreed = {g: p for g, p in after.items() if agrees(g, n, wanted, previous).kind is AgreementKind.AGREES}
        reached.append(sum(agreed.values()))
        alive = {g: p for g, p in after.items() if g not in agreed}
    return reached


@pytest.mark.parametrize(("wanted", "previous"), [*STEPS, *BACK])
def test_the_old_weight_is_taken_for_the_new_one_in_at_most_5_percent(wanted: int, previous: int) -> None:
    assert sum(course(previous / 100, wanted, previous, 400)) <= 0.05


@pytest.mark.parametrize(
    ("wanted", "previous", "requests"),
    [(10, 0, 46), (25, 10, 97), (50, 25, 60), (100, 50, 20), (0, 10, 29), (0, 25, 20), (0, 50, 20), (0, 100, 20)],
)
def test_the_new_weight_is_seen_within_so_many_requests_in_95_percent(
    wanted: int, previous: int, requests: int
) -> None:
    assert sum(course(wanted / 100, wanted, previous, requests)) >= 0.95


@pytest.mark.parametrize(("wanted", "truth"), [(25, 60), (50, 95), (10, 50), (25, 0), (50, 100)])
def test_a_share_that_is_neither_the_old_nor_the_new_weight_is_not_taken_for_the_new_one(
    wanted: int, truth: int
) -> None:
    assert agrees(10 * truth, 1000, wanted, 5).kind is AgreementKind.DISAGREES
    assert agrees(2 * truth, 200, wanted, 5).kind is AgreementKind.DISAGREES


def test_too_few_requests_decide_nothing() -> None:
    for total in range(LEAST_REQUESTS):
        assert agrees(total, total, 100, 0).kind is AgreementKind.UNDECIDED
    assert agrees(LEAST_REQUESTS, LEAST_REQUESTS, 100, 0).kind is AgreementKind.AGREES


def test_weight_zero_means_no_request() -> None:
    assert agrees(0, 100, 0, 10).kind is AgreementKind.AGREES
    assert agrees(1, 100, 0, 10).kind is AgreementKind.DISAGREES
    assert agrees(99, 100, 100, 50).kind is AgreementKind.DISAGREES
    # One that was under way among a thousand.
    assert agrees(1, 1000, 0, 10).kind is AgreementKind.AGREES
    assert agrees(2, 1000, 0, 10).kind is AgreementKind.DISAGREES


def test_the_words_tell_what_is_known() -> None:
    assert agrees(3, 10, 25, 10).message == "10 requests are too few to tell, 20 needed"
    assert agrees(100, 1000, 25, 10).message == "10.0 % does not agree with 25 %"
    assert agrees(250, 1000, 25, 10).message == "25.0 % agrees with 25 %, not with 10 %"
    assert agrees(9, 100, 10, 9).message == ("9.0 % agrees with 10 % and with 9 %: more requests are needed")
    assert agrees(2, 40, 25, 10).kind is AgreementKind.DISAGREES
    assert agrees(3, 60, 20, 5).message == "5.0 % still agrees with 5 %"


def test_without_a_change_the_share_alone_decides() -> None:
    assert agrees(25, 100, 25, 25).kind is AgreementKind.AGREES
    assert agrees(60, 100, 25, 25).kind is AgreementKind.DISAGREES


@pytest.mark.parametrize(("wanted", "previous"), [*STEPS, *BACK])
def test_probes_make_a_decision_likely(wanted: int, previous: int) -> None:
    count = probes_needed(wanted, previous)
    assert LEAST_REQUESTS <= count <= 100
    assert sum(course(wanted / 100, wanted, previous, count)) >= (0.9 if count < 100 else 0.8)


def test_probes_are_bounded_where_weights_lie_close() -> None:
    assert probes_needed(11, 10) == 100
