"""Which model serves, and the switch to another one: a pure planner.

`plan_switch` takes what the status says, what was found, how models were judged, and the time; it gives all of that
anew. Whoever calls it writes it down before the gateway is told, and calls again when something is found. Nothing is
remembered elsewhere, and each pass makes one transition at most: a crash at any point, or a write that gets lost,
costs a pass and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sophia_operator.api.model_route_status import (
    BY_STAGES,
    PastSwitch,
    SwitchKind,
    SwitchPhase,
    SwitchResult,
    SwitchStatus,
)
from sophia_operator.core.model.acts import asked, with_acts
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.switches import better, holds, record, stages
from sophia_operator.core.model.switches.choose import choose
from sophia_operator.core.model.switches.draft import Draft, in_phase
from sophia_operator.core.model.switches.moves import EVIDENCE, TRIGGER, Move, cut
from sophia_operator.core.model.switches.proof import Proof
from sophia_operator.core.model.switches.revise import seen, with_revision
from sophia_operator.core.model.switches.scene import Scene
from sophia_operator.core.model.switches.standing import ALL, Standing, standing
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView


def plan_switch(route: ModelRouteView, observed: ModelRouteObserved, ranking: Ranking, now: datetime) -> SwitchPlan:
    """Where traffic goes, which switch goes on, and what the gateway is told."""
    scene = Scene(route, observed, ranking, now)
    here = standing(scene)
    proof = seen(scene, here)
    new = asked(scene, here)
    plan = with_revision(scene, proof, _transition(scene, here, proof, new.move if new is not None else None))
    return with_acts(scene, new, plan, proof)


def _transition(scene: Scene, here: Standing, proof: Proof, act: Move | None) -> Draft:
    """At most one. What an act moves goes before all that would be chosen."""
    draft = _as_before(scene, here)
    move = act or choose(scene, here, proof)
    if move is not None and (move.forced or not (scene.spec.dry_run or move.manual)):
        return _begin(scene, here, draft, move, proof)
    if move is not None:
        key = record.told_key(move)
        news = (record.would(move),) if key != scene.status.told else ()
        draft = replace(draft, told=key, notices=news)
    elif draft.candidate is not None and scene.status.told in _tellings(draft.candidate):
        draft = replace(draft, told=scene.status.told)  # it is not due for a moment, and that is no news
    if here.broken is not None:
        # What a person chose serves, and nobody is left to share with.
        past = record.ended(scene, here.broken, SwitchResult.OVERTAKEN, "a model of it was removed from the spec")
        return replace(draft, past=past, moved=True)
    return _go_on(scene, draft, here.switch, proof)


def _tellings(found: better.Candidate) -> tuple[str, ...]:
    return tuple(record.told_of(found.kind, found.name, manual=manual) for manual in (True, False))


def _as_before(scene: Scene, here: Standing) -> Draft:
    status, found = scene.status, None
    preferred = status.preferred if status.preferred in scene.names else None
    if here.switch is None and preferred == here.active:
        preferred = None
    if here.active is not None and here.switch is None and here.broken is None and scene.pin is None:
        found = better.candidate(scene, here.active) if not scene.is_left(here.active) else None
    return Draft(
        active=here.active,
        switch=here.switch,
        preferred=preferred,
        failed_failbacks=holds.failed_failbacks(scene, here.active),
        hold_until=holds.hold_until(scene),
        switched_at=status.switched_at,
        candidate=found,
    )


def _begin(scene: Scene, here: Standing, draft: Draft, move: Move, proof: Proof) -> Draft:
    """Traffic begins to move. What was under way ends with that."""
    percent = stages.first_percent(scene) if move.kind in BY_STAGES else ALL
    failed = holds.one_more(draft.failed_failbacks) if move.failed else draft.failed_failbacks
    switch = SwitchStatus(
        kind=move.kind,
        from_model=move.source,
        to=move.to,
        trigger=cut(move.trigger, TRIGGER),
        evidence=cut(move.evidence, EVIDENCE),
        started_at=scene.now,
        phase=SwitchPhase.PROVING,
        percent=percent,
        phase_since=scene.now,
    )
    active = move.to if percent == ALL else draft.active
    return replace(
        draft,
        active=active,
        switch=switch,
        preferred=_preferred(scene, draft, move),
        failed_failbacks=failed,
        hold_until=holds.hold_from(scene, failed),
        switched_at=scene.now if percent == ALL else draft.switched_at,
        moved=True,
        past=_interrupted(scene, here, move, proof),
        candidate=None,
        notices=tuple(record.begins(move)),
    )


def _preferred(scene: Scene, draft: Draft, move: Move) -> str | None:
    """The model that traffic goes back to: of several that failed in turn the one that scores most."""
    if move.kind in (SwitchKind.FAILOVER, SwitchKind.RECOVERY):
        left = [name for name in (draft.preferred, move.source) if name in scene.names and name != move.to]
        return max((name for name in left if name is not None), key=scene.score, default=None)
    if move.kind in (SwitchKind.FIRST, SwitchKind.PIN):
        return None
    return draft.preferred if draft.preferred != move.to or move.kind in BY_STAGES else None


def _interrupted(scene: Scene, here: Standing, move: Move, proof: Proof) -> PastSwitch | None:
    switch = here.switch or here.broken
    if switch is None:
        return None
    if switch.proved_at is None and proof.proved:
        switch = switch.model_copy(update={"proved_at": scene.now})
    result = SwitchResult.REVERTED if move.kind is SwitchKind.REVERT else SwitchResult.OVERTAKEN
    return record.ended(scene, switch, result, f"{move.kind.value} {move.direction}: {move.trigger}")


def _go_on(scene: Scene, draft: Draft, switch: SwitchStatus | None, proof: Proof) -> Draft:
    """The switch that is under way, one step further if what it waits for was seen."""
    if switch is None:
        return draft
    if switch.kind in BY_STAGES and switch.percent >= ALL and scene.all_down and scene.pin is None:
        return _give_up(scene, draft, switch)
    if switch.phase is SwitchPhase.PROVING:
        return _proving(scene, draft, switch, proof)
    if proof.behind or (stages.is_long_enough(scene, switch) and not proof.proved):
        # A replica fell behind, or is not seen any more: it has to follow as if it had been told anew.
        return replace(draft, switch=in_phase(scene, switch, SwitchPhase.PROVING))
    if not stages.passes(scene, switch, proof):
        return draft
    if switch.percent >= ALL:
        return _end(scene, draft, switch, proof)
    if scene.spec.dry_run:
        return draft
    percent = stages.next_percent(scene, switch.percent)
    further = in_phase(scene, switch, SwitchPhase.PROVING, percent=percent, stage=stages.index(scene, percent))
    return replace(
        draft,
        active=switch.to if percent == ALL else draft.active,
        switch=further,
        switched_at=scene.now if percent == ALL else draft.switched_at,
        moved=True,
    )


def _give_up(scene: Scene, draft: Draft, switch: SwitchStatus) -> Draft:
    """No model may be chosen: traffic stays at the new one, and whichever works first gets it."""
    failed = holds.one_more(draft.failed_failbacks)
    why = f"no model may be chosen; traffic stays at {switch.to}"
    return replace(
        draft,
        switch=None,
        failed_failbacks=failed,
        hold_until=holds.hold_from(scene, failed),
        past=record.ended(scene, switch, SwitchResult.OVERTAKEN, why),
    )


def _proving(scene: Scene, draft: Draft, switch: SwitchStatus, proof: Proof) -> Draft:
    if not proof.proved:
        return draft
    switch = switch.model_copy(update={"proved_at": switch.proved_at or scene.now})
    pinned = scene.pin == switch.to and switch.percent >= ALL
    if switch.kind in BY_STAGES and not pinned:
        return replace(draft, switch=in_phase(scene, switch, SwitchPhase.OBSERVING))
    return _end(scene, draft, switch, proof)


def _end(scene: Scene, draft: Draft, switch: SwitchStatus, proof: Proof) -> Draft:
    by_choice = switch.kind in BY_STAGES
    return replace(
        draft,
        switch=None,
        preferred=None if by_choice or draft.preferred == draft.active else draft.preferred,
        hold_until=holds.hold_from(scene, draft.failed_failbacks),
        past=record.ended(scene, switch, SwitchResult.SWITCHED),
        notices=(*draft.notices, record.succeeded(scene, switch, proof)),
    )
