"""SwitchModel by a RecoveryAction: ways that the right planner gets through, and planners that are wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pytest

from sophia_operator.core.model import plan
from tests.support import switch_scripts_acts as acts
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
    Mutant("leaves what is pinned", acts.an_act_is_refused, "acts", "if scene.pin is not None:", "if False:"),
    Mutant("moves in a dry run", acts.an_act_is_refused, "acts", "if scene.spec.dry_run:", "if False:"),
    Mutant("does not ask whom it names", acts.an_act_leaves_one_that_only_fails, "acts",
     "*successors(scene, active)]", "*scene.order]"),
    Mutant("takes what the route has not", acts.a_person_names_a_model, "acts",
     "named not in scene.names", "named == ''"),
    Mutant("takes one that may not be chosen", acts.a_person_names_a_model, "acts",
     "return None if scene.eligible(to) else", "return None if True else"),
    Mutant("moves to where it is", acts.a_person_names_a_model, "acts",
     "if to == active and not here.is_shared:", "if False:"),
    Mutant("does not follow a failover", acts.an_act_follows_a_failover, "acts",
     "if switch is None or here.by_stages:", "if True:"),
    Mutant("follows what is not asked for", acts.a_person_names_a_model, "acts",
     "if named != switch.to and (named is not None or _is_wrong(scene, switch.to)):", "if False:"),
    Mutant("does what was done before", acts.an_act_follows_a_failover, "acts",
     "if not left or _is_wrong(scene, past.to):", "if True:"),
    Mutant("takes an old failover for an answer", acts.an_act_follows_a_failover, "acts",
     " and past.ended_at >= since", ""),
    Mutant("is content with one that fails", acts.an_act_goes_on_when_the_next_fails_too, "acts",
     "if not left or _is_wrong(scene, past.to):", "if not left:"),
    Mutant("is done before it is proved", acts.an_act_leaves_one_that_only_fails, "acts",
     "return Asked(begun(request, scene.now, subject=to, message=message), move)",
     "return Asked(ended(begun(request, scene.now, subject=to), ActPhase.DONE, '', scene.now), move)"),
    Mutant("ends with the first pass", acts.an_act_follows_a_failover, "acts",
     "or (plan.switch is not None and _is_of(act, plan.switch))", ""),
    Mutant("never ends", acts.an_act_leaves_one_that_only_fails, "acts",
     "if act.phase is not ActPhase.RUNNING or", "if True or"),
    Mutant("takes overtaken for done", acts.an_act_is_overtaken, "acts",
     "if past.result is not SwitchResult.SWITCHED:", "if False:"),
    Mutant("forgets what it left", acts.an_act_leaves_one_that_only_fails, "plan",
     "if move.kind in (SwitchKind.FAILOVER, SwitchKind.RECOVERY):", "if move.kind is SwitchKind.FAILOVER:"),
    Mutant("does not count a failback that failed", acts.an_act_in_a_failback, "acts",
     "return to != here.switch.to and _is_wrong(scene, here.switch.to)", "return False"),
    Mutant("does not write acts down", acts.an_act_outlives_the_operator, "acts",
     "acts=tuple(acts), wait", "acts=(), wait"),
    Mutant("keeps acts for ever", acts.an_act_outlives_the_operator, "acts",
     "tidied(scene.status.acts, scene.observed.acts)", "list(scene.status.acts)"),
    Mutant("goes back at once", acts.an_act_leaves_one_that_only_fails, "better",
     "return moment if held is None else max(moment, held)", "return scene.now"),
)  # fmt: skip


@pytest.mark.parametrize("script", acts.SCRIPTS, ids=lambda script: script.__name__)
def test_the_planner_gets_through(script: Any) -> None:
    """Scripts assert what must hold; the wrong planners below show that they can fail."""
    assert script(World) is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_wrong_planner_breaks_a_rule(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with planner(mutant.module, mutant.old, mutant.new) as wrong:
        monkeypatch.setattr(plan, "plan_switch", wrong)
        with pytest.raises(AssertionError):
            mutant.script(World)
