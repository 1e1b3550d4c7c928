"""Engines that are wrong on purpose: each breaks a rule in a play that the right one gets through."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.recovery_play import mind, play
from tests.support.recovery_rules import BrokenRuleError
from tests.support.recovery_world import Mind

#: So many plays are looked for another one that shows it.
_OTHERS: Final = 100


@dataclass(frozen=True)
class Mutant:
    """What is wrong, the play that shows it, and where it is: a module of recovery, and its words."""

    what: str
    seed: int
    module: str
    old: str
    new: str


MUTANTS: Final = (
    # budgets
    Mutant("spends more on an object", 7, "guards", "(on_target, rails.per_target,", "(on_target, 10**6,"),
    Mutant("spends more in a namespace", 12, "guards", "(here, rails.per_namespace,", "(here, 10**6,"),
    Mutant("forgets other namespaces", 0, "guards", "([*here, *scene.history.elsewhere], rails", "(here, rails"),
    Mutant("counts half an hour", 2, "past", "at > now - HOUR", "at > now - HOUR / 2"),
    Mutant("counts what is over alone", 22, "scene", "if past.counts(a) and",
           "if past.counts(a) and a.status.phase.is_over and"),
    # who says no
    Mutant("acts in a storm", 1, "guards", "(_paused, _quiet, _storm)", "(_paused, _quiet)"),
    Mutant("acts as soon as it is quiet", 14, "storm", ">= timedelta(seconds=rule.cooldown_seconds)",
           ">= timedelta(0)"),
    Mutant("sees no storm that is not written down", 41, "scene", "storms_of(ordered, symptoms, now) if storms is None",
           "{p.name: p.status.storm for p in ordered} if storms is None"),
    Mutant("lets force pass a storm", 14, "guards", "if wish.override or not rails.s", "if wish.force or not rails.s"),
    Mutant("hears no pause", 5, "guards", "(_paused, _quiet, _storm)", "(_quiet, _storm)"),
    Mutant("acts in quiet windows", 4, "guards", "(_paused, _quiet, _storm)", "(_paused, _storm)"),
    Mutant("believes the looser policy", 3, "modes", "return min(modes,", "return max(modes,"),
    Mutant("asks for the mode once", 15, "guards", "    _mode, *_HELD,", "    *_HELD,"),
    Mutant("approves by itself", 13, "answers", "approval_required=mode is Mode.APPROVE", "approval_required=False"),
    Mutant("does not wait for a yes", 13, "action.before", "if spec.approval_required and spec.approved is None:",
           "if False:"),
    Mutant("asks no guard rail at the claim", 0, "action.before",
           "held = obstacle_of(look)\n    if held is not None and", "held = None\n    if held is not None and"),
    # one at a time
    Mutant("acts beside another act", 21, "guards", "*_HELD, _under_way,", "*_HELD,"),
    Mutant("begins two at once", 21, "decide", "if found.create is not None and _is_act(found.create):", "if False:"),
    Mutant("does not wait for the answer to an act", 13, "answers", "_off, _watched,", "_off,"),
    Mutant("makes a step twice", 13, "answers", "number = case.climb.made + 1", "number = max(1, case.climb.made)"),
    Mutant("gives two steps one name", 71, "names", "str(number)))", "))"),
    Mutant("gives two incidents one name", 13, "names", "incident.since.isoformat()", "''"),
    Mutant("says the same in each dry run", 10, "answers", "(mode is Mode.DRY_RUN and said is not None)", "False"),
    # releases
    Mutant("acts under a release", 4, "guards", "_under_way, _release,", "_under_way,"),
    Mutant("hides a bad release", 60, "guards", "    if began is not None:", "    if False:"),
    # pace
    Mutant("acts below the floor", 5, "guards", "_floor, _cooling_down,", "_cooling_down,"),
    Mutant("does not cool down", 0, "guards", "_cooling_down, _breaker,", "_breaker,"),
    Mutant("cools down for as long each time", 0, "guards", "* 2**tries", ""),
    Mutant("never opens its breaker", 22, "guards", "_breaker, _budget,", "_budget,"),
    Mutant("opens its breaker late", 22, "guards", "< rails.breaker_failures:", "<= rails.breaker_failures:"),
    Mutant("counts gaps as if it had lasted", 176, "track", ', "present_since": now', ""),
    Mutant("answers at once", 1, "answers", "_untold, _new, _told", "_untold, _told"),
    Mutant("acts on what cannot be seen", 35, "answers", "_held, _untold, _new", "_held, _new"),
    Mutant("acts on what is gone", 13, "action.before", "sign.present is False:", "False:"),
    # incidents
    Mutant("ends an incident at once", 1, "track", "now - gone >= clear", "True"),
    Mutant("takes what cannot be told for gone", 17, "track", "if sign.present is None:\n        return before",
           "if sign.present is None:\n        return None"),
    Mutant("gives up after one", 7, "answers", "if asked.left and climbed.made < MOST_ACTS:",
           "if asked.left and climbed.made < 1:"),
    Mutant("tries the same again", 12, "ladder", "if step.action in gone:", "if False:"),
    # what is written, and when
    Mutant("writes figures at each look", 0, "decide", "    if before != (found.verdict, found.reason.value, made) and",
           "    if"),
    Mutant("writes the hour as it goes by", 0, "policy_status", "if status != before:", "if True:"),
    Mutant("looks again too late", 1, "decide", "= [found.until for found in known]", "= []"),
    Mutant("sees storms end too late", 20, "decide", "if storm is not None and storm.quiet_since is not None:",
           "if False:"),
    Mutant("sees windows too late", 0, "decide", "yield next_change(spec.quiet_windows, now)", "yield None"),
    Mutant("sees pauses end too late", 1, "decide", "yield from (request.until for request in spec.pause_requests)",
           "yield None"),
)  # fmt: skip


@pytest.mark.parametrize("seed", sorted({mutant.seed for mutant in MUTANTS}))
def test_the_engine_gets_through(seed: int) -> None:
    scene = play(random.Random(seed).choice, Mind())
    assert scene.policies
    assert not scene.awaits()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_wrong_engine_breaks_a_rule(mutant: Mutant) -> None:
    """Its own play shows it; should plays have become others, one of the next ones does."""
    with mind(f"recovery.{mutant.module}", mutant.old, mutant.new) as wrong:
        assert any(_breaks(seed, wrong) for seed in (mutant.seed, *range(_OTHERS)))


def _breaks(seed: int, wrong: Mind) -> bool:
    try:
        play(random.Random(seed).choice, wrong)
    except BrokenRuleError:
        return True
    return False
