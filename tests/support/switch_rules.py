"""What must be true of every plan for a ModelRoute, whatever happens. Kept apart from the planner, and told only what
anybody could see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelState, PastSwitch, SwitchKind, SwitchResult, SwitchStatus
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.views import ModelRouteObserved, ModelRouteView
from tests.support.model_scene import at
from tests.support.switch_act_rules import ActRules

if TYPE_CHECKING:
    from tests.support.switch_parts import Told

BY_STAGES: Final = (SwitchKind.FAILBACK, SwitchKind.BETTER)
#: Tell of a switch that began, or of what keeps one from beginning.
_ONCE: Final = frozenset({Reason.WOULD_SWITCH, Reason.FAILBACK_DUE, Reason.ALL_MODELS_DOWN, Reason.REPLICA_LAGS})
_OF_DECISIONS: Final = frozenset({Reason.WOULD_SWITCH, Reason.FAILBACK_DUE})


class BrokenError(AssertionError):
    """A rule was broken."""


@dataclass
class Rules:
    """All rules, and what they need to know of before."""

    #: When traffic was last moved, or a switch ended, and the hold that began then.
    moved_at: float = float("-inf")
    hold: float = 0.0
    shortest_hold: float = float("inf")
    began: int = 0
    causes: int = 0
    eligible: frozenset[str] = frozenset()
    #: What each revision said, when it was set, and the highest.
    contents: dict[int, Told] = field(default_factory=dict)
    set_at: dict[int, float] = field(default_factory=dict)
    revision: int = 0
    told: set[tuple[str, str | None]] = field(default_factory=set)
    was_all_down: bool = False

    def __post_init__(self) -> None:
        self.acts = ActRules(self.check)

    def check(self, holds: bool, what: str) -> None:
        """A rule."""
        if not holds:
            raise BrokenError(what)

    def spec_changed(self) -> None:
        """A person changed the spec."""
        self.causes += 2  # each of them may begin one switch, and its end another

    def act_asked(self) -> None:
        """A RecoveryAction was claimed: it may begin one switch, and traffic may go back later."""
        self.causes += 2

    # -- what is planned, written down or not

    def planned(
        self, now: float, view: ModelRouteView, observed: ModelRouteObserved, ranking: Ranking, plan: SwitchPlan
    ) -> None:
        """A pass planned that."""
        names = {m.name for m in view.spec.models}
        self.check(set(plan.shares) <= names, f"shares of nobody: {dict(plan.shares)}")
        self.check(not plan.shares or sum(plan.shares.values()) == 100, f"shares: {dict(plan.shares)}")
        self.check(all(1 <= p <= 100 for p in plan.shares.values()), f"shares: {dict(plan.shares)}")
        self.check(bool(plan.shares) == (plan.active is not None), "shares without a model that serves")
        self.check(plan.active is None or plan.active in plan.shares, "the active model has no share")
        self.check(set(plan.fallbacks) <= names - {plan.active}, f"fallbacks {plan.fallbacks}")
        self.check(plan.revision >= view.status.revision, "the revision fell")
        self.check(plan.proved_revision <= plan.revision, "proved is what is not told yet")
        self.check(plan.wait is None or plan.wait >= 0, "waits for the past")
        own = plan.switch is None or plan.switch.revision == plan.revision
        self.check(own, "a switch that waits for another revision than the one that is told")
        before = {s.name: s.percent for s in view.status.shares}
        self._one_transition(view, plan)
        if view.spec.dry_run:
            self.check(plan.shares == before or not before or not set(before) <= names, "a dry run moves traffic")
        elif view.spec.pin is not None:
            self.check(plan.shares == {view.spec.pin: 100}, f"pinned to {view.spec.pin}: {dict(plan.shares)}")
        begun = _begun(view, plan)
        self.acts.planned(view, observed, ranking, plan, begun)
        if begun is not None:
            self._may_begin(now, view, ranking, begun)
        if plan.past is not None and plan.past.result is SwitchResult.SWITCHED:
            self._is_proved(view, observed, plan.past)
        self._stage(now, view, observed, ranking, plan)
        if plan.proved_revision > view.status.proved_revision:
            self._all_seen(observed, plan.proved_revision)

    def _one_transition(self, view: ModelRouteView, plan: SwitchPlan) -> None:
        before, begun = view.status.switch, _begun(view, plan)
        if plan.past is not None and plan.past.result is SwitchResult.SWITCHED:
            self.check(begun is None and plan.switch is None, "a switch ended and another one began in one pass")
        if before is not None and begun is not None:
            self.check(plan.past is not None, "a switch vanished")
        if before is not None and plan.switch is None:
            self.check(plan.past is not None, "a switch vanished")

    def _stage(
        self, now: float, view: ModelRouteView, observed: ModelRouteObserved, ranking: Ranking, plan: SwitchPlan
    ) -> None:
        """A stage passes on evidence alone."""
        before, past = view.status.switch, plan.past
        if before is None or before.kind not in BY_STAGES:
            return
        further = plan.switch is not None and _begun(view, plan) is None and plan.switch.percent > before.percent
        ends = past is not None and past.result is SwitchResult.SWITCHED and view.spec.pin is None
        if not further and not ends:
            return
        self.check(before.percent == 100 or further, "a failback ended before its last stage")
        long = (at(now) - before.phase_since).total_seconds() >= view.spec.failback.stage_seconds
        self.check(long, "a stage passed before its time")
        self.check(ranking.health[before.to].state is ModelState.HEALTHY, "a stage passed with a broken limit")
        probes = [f for f in observed.kept.probes.get(before.to, ()) if f.at >= before.phase_since]
        self.check(len(probes) >= min(2, view.spec.switch.min_requests), "a stage passed without evidence")
        self._all_seen(observed, view.status.revision)

    def _may_begin(self, now: float, view: ModelRouteView, ranking: Ranking, switch: SwitchStatus) -> None:
        eligible = set(ranking.order)
        names = {m.name for m in view.spec.models}
        active = view.status.active
        if switch.kind in BY_STAGES:
            waited = now - self.moved_at
            hold = min(self.hold, _hold(view, view.status.failed_failbacks))
            self.check(waited >= hold - 1e-6, f"{switch.kind.value} after {waited} s, in a hold of {hold} s")
            self.check(switch.to in eligible, f"{switch.kind.value} to {switch.to}, which may not be chosen")
            self.check(active in eligible, f"{switch.kind.value} away from a model that fails")
            health = ranking.health[switch.to]
            healthy = health.healthy_since
            long = view.spec.failback.healthy_seconds
            self.check(healthy is not None and (at(now) - healthy).total_seconds() >= long, "not healthy for so long")
            self.check(not view.spec.failback.manual, "a failback that a person must do")
            lead = ranking.scores[switch.to].score - ranking.scores[str(active)].score
            if switch.kind is SwitchKind.BETTER:
                self.check(lead * 100 >= view.spec.switch.margin_percent, f"better by {lead} only")
            else:
                self.check(switch.to == view.status.preferred, "a failback to a model that was never left")
                self.check(lead >= 0, "a failback to a model that is worse")
        elif switch.kind is SwitchKind.FAILOVER:
            self.check(active not in eligible, f"failover away from {active}, which works")
            others = eligible - {active}
            self.check(switch.to in others or not others, f"failover to {switch.to}, and {sorted(others)} work")
            if not others and active in names:
                waited = now - self.moved_at
                hold = min(self.hold, _hold(view, view.status.failed_failbacks))
                self.check(waited >= hold - 1e-6, f"all models are down, and traffic moves after {waited} s")
                own, new = ranking.health[str(active)], ranking.health[switch.to]
                better = _answered(new.requests, new.failures) - _answered(own.requests, own.failures)
                silent = own.state.value in ("Refused", "Paused", "Ineligible")
                self.check(better >= 0.5 - 1e-9 or silent, "all models are down, and traffic moves for little")
        elif switch.kind is SwitchKind.REVERT:
            going = view.status.switch
            self.check(going is not None and going.kind in BY_STAGES, "a revert of nothing")

    def _is_proved(self, view: ModelRouteView, observed: ModelRouteObserved, past: PastSwitch) -> None:
        self.check(past.proved_at is not None, "switched, and never proved")
        self._all_seen(observed, view.status.revision)

    def _all_seen(self, observed: ModelRouteObserved, revision: int) -> None:
        found = observed.kept.replicas.values()
        self.check(bool(found), "proved by nobody")
        late = [r.name for r in found if r.revision != revision]
        self.check(not late, f"proved, and {late} do not serve by {revision}")
        early = [r.name for r in found if r.at < at(self.set_at.get(revision, float("-1e9")))]
        self.check(not early, f"proved by what {early} showed before")
        unseen = {p.name for p in observed.pods if p.ready} - observed.kept.replicas.keys()
        self.check(not unseen, f"proved without {sorted(unseen)}")

    # -- what was written down

    def persisted(self, now: float, view: ModelRouteView, ranking: Ranking, plan: SwitchPlan) -> None:
        """That was written down."""
        if plan.revision > view.status.revision:
            self.set_at[plan.revision] = now
        eligible = frozenset(ranking.order)
        self.causes += len(eligible ^ self.eligible)
        self.eligible = eligible
        begun = _begun(view, plan)
        if begun is not None:
            self.began += 1
        if begun is not None or plan.past is not None:
            self.moved_at, self.hold = now, _hold(view, plan.failed_failbacks)
            self.shortest_hold = min(self.shortest_hold, float(view.spec.failback.hold_seconds))
        # A spec that shortened it counts at once, and one that lengthens it later does not bring it back.
        self.hold = min(self.hold, _hold(view, plan.failed_failbacks))
        self.acts.persisted(plan, begun)
        self._count_failures(view, plan)
        self._notices(ranking, plan)
        bound = 2 + self.causes + 2 * now / min(self.shortest_hold, view.spec.failback.hold_seconds)
        self.check(self.began <= bound, f"{self.began} switches for {self.causes} causes in {now} s")

    def _count_failures(self, view: ModelRouteView, plan: SwitchPlan) -> None:
        more = plan.failed_failbacks - view.status.failed_failbacks
        self.check(more <= 1, "more than one failback failed in one pass")
        reverted = plan.past is not None and plan.past.result is SwitchResult.REVERTED
        removed = reverted and plan.past is not None and plan.past.to not in {m.name for m in view.spec.models}
        if reverted and not removed:
            self.check(more == 1, "a failback failed, and it does not count")

    def _notices(self, ranking: Ranking, plan: SwitchPlan) -> None:
        told = tuple(n.reason for n in plan.notices)
        states = {h.state for h in ranking.health.values()} - {ModelState.UNKNOWN, ModelState.INELIGIBLE}
        down = not ranking.order and bool(states)
        entered = down and not self.was_all_down
        self.check((Reason.ALL_MODELS_DOWN.value in told) == entered, f"all models down: {entered}, told {told}")
        self.was_all_down = down
        # Another decision is news: a failback that cannot go on, after a failover that was not made.
        news = {(r, plan.told if r in _OF_DECISIONS else None) for r in told if r in _ONCE}
        self.check(not news & self.told, f"told again: {news & self.told}")
        self.told = news
        ended = plan.past is not None and plan.past.result is SwitchResult.SWITCHED
        served = Reason.SWITCHED.value in told or Reason.FAILED_BACK.value in told
        self.check(ended == served, f"ended {ended}, and told {told}")
        long = [n.message for n in plan.notices if len(n.message) > 1000]
        self.check(not long, "an Event that is too long")

    def rendered(self, told: Told) -> None:
        """The gateway is told that."""
        before = self.contents.setdefault(told.revision, told)
        self.check(before == told, f"revision {told.revision} is {before}, and {told}")
        self.check(told.revision >= self.revision, "the revision fell")
        self.revision = told.revision


def _begun(view: ModelRouteView, plan: SwitchPlan) -> SwitchStatus | None:
    """The switch that begins."""
    before, after = view.status.switch, plan.switch
    if after is None or (before is not None and _identity(before) == _identity(after)):
        return None
    return after


def _identity(switch: SwitchStatus) -> tuple[object, ...]:
    return switch.kind, switch.from_model, switch.to, switch.started_at


def _hold(view: ModelRouteView, failed: int) -> float:
    failback = view.spec.failback
    return float(min(failback.max_hold_seconds, failback.hold_seconds * 2.0**failed))


def _answered(requests: float, failures: float) -> float:
    return (requests - failures) / requests if requests else 0.0
