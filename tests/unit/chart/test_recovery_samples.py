"""The sample of a RecoveryPolicy does what its comments say, for the objects of the other samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from sophia_operator.api.recovery_policy import RecoveryPolicySpec
from sophia_operator.api.recovery_values import Action, Mode
from sophia_operator.core.recovery.modes import mode_of
from tests.support.helm import ROOT

SAMPLES: Final = ROOT / "manifests/samples"
SPEC: Final = RecoveryPolicySpec.model_validate(yaml.safe_load((SAMPLES / "recovery-policy.yaml").read_text())["spec"])


def samples() -> Iterator[dict[str, Any]]:
    for file in SAMPLES.glob("*.yaml"):
        yield from yaml.safe_load_all(file.read_text())


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
    assert kinds == {"ConnectionPool", "CacheTier", "ModelRoute"} <= {sample["kind"] for sample in samples()}
    assert not any(target.names or target.match_labels for target in SPEC.targets), "all of each"


def test_every_ladder_ends_with_people() -> None:
    assert {rule.escalation[-1].action for rule in SPEC.rules} == {Action.NOTIFY}


def test_the_act_of_its_comment_is_one_that_the_pool_takes() -> None:
    text = (SAMPLES / "recovery-policy.yaml").read_text()
    (pool,) = (s["metadata"]["name"] for s in samples() if s["kind"] == "ConnectionPool")
    assert f"kubectl sophia recover pool/{pool} --action Reconnect" in text
