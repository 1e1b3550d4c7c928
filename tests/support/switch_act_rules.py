"""What must be true of acts on a ModelRoute, pass by pass. Told only what anybody could see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sophia_operator.api.model_route_status import BY_STAGES, SwitchKind, SwitchResult, SwitchStatus
from sophia_operator.api.recovery_action_status import ActPhase, ActStatus
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView

Check = Callable[[bool, str], None]


@dataclass
class ActRules:
    """All of them. `began` has what acts began so far, once it was written down."""

    check: Check
    began: dict[str, str] = field(default_factory=dict)

    def planned(
        self,
        view: ModelRouteView,
        observed: ModelRouteObserved,
        ranking: Ranking,
        plan: SwitchPlan,
        begun: SwitchStatus | None,
    ) -> None:
        """A pass planned that."""
        check, before = self.check, {a.uid: a for a in view.status.acts}
        after = {a.uid: a for a in plan.acts}
        running = [a for a in plan.acts if a.phase is ActPhase.RUNNING]
        check(len(after) == len(plan.acts), "an act is there twice")
        check(len(running) <= 1, f"{len(running)} acts at once")
        for act in running:
            switch = plan.switch
            own = switch is not None and switch.to == act.subject and switch.kind not in BY_STAGES
            check(own, f"act {act.name} is under way, and no switch to {act.subject} is")
        for uid, old in before.items():
            new = after.get(uid)
            check(new is not None or old.phase is not ActPhase.RUNNING, f"act {old.name} vanished")
            if new is not None:
                check(new.subject == old.subject, f"act {old.name} is about {new.subject} now, not {old.subject}")
                check(old.phase is ActPhase.RUNNING or new == old, f"act {old.name} was over, and changed")
        asked = {r.uid for r in observed.acts if r.may_begin}
        new_acts = [a for uid, a in after.items() if uid not in before]
        check(all(a.uid in asked for a in new_acts), "nobody asked for an act")
        if begun is not None and begun.kind is SwitchKind.RECOVERY:
            self._may_move(view, ranking, begun, new_acts)
        for act in plan.acts:
            old_act = before.get(act.uid)
            if act.phase is ActPhase.DONE and (old_act is None or old_act.phase is not ActPhase.DONE):
                self._is_done(view, plan, act)

    def _may_move(self, view: ModelRouteView, ranking: Ranking, switch: SwitchStatus, new: list[ActStatus]) -> None:
        check = self.check
        mine = [a for a in new if a.phase is ActPhase.RUNNING and a.subject == switch.to]
        check(len(mine) == 1, "traffic moves for an act that is not written down")
        check(mine[0].uid not in self.began, f"act {mine[0].name} moves traffic once more")
        check(view.spec.pin is None, "an act moves traffic away from a pin")
        check(not view.spec.dry_run, "an act moves traffic in a dry run")
        check(switch.to in ranking.order, f"an act moves traffic to {switch.to}, which may not be chosen")
        check(switch.percent == 100, "an act moves a part of the traffic")
        check(switch.from_model != switch.to, "an act moves nothing")

    def _is_done(self, view: ModelRouteView, plan: SwitchPlan, act: ActStatus) -> None:
        past = plan.past if plan.past is not None else view.status.switches[-1] if view.status.switches else None
        proved = past is not None and past.result is SwitchResult.SWITCHED and past.proved_at is not None
        self.check(proved and past is not None and past.to == act.subject, f"act {act.name} is done, and nobody saw it")
        self.check(plan.active == act.subject, f"act {act.name} is done, and {plan.active} serves")

    def persisted(self, plan: SwitchPlan, begun: SwitchStatus | None) -> None:
        """That was written down."""
        if begun is not None and begun.kind is SwitchKind.RECOVERY:
            self.began |= {a.uid: str(a.subject) for a in plan.acts if a.phase is ActPhase.RUNNING}
