"""What receivers are told of, who they are, and what stands in statuses until they were told."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.recovery_action_status import ActionPhase, RecoveryActionStatus, UntoldChange
from sophia_operator.api.recovery_policy_status import NewsKind, RecoveryPolicyStatus
from sophia_operator.core.recovery import signals
from tests.support import signal_scene as scene

STORM = {"since": "2026-03-01T12:04:30Z", "targets": 3, "of": 4}
INCIDENT = {"kind": "ConnectionPool", "name": "orders", "symptom": "ConnectionLost", "since": "2026-03-01T12:04:00Z"}
GAVE_UP = {**INCIDENT, "verdict": "GaveUp", "why": "Reconnect did not help", "told": "gave up: GaveUp", "action": "act"}


def moved(before: str, after: str, changes: int = 3, **status: Any) -> RecoveryActionStatus:
    old = RecoveryActionStatus(phase=ActionPhase(before), changes=changes - 1, signalled=changes - 1)
    new = old.model_copy(update={"phase": ActionPhase(after), "changes": changes, "message": "so it is", **status})
    return signals.with_change(old, new, wanted=True, now=scene.NOW)


@pytest.mark.parametrize("phase", list(ActionPhase))
def test_every_phase_is_told_of_or_is_only_how_an_act_goes(phase: ActionPhase) -> None:
    before = ActionPhase.PENDING if phase is not ActionPhase.PENDING else ActionPhase.WAITING
    told = [change.phase for change in moved(before.value, phase.value).untold]
    silent = {ActionPhase.PENDING, ActionPhase.WAITING, ActionPhase.RUNNING, ActionPhase.VERIFYING}
    assert told == ([] if phase in silent else [phase])


def test_a_change_is_written_down_with_its_number_its_time_and_its_words() -> None:
    status = moved("Pending", "Claimed", changes=2)
    assert status.untold == [UntoldChange(number=2, phase=ActionPhase.CLAIMED, at=scene.NOW, message="so it is")]
    assert (status.signalled, status.changes) == (1, 2)


def test_what_is_still_to_be_told_stays_until_it_was() -> None:
    claimed = moved("Pending", "Claimed", changes=2)
    running = claimed.model_copy(update={"phase": ActionPhase.RUNNING, "changes": 3})
    running = signals.with_change(claimed, running, wanted=True, now=scene.later(1))
    done = running.model_copy(update={"phase": ActionPhase.SUCCEEDED, "changes": 4})
    done = signals.with_change(running, done, wanted=True, now=scene.later(2))
    assert [(c.number, c.at) for c in done.untold] == [(2, scene.NOW), (4, scene.later(2))]
    assert done.signalled == 1
    second = signals.without_told("uid", done, {"uid/4"})
    assert ([c.number for c in second.untold], second.signalled) == ([2], 1)
    both = signals.without_told("uid", done, {"uid/2", "uid/4", "other/2"})
    assert (both.untold, both.signalled) == ([], 4)


def test_nothing_is_written_down_where_nobody_listens() -> None:
    old = RecoveryActionStatus(phase=ActionPhase.PENDING, changes=1)
    new = old.model_copy(update={"phase": ActionPhase.CLAIMED, "changes": 2})
    status = signals.with_change(old, new, wanted=False, now=scene.NOW)
    assert (status.untold, status.signalled) == ([], 2)


def test_a_look_without_a_change_writes_nothing() -> None:
    status = moved("Pending", "Claimed")
    again = status.model_copy(update={"message": "other words"})
    assert signals.with_change(status, again, wanted=True, now=scene.later(9)) is again


def test_of_too_many_changes_the_newest_are_kept() -> None:
    status = RecoveryActionStatus()
    for number in range(1, 12):
        phase = ActionPhase.AWAITING_APPROVAL if number % 2 else ActionPhase.CLAIMED
        new = status.model_copy(update={"phase": phase, "changes": number})
        status = signals.with_change(status, new, wanted=True, now=scene.NOW)
    assert [c.number for c in status.untold] == list(range(4, 12))


def names(who: tuple[signals.Receiver, ...]) -> list[tuple[str, str]]:
    return [(receiver.policy, receiver.signal.name) for receiver in who]


def test_of_a_policys_action_its_receivers_of_that_severity_are_told() -> None:
    hooks = [scene.hook("all"), scene.hook("bad", minSeverity="Warning"), scene.hook("worst", minSeverity="Critical")]
    policies = (scene.policy(*hooks), scene.policy(scene.hook("other"), name="others"))
    assert names(signals.receivers(scene.action(), scene.pool(), policies)) == [("pools", "all"), ("pools", "bad")]


def test_of_a_persons_action_every_receiver_of_policies_for_the_target_is_told() -> None:
    for_blue = [{"kind": "ConnectionPool", "matchLabels": {"tier": "blue"}}]
    policies = (
        scene.policy(scene.hook("all"), scene.hook("worst", minSeverity="Critical")),
        scene.policy(scene.hook("blue"), name="blue", targets=for_blue),
    )
    by_person = scene.action(by_person=True)
    every = [("pools", "all"), ("pools", "worst")]
    assert names(signals.receivers(by_person, scene.pool(), policies)) == every
    assert names(signals.receivers(by_person, scene.pool(tier="blue"), policies)) == [*every, ("blue", "blue")]
    assert signals.receivers(by_person, None, policies) == ()


def news(before: dict[str, Any], after: dict[str, Any], *hooks: dict[str, Any]) -> list[tuple[NewsKind, str]]:
    policy = scene.policy(*(hooks or (scene.hook(),)), status=before)
    status = signals.with_news(policy, RecoveryPolicyStatus.model_validate(after), scene.NOW)
    return [(n.what, n.id) for n in status.untold]


def test_a_storm_is_told_of_when_it_begins_and_when_it_ends() -> None:
    began = (NewsKind.STORM_BEGAN, "uid-pools/storm-began/2026-03-01T12:04:30Z")
    ended = (NewsKind.STORM_ENDED, "uid-pools/storm-ended/2026-03-01T12:04:30Z")
    other = {**STORM, "since": "2026-03-01T12:05:00Z"}
    assert news({}, {"storm": STORM}) == [began]
    assert news({"storm": STORM}, {"storm": {**STORM, "targets": 4}}) == []
    assert news({"storm": STORM}, {}) == [ended]
    assert [what for what, _ in news({"storm": STORM}, {"storm": other})] == [ended[0], began[0]]


def test_giving_up_is_told_of_once_an_incident() -> None:
    what, number = NewsKind.GAVE_UP, "uid-pools/gave-up/ConnectionPool/orders/ConnectionLost/2026-03-01T12:04:00Z"
    tried = {**INCIDENT, "verdict": "Watch", "told": "act act"}
    assert news({"symptoms": [tried]}, {"symptoms": [GAVE_UP]}) == [(what, number)]
    assert news({}, {"symptoms": [GAVE_UP]}) == [(what, number)]
    assert news({"symptoms": [GAVE_UP]}, {"symptoms": [GAVE_UP]}) == []
    # The symptom went and came again within the incident.
    over = {**GAVE_UP, "verdict": "Over", "goneSince": "2026-03-01T12:04:50Z"}
    assert news({"symptoms": [over]}, {"symptoms": [GAVE_UP]}) == []
    again = {**GAVE_UP, "since": "2026-03-01T12:04:40Z"}
    assert len(news({"symptoms": [GAVE_UP]}, {"symptoms": [again]})) == 1


def test_news_that_no_receiver_wants_are_not_written_down() -> None:
    worst = scene.hook("worst", minSeverity="Critical")
    assert news({}, {"symptoms": [GAVE_UP]}, worst) == []
    assert len(news({}, {"storm": STORM}, worst)) == 1


def test_news_are_kept_until_they_were_told() -> None:
    policy = scene.policy(scene.hook(), status={})
    begun = signals.with_news(policy, RecoveryPolicyStatus.model_validate({"storm": STORM}), scene.NOW)
    kept = signals.with_news(scene.policy(scene.hook(), status=begun.to_dict()), begun, scene.later(5))
    assert kept == begun
    assert signals.without_told_news(begun, {"another"}) is begun
    assert signals.without_told_news(begun, {begun.untold[0].id}).untold == []
