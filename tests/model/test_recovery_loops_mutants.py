"""Loops of actions and targets that are wrong on purpose: each breaks a rule that the right ones get through."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from sophia_operator.core.recovery.acts import act_of, begun
from tests.support import recovery_loops
from tests.support.recovery_loops_play import play
from tests.support.recovery_play import mind
from tests.support.recovery_world import Mind

#: So many plays are tried at most, should the engine's changes have made another one of that which showed it.
PLAYS: Final = 40


@dataclass(frozen=True)
class Mutant:
    """What is wrong, a play that showed it, and where it is: a module of actions, and its words."""

    what: str
    seed: int
    module: str
    old: str
    new: str


MUTANTS: Final = (
    # before the claim
    Mutant("does not say when it was claimed", 0, "before", '"claimed_at": now,', '"claimed_at": None,'),
    Mutant("claims what a person refused", 31, "before", "if spec.approved is False:", "if False:"),
    Mutant("claims without a yes", 1, "before", "if spec.approval_required and spec.approved is None:", "if False:"),
    Mutant("claims a dry run", 16, "before", "if spec.dry_run:", "if False:"),
    Mutant("claims what is not there", 11, "before", "if sign is not None and sign.present is False:", "if False:"),
    Mutant("claims what cannot be told", 26, "before", "if sign is not None and sign.present is None:", "if False:"),
    Mutant("claims whatever guard rails say", 2, "before", "    if held is not None:\n", "    if False:\n"),
    Mutant("begins before it claims", 0, "before",
           "return Step(ActionPhase.CLAIMED,", "return Step(ActionPhase.RUNNING,"),
    # after it
    Mutant("claims again", 5, "after", '"did": list(act.did),', '"claimed_at": look.now, "did": list(act.did),'),
    Mutant("waits for ever for a target that does not begin", 0, "after",
           "    late = look.now >= deadline(look)", "    late = False"),
    Mutant("waits for ever for a target that hangs", 9, "after",
           "    if act.phase is ActPhase.RUNNING:\n        if look.now >= deadline(look):",
           "    if act.phase is ActPhase.RUNNING:\n        if False:"),
    Mutant("verifies for ever", 4, "after", "    if now >= deadline(look):\n        words = f\"not well",
           "    if False:\n        words = f\"not well"),
    Mutant("does not look again", 4, "after", 'words, {**changes, "gone_since": None}, until=deadline(look))',
           'words, {**changes, "gone_since": None})'),
    Mutant("waits for a pod for ever", 15, "after",
           "        if look.now >= deadline(look):\n            return _judge(look, changes, f\"pod",
           "        if False:\n            return _judge(look, changes, f\"pod"),
    Mutant("restarts every pod that crashes", 4, "after",
           "next((p for p in target.crashing if status.subject == subject_of(p)), None)",
           "next(iter(target.crashing), None)"),
    Mutant("ends without a time", 0, "after", '{**changes, "ended_at": look.now, "after": after}',
           '{**changes, "after": after}'),
    Mutant("changes what is over", 0, "advance",
           "    if action.status.phase.is_over:\n        return", "    if False:\n        return"),
    Mutant("is ready and stalled", 0, "advance",
           "    if step.phase in _STALLED or step.reason in _FOR_PEOPLE:\n        out = author",
           "    out = author.put(out, ConditionType.STALLED, why)\n    if False:\n        out = author"),
)  # fmt: skip


def _shown(wrong: Mind, first: int = 0) -> bool:
    """Whether a play shows it, the one that did before or another one."""
    for seed in (first, *range(PLAYS)):
        try:
            play(random.Random(seed).choice, wrong)
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_wrong_loop_breaks_a_rule(mutant: Mutant) -> None:
    with mind(f"recovery.action.{mutant.module}", mutant.old, mutant.new) as wrong:
        assert _shown(wrong, mutant.seed)


def _again(acts: Any, requests: Any) -> Any:
    """Begins with what the action does not wait for any more."""
    return next((r for r in requests if act_of(acts, r) is None), None)


WRONG_TARGETS: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    "begins with what was given up": ("to_begin", _again),
    "does not write down that it began": ("begun", lambda *a, **k: begun(*a, **k).model_copy(update={"uid": "other"})),
}


@pytest.mark.parametrize("what", WRONG_TARGETS)
def test_a_wrong_target_breaks_a_rule(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, wrong = WRONG_TARGETS[what]
    monkeypatch.setattr(recovery_loops, name, wrong)
    assert _shown(Mind())
