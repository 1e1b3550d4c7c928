"""What helped before goes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sophia_operator.api.recovery_policy import Rule
from sophia_operator.api.recovery_values import Action, Symptom, TargetKind
from sophia_operator.core.recovery.memory import IncidentLine, in_order, incidents
from sophia_operator.core.recovery.views import ActionView
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import HOT, act, failed, helped

MEMORY: Any = {"target": HOT, "symptom": "HighMemory", "of": "caches"}


def line(action: str, tried: int, well: int, symptom: str = "HighMemory", kind: str = "CacheTier") -> IncidentLine:
    return IncidentLine(Symptom(symptom), TargetKind(kind), Action(action), tried, well, 0, 0, None)


def order(*steps: str, lines: Sequence[IncidentLine], symptom: str = "HighMemory") -> list[str]:
    rule = Rule.model_validate(scene.rule(symptom, *steps))
    kind = TargetKind.CACHE_TIER if symptom == "HighMemory" else TargetKind.CONNECTION_POOL
    return [step.action.value for step in in_order(rule.escalation, lines, rule.symptom, kind)]


@pytest.mark.parametrize(
    ("first", "second", "turned"),
    [
        ((10, 5), (10, 7), True),
        ((10, 5), (100, 69), False),  # 19 points
        ((10, 5), (3, 3), True),
        ((10, 5), (2, 2), False),  # two are no evidence
        ((3, 0), (3, 3), True),
        ((2, 0), (3, 3), False),  # the other one was hardly tried
        ((10, 7), (10, 5), False),
    ],
)
def test_an_action_goes_before_another_by_evidence_alone(
    first: tuple[int, int], second: tuple[int, int], turned: bool
) -> None:
    words: dict[str, Any] = {"symptom": "SlowQueries", "kind": "ConnectionPool"}
    lines = [line("CancelStatement", *first, **words), line("LimitConnections", *second, **words)]
    found = order("CancelStatement", "LimitConnections", "Notify", lines=lines, symptom="SlowQueries")
    pair = ["CancelStatement", "LimitConnections"]
    assert found == [*(pair[::-1] if turned else pair), "Notify"]


def test_what_deletes_data_never_goes_before_what_does_not() -> None:
    lines = [line("PurgeMemory", 10, 0), line("FlushNamespace", 10, 10)]
    assert order("PurgeMemory", "FlushNamespace", "Notify", lines=lines) == ["PurgeMemory", "FlushNamespace", "Notify"]
    back = [line("PurgeMemory", 10, 10), line("FlushNamespace", 10, 0)]
    assert order("FlushNamespace", "PurgeMemory", lines=back) == ["PurgeMemory", "FlushNamespace"]


def test_evidence_of_another_symptom_or_kind_says_nothing() -> None:
    lines = [line("PurgeMemory", 9, 9, symptom="SlowQueries"), line("FlushNamespace", 9, 0, symptom="SlowQueries")]
    lines += [line("PurgeMemory", 9, 9, kind="ConnectionPool"), line("FlushNamespace", 9, 0, kind="ConnectionPool")]
    assert order("FlushNamespace", "PurgeMemory", lines=lines) == ["FlushNamespace", "PurgeMemory"]


def test_a_line_counts_what_came_of_acts() -> None:
    worse = act("w", "Failed", "PurgeMemory", status={"verified": "Worse", "falseFire": True}, **MEMORY)
    purges = [helped(name, action="PurgeMemory", **MEMORY) for name in ("a", "b")]
    purge, flush = incidents([*purges, failed("c", action="FlushNamespace", **MEMORY), worse])
    assert (purge.action, purge.tried, purge.helped, purge.worse, purge.false_fires, purge.seconds, purge.percent) == (
        Action.PURGE_MEMORY, 3, 2, 1, 1, 10.0, 66,
    )  # fmt: skip
    assert (flush.action, flush.tried, flush.helped, flush.seconds, flush.percent) == (
        Action.FLUSH_NAMESPACE, 1, 0, None, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        failed("a", of=None),  # a person's
        act("a", "Skipped", dryRun=True),
        act("a", "Succeeded", "Notify"),
        act("a", "Refused"),  # nothing was done
        act("a", "Verifying"),
    ],
)
def test_what_is_no_evidence_is_not_counted(other: ActionView) -> None:
    assert incidents([other]) == ()
