"""Guard rails: what keeps an act from being done now, one question after the other.

The same for an act that the engine would like to make, and for an action, made by it or by a person, that is about to
be claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_policy_status import StormStatus
from sophia_operator.api.recovery_values import ACTIONS, Action
from sophia_operator.core.recovery import past
from sophia_operator.core.recovery.quiet import quiet_until
from sophia_operator.core.recovery.rails import Rails, pause_of, rails_of
from sophia_operator.core.recovery.views import ActionView, History, MovingRelease, PolicyView, Symptoms, TargetKey
from sophia_operator.core.words import clock, count


@dataclass(frozen=True, slots=True)
class Wish:
    """An act that somebody would like to be done."""

    target: TargetKey
    action: Action
    #: When the incident began that it answers; None when a person asks without one.
    since: datetime | None = None
    #: Whether it goes on with the ladder of an incident whose last act did not help: the time-out of that was its
    #: cool-down.
    goes_on: bool = False
    #: Of an action that is there: its uid.
    uid: str | None = None
    by_person: bool = False
    #: A person passes the budget, the cool-down, the breaker and the floor.
    force: bool = False
    #: A person passes also a storm and the interlock.
    override: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why not now."""

    reason: Reason
    message: str
    #: When it ends by time alone; None when something else has to happen first.
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What guard rails are asked about."""

    policies: tuple[PolicyView, ...]
    symptoms: Symptoms
    history: History
    now: datetime
    #: By the policy's name.
    storms: Mapping[str, StormStatus | None]
    #: Objects without symptoms, by the policy's name.
    well: Mapping[str, frozenset[TargetKey]] = field(default_factory=dict)
    #: Acts that were decided on and are not claimed yet, as they would count once they were.
    promised: tuple[TargetKey, ...] = ()


def scene_of(
    policies: tuple[PolicyView, ...],
    symptoms: Symptoms,
    history: History,
    now: datetime,
    storms: Mapping[str, StormStatus | None] | None = None,
) -> Scene:
    """The scene as it is now; storms as statuses say, unless they are given."""
    sick = {(s.policy, s.target) for s in symptoms.seen if s.sign.present is not False}
    well = {name: frozenset(t for t in chosen if (name, t) not in sick) for name, chosen in symptoms.selected.items()}
    if storms is None:
        storms = {p.name: p.status.storm for p in policies}
    return Scene(policies, symptoms, history, now, storms, well)


def obstacle(wish: Wish, scene: Scene) -> Obstacle | None:
    """The first guard rail that holds; None when the act may be done now."""
    rails = rails_of(wish.target, scene.policies, scene.symptoms, scene.storms)
    return next((found for ask in _QUESTIONS if (found := ask(wish, rails, scene)) is not None), None)


def held(wish: Wish, scene: Scene) -> Obstacle | None:
    """The first of those guard rails that hold whatever was done before: people, windows, storms."""
    rails = rails_of(wish.target, scene.policies, scene.symptoms, scene.storms)
    return next((found for ask in _FIRST if (found := ask(wish, rails, scene)) is not None), None)


def _paused(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    found = None if wish.by_person else pause_of(rails, scene.now)
    if found is None:
        return None
    policy, request = found
    until = f" until {clock(request.until, scene.now)}" if request.until is not None else ""
    words = f"{request.who} asked RecoveryPolicy {policy} to do nothing{until}: {request.why}"
    return Obstacle(Reason.PAUSE_REQUESTED, words, request.until)


def _quiet(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.by_person or not rails.quiet:
        return None
    until = quiet_until((window for _, window in rails.quiet), scene.now)
    if until is None:
        return None
    return Obstacle(Reason.QUIET_WINDOW, f"a quiet window lasts until {clock(until, scene.now)}", until)


def _storm(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.override or not rails.storms:
        return None
    policy, storm = rails.storms[0]
    seconds = next(p.spec.storm.cooldown_seconds for p in scene.policies if p.name == policy)
    words = f"RecoveryPolicy {policy} sees a storm: {storm.targets} of {storm.of} objects showed symptoms at its worst"
    until = storm.quiet_since + timedelta(seconds=seconds) if storm.quiet_since is not None else None
    return Obstacle(Reason.STORM_ACTIVE, f"{words}; nobody acts until {count(seconds, 'second')} were quiet", until)


def _under_way(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    del rails
    others = (a for a in scene.history.actions if a.target == wish.target and a.uid != wish.uid and past.is_claimed(a))
    other = next(others, None)
    if other is None and wish.target not in scene.promised:
        return None
    what = (
        f"{other.name} ({other.spec.action.value}) is {other.status.phase.value}" if other is not None else "one is due"
    )
    return Obstacle(Reason.ACT_UNDER_WAY, f"one act at a time on an object: {what}")


def _release(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    del rails
    moving = [m for m in scene.history.moving if wish.target in m.bound]
    if not moving or wish.override or wish.action is Action.NOTIFY:
        return None
    began = next((m for m in moving if _began_with(wish, m)), None)
    if began is not None:
        words = f"it began with Release {began.name}, which has traffic: going back to the one before is the answer"
        return Obstacle(Reason.LEFT_TO_RELEASE, words)
    if ACTIONS[wish.action].makes_users_safe:
        return None
    words = f"Release {moving[0].name} is being rolled out, and stands on this object: nothing is changed under it"
    return Obstacle(Reason.RELEASE_MOVING, words)


def _began_with(wish: Wish, moving: MovingRelease) -> bool:
    return wish.since is not None and moving.has_traffic and wish.since >= moving.started_at


def _floor(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.action is Action.NOTIFY:
        return None
    kind, _ = wish.target
    for policy, floor in rails.floors:
        well = sum(1 for other, _ in scene.well.get(policy, ()) if other is kind)
        if well < floor:
            words = f"{well} {kind.value}s of RecoveryPolicy {policy} are without symptoms, and its floor is {floor}"
            return Obstacle(Reason.BELOW_FLOOR, words)
    return None


def _cooling_down(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.goes_on or wish.action is Action.NOTIFY:
        return None
    acts = _others(wish, scene)
    ended = past.last_end(acts)
    if ended is None:
        return None
    tries = min(len(past.unhelpful(acts)), _MOST_DOUBLINGS)
    until = ended + timedelta(seconds=min(rails.max_cooldown_seconds, rails.cooldown_seconds * 2**tries))
    if scene.now >= until:
        return None
    words = f"the last act on this object ended at {clock(ended, scene.now)}; the next one may begin at"
    doubled = f", later for each of {count(tries, 'act')} that did not help" if tries else ""
    return Obstacle(Reason.COOLING_DOWN, f"{words} {clock(until, scene.now)}{doubled}", until)


def _breaker(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.action is Action.NOTIFY:
        return None
    failed = past.unhelpful([a for a in _others(wish, scene) if a.spec.action is wish.action])
    if len(failed) < rails.breaker_failures:
        return None
    ended = past.last_end(failed)
    until = (ended or scene.now) + timedelta(seconds=rails.breaker_open_seconds)
    if scene.now >= until:
        return None
    words = f"{wish.action.value} did not help {len(failed)} times in a row; it is tried again at"
    return Obstacle(Reason.BREAKER_OPEN, f"{words} {clock(until, scene.now)}", until)


def _budget(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.action is Action.NOTIFY:
        return None
    acts = [a for a in scene.history.actions if past.counts(a) and a.uid != wish.uid]
    promised = [scene.now for _ in scene.promised]
    here = [a.status.claimed_at for a in acts] + promised
    on_target = [a.status.claimed_at for a in acts if a.target == wish.target]
    for times, most, where in (
        (on_target, rails.per_target, "on this object"),
        (here, rails.per_namespace, "in this namespace"),
        ([*here, *scene.history.elsewhere], rails.cluster, "in the cluster"),
    ):
        done = past.claims(times, scene.now)
        if len(done.at) >= most:
            free = done.free_at(most) if most else None
            then = f"; the next one may begin at {clock(free, scene.now)}" if free is not None else ""
            words = f"{count(len(done.at), 'act')} {where} in the last hour, and {most} are allowed{then}"
            return Obstacle(Reason.BUDGET_SPENT, words, free)
    return None


def _others(wish: Wish, scene: Scene) -> list[ActionView]:
    return [a for a in past.acts_on(scene.history.actions, wish.target) if a.uid != wish.uid]


#: 2 to the power of more is longer than any cool-down that the API takes.
_MOST_DOUBLINGS: Final = 24
_Question = Callable[[Wish, Rails, Scene], Obstacle | None]
_FIRST: Final[tuple[_Question, ...]] = (_paused, _quiet, _storm)
_QUESTIONS: Final[tuple[_Question, ...]] = (
    *_FIRST, _under_way, _release, _floor, _cooling_down, _breaker, _budget,
)  # fmt: skip
