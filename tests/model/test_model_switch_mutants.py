"""Planners of switches that are wrong on purpose: each breaks a rule on a way that the right one gets through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pytest

from sophia_operator.core.model import plan
from tests.support import switch_scripts_gateway as gateway
from tests.support import switch_scripts_models as models
from tests.support import switch_scripts_others as others
from tests.support.switch_court import planner
from tests.support.switch_world import World


@dataclass(frozen=True)
class Mutant:
    """What is wrong, on which way it shows, and where it is: a module, and its words."""

    what: str
    script: Any
    module: str
    old: str
    new: str


MUTANTS: Final = (
    # where traffic goes
    Mutant("leaves what is pinned", others.are_pinned, "choose",
           "if scene.pin is not None:", "if scene.pin is not None and False:"),
    Mutant("sees a pin only in calm", others.are_pinned, "choose",
           "if scene.pin is not None:", "if scene.pin is not None and standing.switch is None:"),
    Mutant("does not ask whom it names", models.names_its_own_fallbacks, "choose",
           "[*named, *scene.order]", "[*scene.order]"),
    Mutant("takes one that breaks a limit", models.names_its_own_fallbacks, "choose",
           "key=lambda n: not scene.is_healthy(n)", "key=lambda n: False"),
    Mutant("takes one that may not be chosen", models.all_fail, "choose",
           "dict.fromkeys([*named, *scene.order])", "dict.fromkeys([*named, *scene.names])"),
    Mutant("keeps a model that was removed", others.models_leave, "standing",
           "if status.active in names:", "if status.active in names or status.active:"),
    Mutant("forgets what it left", models.fails_and_is_back, "plan",
           "return max((name for name in left if name is not None), key=scene.score, default=None)", "return None"),
    Mutant("goes back to the last one", models.a_chain_of_failures, "plan",
           "(draft.preferred, move.source) if name", "(move.source,) if name"),
    Mutant("leaves what nothing is known of", models.nothing_is_known_of_it, "scene",
           " and health.state is not ModelState.UNKNOWN", ""),
    Mutant("takes the first one that answers", models.the_first_one_is_the_best, "first",
           "(_waits(scene) and not _is_over(scene))", "False"),
    Mutant("waits for one that hangs", models.the_first_one_is_the_best, "first",
           "(_waits(scene) and not _is_over(scene))", "_waits(scene)"),
    Mutant("moves in a dry run", others.is_a_dry_run, "plan", "(scene.spec.dry_run or move.manual)", "move.manual"),
    Mutant("does what a person must do", others.a_person_moves_it, "plan",
           "(scene.spec.dry_run or move.manual)", "scene.spec.dry_run"),
    # all are down
    Mutant("oscillates when all are down", models.all_fail, "choose", "if not holds.is_held(scene) else None", ""),
    Mutant("moves for little", models.all_fail_alike, "least_bad",
           "found[best] - own >= _LEAD", "found[best] - own >= 0"),
    Mutant("stays whatever is left", models.all_fail, "least_bad", "found[best] - own >= _LEAD", "False"),
    Mutant("tells each time that all are down", models.all_fail, "record",
           "if not scene.all_down or scene.was_all_down:", "if not scene.all_down:"),
    Mutant("goes on to one that fails", models.all_fail_in_a_failback, "choose",
           "if switch is not None and standing.is_shared else None", "if False else None"),
    Mutant("waits at one that fails", models.all_fail_in_a_failback, "plan", "and scene.all_down and", "and False and"),
    # holds and margins
    Mutant("has no hold", models.a_hold_ends, "better",
           "return moment if held is None else max(moment, held)", "return moment"),
    Mutant("never lengthens a hold", models.comes_and_goes, "holds", "2 ** min(failed, MOST_FAILED)", "1"),
    Mutant("never ends a row", models.comes_and_goes, "holds",
           "return 0 if past is not None and scene.now >= stays_at(scene, past) else failed", "return failed"),
    Mutant("takes each failback for a success", models.fails_soon_after_a_failback, "choose",
           "past is not None and scene.now < holds.stays_at(scene, past)", "False"),
    Mutant("does not count reverts", models.the_new_one_fails_in_a_stage, "choose",
           "state_of(scene, failed), failed, why, failed=True)",
           "state_of(scene, failed), failed, why)"),
    Mutant("counts what people removed", others.models_leave, "choose",
           "seen(scene, standing.active), forced=True)", "seen(scene, standing.active), forced=True, failed=True)"),
    Mutant("ignores a hold that was shortened", others.statuses_that_cannot_be, "holds",
           "min(known, hold_from(scene, scene.status.failed_failbacks))", "known"),
    Mutant("moves for what is hardly better", models.is_better, "better",
           "Decimal(scene.spec.switch.margin_percent) / 100", "Decimal(0)"),
    Mutant("does not wait until it leads for long", models.is_better, "better",
           "later(max(found.since, health.healthy_since), scene.spec.failback.healthy_seconds)", "found.since"),
    # stages
    Mutant("has no stages", models.fails_and_is_back, "stages", "return scene.spec.failback.stages[0]", "return 100"),
    Mutant("skips a stage", models.fails_and_is_back, "stages", "if p > percent), ALL)", "if p > percent + 50), ALL)"),
    Mutant("hurries through stages", models.fails_and_is_back, "stages",
           ">= scene.spec.failback.stage_seconds", ">= 0"),
    Mutant("passes without evidence", gateway.evidence_is_missing, "stages",
           "and proof.proved and well and enough", "and proof.proved and well"),
    Mutant("passes with a broken limit", models.the_new_one_fails_in_a_stage, "stages",
           "and proof.proved and well and enough", "and proof.proved and enough"),
    Mutant("does not revert", models.the_new_one_fails_in_a_stage, "choose",
           "if standing.is_shared and scene.is_left(to):", "if False:"),
    Mutant("waits for replicas without end", gateway.replicas_lag, "choose",
           "if not overdue or proof.proved or not scene.eligible(back):", "if True:"),
    Mutant("ignores a replica that fell behind", gateway.a_replica_forgets_in_a_stage, "plan",
           "if proof.behind or (stages", "if (stages"),
    Mutant("waits for a replica that is gone", gateway.a_replica_hangs_in_a_stage, "plan",
           "(stages.is_long_enough(scene, switch) and not proof.proved)", "False"),
    Mutant("believes a clock", others.a_clock_is_set_back, "standing",
           "switch is None or switch.phase_since <= now", "True"),
    # proof
    Mutant("is proved by nobody", gateway.nobody_takes_it_over, "proof",
           "and bool(found) and not late", "and not late"),
    Mutant("is proved by one", gateway.replicas_lag, "proof",
           "and bool(found) and not late", "and len(late) < len(found)"),
    Mutant("is proved without new replicas", gateway.another_replica_comes, "proof",
           "missing = [pod.name for pod in scene.observed.pods if pod.ready and pod.name not in kept.replicas]",
           "missing: list[str] = []"),
    Mutant("is proved by who answers", gateway.a_fallback_answers, "proof",
           "if model is None or model in shares or model in scene.status.fallbacks:",
           "if model is None or model in shares:"),
    Mutant("begins before all follow", gateway.falls_behind_in_calm, "choose",
           "proved = scene.status.proved_revision >= scene.status.revision and not proof.behind", "proved = True"),
    Mutant("tells without end of who lags", gateway.falls_behind_in_calm, "revise",
           " and not record.was_lagging(scene))", ")"),
    Mutant("tells nobody that none is there", gateway.nobody_takes_it_over, "revise",
           "return after, overdue and not switch.overdue", "return after, False"),
    # revisions
    Mutant("tells anew under the old number", gateway.is_told_something_else, "revise",
           "revision = highest(scene) + 1 if anew", "revision = status.revision + bool(draft.moved) if anew"),
    Mutant("sees no other endpoint", gateway.is_told_something_else, "revise",
           "same = scene.status.config_hash == config_hash", "same = True"),
    Mutant("waits for the old number", gateway.is_told_something_else, "revise",
           "return in_phase(scene, switch, SwitchPhase.PROVING, revision=revision), False",
           "return switch.model_copy(update={'revision': switch.revision or revision}), False"),
    Mutant("uses a number again", others.the_status_is_lost, "proof",
           "return max([status.revision, *(n for n in shown if n <= status.revision + _FAR)])",
           "return status.revision"),
    Mutant("tells each new rank", gateway.ranks_change, "revise", "before=scene.status.fallbacks", "before=()"),
    Mutant("asks first who fails", gateway.ranks_change, "fallbacks",
           "return (not scene.eligible(name), _index", "return (False, _index"),
    Mutant("believes its status", others.statuses_that_cannot_be, "revise",
           "return same and dict(wanted) == dict(told_shares(scene)) and scene.status.revision > 0", "return same"),
    # Events
    Mutant("tells of each successor", others.is_a_dry_run, "record",
           "what = move.source if move.kind in _FROM else move.to", "what = move.to"),
    Mutant("forgets what it told", others.a_person_moves_it, "plan",
           "if key != scene.status.told else ()", "if key else ()"),
    Mutant("tells once for ever", others.is_a_dry_run, "draft",
           "    told: str | None = None", "    told: str | None = 'WouldSwitch Failover a'"),
)  # fmt: skip


@pytest.mark.parametrize(
    "script", [*models.SCRIPTS, *gateway.SCRIPTS, *others.SCRIPTS], ids=lambda script: script.__name__
)
def test_the_planner_gets_through(script: Any) -> None:
    """Scripts assert what must hold on the way; the wrong planners below show that they can fail."""
    worlds: list[World] = []

    def make(*names: str, **how: Any) -> World:
        worlds.append(World(*names, **how))
        return worlds[-1]

    script(make)
    assert worlds
    for world in worlds:
        assert world.rules.began > 0, "traffic was never moved"
        assert world.told is not None
        told = (world.told.revision, dict(world.told.shares), list(world.told.fallbacks))
        assert told == (world.status.revision, world.shares, world.status.fallbacks)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_wrong_planner_breaks_a_rule(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with planner(mutant.module, mutant.old, mutant.new) as wrong:
        monkeypatch.setattr(plan, "plan_switch", wrong)
        with pytest.raises(AssertionError):
            mutant.script(World)
