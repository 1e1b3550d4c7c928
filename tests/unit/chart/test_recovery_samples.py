"""The sample of a RecoveryPolicy does what its comments say, for the objects of the other samples."""

from __future__ import annotations

from typing import Final

import pytest

from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_values import Action, Mode
from sophia_operator.core.recovery.modes import mode_of
from tests.unit.chart.test_manifests import FILES, SAMPLES, objects

POLICY: Final = SAMPLES / "recovery-policy.yaml"
SPEC: Final = RecoveryPolicySpec.model_validate(objects(POLICY)[0]["spec"])
OBJECTS: Final = [sample for file in FILES for sample in objects(file)]


@pytest.mark.parametrize(
    ("action", "mode"),
    [
        (Action.RECONNECT, Mode.AUTO),
        (Action.SWITCH_MODEL, Mode.AUTO),
        (Action.PURGE_MEMORY, Mode.AUTO),
        (Action.NOTIFY, Mode.AUTO),
        (Action.CANCEL_STATEMENT, Mode.APPROVE),
        (Action.FLUSH_NAMESPACE, Mode.DRY_RUN),
    ],
)
def test_each_action_is_done_as_the_comment_says(action: Action, mode: Mode) -> None:
    found = [rule for rule in SPEC.rules if any(step.action is action for step in rule.escalation)]
    assert {mode_of(SPEC, rule, action) for rule in found} == {mode}


def test_it_is_for_all_kinds_that_the_samples_have_and_recovery_knows() -> None:
    kinds = {target.kind.value for target in SPEC.targets}
    assert kinds == {"ConnectionPool", "CacheTier", "ModelRoute"} <= {sample["kind"] for sample in OBJECTS}
    assert not any(target.names or target.match_labels for target in SPEC.targets), "all of each"


def test_every_ladder_ends_with_people() -> None:
    assert {rule.escalation[-1].action for rule in SPEC.rules} == {Action.NOTIFY}


def test_the_act_of_its_comment_is_one_that_the_pool_takes() -> None:
    (pool,) = (s["metadata"]["name"] for s in OBJECTS if s["kind"] == "ConnectionPool")
    assert f"kubectl sophia recover pool/{pool} --action Reconnect" in POLICY.read_text()
