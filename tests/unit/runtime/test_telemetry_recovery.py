"""Metrics about recovery: what they count, and that they go with what they are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.core.recovery.views import ActionView
from sophia_operator.runtime.telemetry_recovery import RecoveryTelemetry
from tests.support.recovery_scene import act, policy, rule
from tests.support.symptom_scene import at


class Scrape:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.telemetry = RecoveryTelemetry(self.registry)
        self.telemetry.started()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"sophia_recovery_{name}", labels)

    def series(self) -> set[str]:
        """Samples that have labels, but for times of creation."""
        found = (s for m in self.registry.collect() for s in m.samples if s.labels)
        return {s.name for s in found if not s.name.endswith("_created")}


SPEC = policy().spec
ACT = {"namespace": "shop", "action": "Reconnect", "symptom": "ConnectionLost"}


def ended(phase: str, **more: Any) -> ActionView:
    return act("act", phase, ended=30, since=-15, **more)


@pytest.mark.parametrize(
    ("phase", "verified", "result"),
    [
        ("Succeeded", "Helped", "Helped"),
        ("Succeeded", None, "Done"),
        ("Failed", "NoChange", "NoChange"),
        ("Failed", "Worse", "Worse"),
        ("Failed", None, "Failed"),
        ("Unknown", None, "Unknown"),
    ],
)
def test_each_end_is_counted_once(phase: str, verified: str | None, result: str) -> None:
    made = Scrape()
    after = ended(phase, status={"verified": verified})
    made.telemetry.action_changed(act("act", "Verifying"), after)
    made.telemetry.action_changed(after, after)
    made.telemetry.action_seen(after)
    assert made.value("acts_total", **ACT, result=result) == 1
    assert made.value("seconds_count", **ACT) == (1 if verified == "Helped" else None)
    assert made.value("seconds_sum", **ACT) == (45 if verified == "Helped" else None)


@pytest.mark.parametrize("more", [{"dryRun": True}, {"action": "Notify"}])
def test_what_does_nothing_is_no_act(more: dict[str, Any]) -> None:
    made = Scrape()
    made.telemetry.action_changed(act("act", "Claimed", **more), ended("Succeeded", **more))
    assert not made.series() & {"sophia_recovery_acts_total"}


@pytest.mark.parametrize("phase", ["Skipped", "Refused"])
def test_what_was_never_claimed_is_no_act(phase: str) -> None:
    made = Scrape()
    made.telemetry.action_changed(act("act"), ended(phase))
    assert not made.series() & {"sophia_recovery_acts_total"}


def test_false_fires_and_recurrences_are_counted_as_they_are_seen() -> None:
    made = Scrape()
    claimed = act("act", "Claimed", status={"recurrence": True})
    made.telemetry.action_changed(act("act"), claimed)
    begun = act("act", "Running", status={"recurrence": True, "falseFire": True, "startedAt": at(5)})
    made.telemetry.action_changed(claimed, begun)
    made.telemetry.action_changed(begun, act("act", "Verifying", status={"falseFire": True, "startedAt": at(5)}))
    assert made.value("recurrences_total", **ACT) == 1
    assert made.value("false_fires_total", **ACT) == 1


def test_who_waits_for_a_person_is_known_after_a_restart_as_well() -> None:
    made = Scrape()
    waits = act("act", "AwaitingApproval")
    made.telemetry.action_seen(waits)
    made.telemetry.action_seen(replace(waits, name="other"))
    assert made.value("awaiting_approval", namespace="shop") == 2
    made.telemetry.forget_action("shop", "other")
    assert made.value("awaiting_approval", namespace="shop") == 1


@pytest.mark.parametrize("last", ["policy", "action"])
def test_series_go_with_the_last_policy_and_action(last: str) -> None:
    made = Scrape()
    made.telemetry.policy_seen("shop", "pools", SPEC, RecoveryPolicyStatus())
    made.telemetry.action_changed(act("act", "Verifying"), ended("Succeeded", status={"verified": "Helped"}))
    made.telemetry.action_seen(act("act", "AwaitingApproval"))
    assert len(made.series()) > 8
    gone: list[Callable[[], None]] = [
        lambda: made.telemetry.forget_action("shop", "act"),
        lambda: made.telemetry.forget_policy("shop", "pools"),
    ]
    first, second = gone if last == "policy" else reversed(gone)
    first()
    assert made.value("acts_total", **ACT, result="Helped") == 1, "alerts look at what there was"
    second()
    assert made.series() == set()
    assert made.value("policies") == 0


def test_what_a_person_asked_for_without_a_policy_leaves_nothing_behind() -> None:
    made = Scrape()
    done = ended("Succeeded", of=None)
    made.telemetry.action_changed(act("act", "Running", of=None), done)
    assert made.value("acts_total", namespace="shop", action="Reconnect", symptom="None", result="Done") == 1
    made.telemetry.forget_action("shop", "act")
    assert made.series() == set()


def test_counters_of_what_a_policy_may_do_are_there_before_the_first_act() -> None:
    """`increase` does not see how a series begins: one that began at 1 would lose its first act."""
    made = Scrape()
    made.telemetry.policy_seen("shop", "pools", SPEC, RecoveryPolicyStatus())
    for result in ("Helped", "NoChange", "Worse", "Failed", "Unknown"):
        assert made.value("acts_total", **ACT, result=result) == 0
    assert (made.value("false_fires_total", **ACT), made.value("recurrences_total", **ACT)) == (0, 0)
    assert made.value("acts_total", **ACT | {"action": "Notify"}, result="Helped") is None
    made.telemetry.action_changed(act("act", "Verifying"), ended("Succeeded", status={"verified": "Helped"}))
    made.telemetry.policy_seen("shop", "pools", SPEC, RecoveryPolicyStatus())
    assert made.value("acts_total", **ACT, result="Helped") == 1


def test_counters_of_a_new_rule_begin_too_and_those_of_a_new_policy_anew() -> None:
    made = Scrape()
    made.telemetry.policy_seen("shop", "pools", SPEC, RecoveryPolicyStatus())
    lag = ACT | {"symptom": "ReplicationLag"}
    assert made.value("false_fires_total", **lag) is None
    both = policy("pools", rule("ConnectionLost", "Reconnect"), rule("ReplicationLag", "Reconnect")).spec
    made.telemetry.policy_seen("shop", "pools", both, RecoveryPolicyStatus())
    assert made.value("false_fires_total", **lag) == 0
    made.telemetry.forget_policy("shop", "pools")
    assert made.series() == set()
    made.telemetry.started()
    made.telemetry.policy_seen("shop", "pools", both, RecoveryPolicyStatus())
    assert made.value("false_fires_total", **lag) == 0
