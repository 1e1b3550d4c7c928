"""Which acts stay in the status of their target."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sophia_operator.api.recovery_action_status import MAX_ACTS, ActPhase, ActStatus
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.recovery.acts import begun, replaced, tidied, to_begin
from sophia_operator.core.recovery.views import ActRequest

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def act(number: int, phase: ActPhase = ActPhase.DONE) -> ActStatus:
    began = START + timedelta(seconds=number)
    return ActStatus(name=f"act-{number}", uid=f"uid-{number}", action=Action.RECONNECT, phase=phase, started_at=began)


def request(number: int, *, may_begin: bool = False) -> ActRequest:
    return ActRequest(f"act-{number}", f"uid-{number}", Action.RECONNECT, claimed_at=START, may_begin=may_begin)


def names(acts: list[ActStatus]) -> list[str]:
    return [a.name for a in acts]


def test_acts_whose_recovery_action_is_gone_go_unless_they_are_under_way() -> None:
    acts = [act(1), act(2, ActPhase.RUNNING), act(3)]
    assert names(tidied(acts, [request(3)])) == ["act-2", "act-3"]


def test_with_one_that_begins_there_are_never_more_than_the_status_takes() -> None:
    acts: list[ActStatus] = []
    requests: list[ActRequest] = []
    for number in range(3 * MAX_ACTS):
        requests.append(request(number, may_begin=True))
        acts = tidied(acts, requests)
        new = to_begin(acts, requests)
        assert new is not None
        acts = replaced(acts, begun(new, START))
        assert len(acts) <= MAX_ACTS
        assert acts[-1].name == f"act-{number}"
        acts = replaced(acts, act(number))
        requests[-1] = request(number)
    assert names(acts) == [f"act-{number}" for number in range(2 * MAX_ACTS, 3 * MAX_ACTS)]


def test_what_its_recovery_action_has_not_read_yet_is_not_forgotten_and_done_again() -> None:
    acts = [act(number) for number in range(MAX_ACTS)]
    requests = [request(0, may_begin=True), *(request(number) for number in range(1, MAX_ACTS))]
    kept = tidied(acts, requests)
    assert names(kept) == ["act-0", *(f"act-{number}" for number in range(2, MAX_ACTS))]
    assert to_begin(kept, requests) is None
