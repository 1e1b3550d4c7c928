"""Guard rails: what keeps an act from being done now, one question after the other.

The same for an act that the engine would like to make, and for an action, made by it or by a person, that is about to
be claimed. Words of an obstacle stay the same while nothing changes but the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_values import ACTIONS, Action, Mode, Symptom
from sophia_operator.core.recovery import ladder, past
from sophia_operator.core.recovery.modes import is_stricter, strictest_mode
from sophia_operator.core.recovery.moments import when
from sophia_operator.core.recovery.quiet import quiet_until, unknown_zones
from sophia_operator.core.recovery.rails import Rails, pause_of, rails_of
from sophia_operator.core.recovery.scene import Scene
from sophia_operator.core.recovery.track import rule_of
from sophia_operator.core.recovery.views import ActionView, MovingRelease, TargetKey
from sophia_operator.core.words import count


@dataclass(frozen=True, slots=True)
class Wish:
    """An act that somebody would like to be done."""

    target: TargetKey
    action: Action
    #: What it answers, by whose rule, and when that incident began; None when a person asks.
    symptom: Symptom | None = None
    policy: str | None = None
    since: datetime | None = None
    #: The mode that allows it: a person's yes is Approve.
    mode: Mode = Mode.AUTO
    #: Whether it goes on with the ladder of its incident, whose last act did not help: the time-out of that was its
    #: cool-down.
    goes_on: bool = False
    #: Of an action that is there: its uid.
    uid: str | None = None
    #: A person passes the budget, the cool-down, the breaker and the floor.
    force: bool = False
    #: A person passes also a storm and the interlock.
    override: bool = False

    @property
    def by_person(self) -> bool:
        """Whether a person asks."""
        return self.policy is None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why not now."""

    reason: Reason
    message: str
    #: When it ends by time alone; None when something else has to happen first.
    until: datetime | None = None
    #: Whether the act is not wanted any more as it was asked for, so that it need not wait.
    final: bool = False


def obstacle(wish: Wish, scene: Scene) -> Obstacle | None:
    """The first guard rail that holds; None when the act may be done now."""
    return _first(_QUESTIONS, wish, scene)


def held(wish: Wish, scene: Scene) -> Obstacle | None:
    """The first of those guard rails that hold whatever was done before: people, windows, storms."""
    return _first(_HELD, wish, scene)


def wish_of(action: ActionView, actions: Iterable[ActionView]) -> Wish:
    """What a RecoveryAction asks for; `actions` are those about the same object, or all."""
    spec, trigger = action.spec, action.spec.trigger
    if trigger is None:
        override = spec.force and spec.override_reason is not None
        return Wish(action.target, spec.action, uid=action.uid, force=spec.force, override=override)
    asked = spec.approval_required or spec.approved is True
    return Wish(
        target=action.target,
        action=spec.action,
        symptom=trigger.symptom,
        policy=trigger.policy,
        since=trigger.since,
        mode=Mode.DRY_RUN if spec.dry_run else Mode.APPROVE if asked else Mode.AUTO,
        goes_on=ladder.goes_on(action, actions),
        uid=action.uid,
    )


def _first(questions: Iterable[_Question], wish: Wish, scene: Scene) -> Obstacle | None:
    rails = rails_of(scene.selecting.get(wish.target, ()), scene.storms)
    return next((found for ask in questions if (found := ask(wish, rails, scene)) is not None), None)


def _mode(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    """A policy may have become stricter, or be gone, since the action was made."""
    del rails
    if wish.policy is None or wish.symptom is None:
        return None
    chosen = scene.selecting.get(wish.target, ())
    rule = next((rule_of(p, wish.symptom) for p in chosen if p.name == wish.policy), None)
    if rule is None or all(step.action is not wish.action for step in rule.escalation):
        words = f"RecoveryPolicy {wish.policy} does not answer {wish.symptom.value} of it with {wish.action.value} now"
        return Obstacle(Reason.MODE_OFF, words, final=True)
    found = strictest_mode(chosen, wish.symptom, wish.action)
    if found is None or not is_stricter(found[0], wish.mode):
        return None
    mode, whose = found
    words = f"the mode of RecoveryPolicy {whose} for {wish.action.value} is {mode.value} now"
    return Obstacle(Reason.MODE_OFF, words, final=True)


def _paused(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    found = None if wish.by_person else pause_of(rails, scene.now)
    if found is None:
        return None
    policy, request = found
    until = f" until {when(request.until)}" if request.until is not None else ""
    words = f"{request.who} asked RecoveryPolicy {policy} to do nothing{until}: {request.why}"
    return Obstacle(Reason.PAUSE_REQUESTED, words, request.until)


def _quiet(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.by_person:
        return None
    windows = [window for _, window in rails.quiet]
    unknown = unknown_zones(windows)
    if unknown:
        whose = next(policy for policy, window in rails.quiet if window.time_zone in unknown)
        words = f"RecoveryPolicy {whose} has a quiet window in time zone {unknown[0]}, which nobody knows: mend it"
        return Obstacle(Reason.INVALID_SPEC, words)
    until = quiet_until(windows, scene.now)
    if until is None:
        return None
    return Obstacle(Reason.QUIET_WINDOW, f"a quiet window lasts until {when(until)}", until)


def _storm(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    del scene
    if wish.override or not rails.storms:
        return None
    policy, storm, seconds = rails.storms[0]
    until = storm.quiet_since + timedelta(seconds=seconds) if storm.quiet_since is not None else None
    words = f"RecoveryPolicy {policy} sees a storm: {storm.targets} of {storm.of} objects showed symptoms at its worst"
    return Obstacle(Reason.STORM_ACTIVE, f"{words}; nobody acts until {count(seconds, 'second')} were quiet", until)


def _under_way(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    del rails
    other = next((a for a in scene.on(wish.target) if a.uid != wish.uid and past.is_claimed(a)), None)
    if other is not None:
        what = f"{other.name} ({other.spec.action.value}) is {other.status.phase.value}"
    elif wish.target in scene.promised:
        what = "another one is due"
    else:
        return None
    return Obstacle(Reason.ACT_UNDER_WAY, f"one act at a time on an object: {what}")


def _release(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    del rails
    moving = [m for m in scene.history.moving if wish.target in m.bound]
    if not moving or wish.override:
        return None
    began = next((m for m in moving if _began_with(wish, m, scene)), None)
    if began is not None:
        words = f"it began with Release {began.name}, which has traffic: going back to the one before is the answer"
        return Obstacle(Reason.LEFT_TO_RELEASE, words)
    if ACTIONS[wish.action].makes_users_safe or wish.action is Action.NOTIFY:
        return None
    words = f"Release {moving[0].name} is being rolled out, and stands on this object: nothing is changed under it"
    return Obstacle(Reason.RELEASE_MOVING, words)


def _began_with(wish: Wish, moving: MovingRelease, scene: Scene) -> bool:
    """A policy that is younger than the rollout cannot tell: what it saw at first may have been there before."""
    if wish.since is None or not moving.has_traffic or wish.since < moving.started_at:
        return False
    return any(p.name == wish.policy and p.created_at <= moving.started_at for p in scene.policies)


def _floor(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.action is Action.NOTIFY:
        return None
    kind, _ = wish.target
    for policy, floor in rails.floors:
        well = scene.well.get((policy, kind), 0)
        if well < floor:
            words = f"{well} {kind.value}s of RecoveryPolicy {policy} are without symptoms, and its floor is {floor}"
            return Obstacle(Reason.BELOW_FLOOR, words)
    return None


def _cooling_down(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.action is Action.NOTIFY:
        return None
    acts = _others(wish, scene)
    last = past.last(acts)
    if last is None or (wish.goes_on and _is_of_incident(last, wish)):
        return None
    tries, ended = min(len(past.unhelpful(acts)), _MOST_DOUBLINGS), past.end_of(last)
    until = ended + timedelta(seconds=min(rails.max_cooldown_seconds, rails.cooldown_seconds * 2**tries))
    if scene.now >= until:
        return None
    words = f"the last act on this object ended at {when(ended)}; the next one may begin at {when(until)}"
    doubled = f", later for each of {count(tries, 'act')} that did not help" if tries else ""
    return Obstacle(Reason.COOLING_DOWN, f"{words}{doubled}", until)


def _is_of_incident(action: ActionView, wish: Wish) -> bool:
    of = action.spec.trigger
    return of is not None and (of.policy, of.symptom, of.since) == (wish.policy, wish.symptom, wish.since)


def _breaker(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.action is Action.NOTIFY:
        return None
    failed = past.unhelpful([a for a in _others(wish, scene) if a.spec.action is wish.action])
    last = past.last(failed)
    if last is None or len(failed) < rails.breaker_failures:
        return None
    until = past.end_of(last) + timedelta(seconds=rails.breaker_open_seconds)
    if scene.now >= until:
        return None
    words = f"{wish.action.value} did not help {len(failed)} times in a row; it is tried again at {when(until)}"
    return Obstacle(Reason.BREAKER_OPEN, words, until)


def _budget(wish: Wish, rails: Rails, scene: Scene) -> Obstacle | None:
    if wish.force or wish.action is Action.NOTIFY:
        return None
    acts = [a for a in scene.claimed if a.uid != wish.uid]
    here = [*(a.status.claimed_at for a in acts), *(scene.now for _ in scene.promised)]
    on_target = [a.status.claimed_at for a in acts if a.target == wish.target]
    for times, most, where in (
        (on_target, rails.per_target, "on this object"),
        (here, rails.per_namespace, "in this namespace"),
        ([*here, *scene.history.elsewhere], rails.cluster, "in the cluster"),
    ):
        if len(times) < most:
            continue  # whenever they were
        done = past.claims(times, scene.now)
        if len(done.at) >= most:
            free = done.free_at(most)
            then = f"; the next one may begin at {when(free)}" if free is not None else ""
            words = f"{count(most, 'act')} an hour {where} may be done, and not one more{then}"
            return Obstacle(Reason.BUDGET_SPENT, words, free)
    return None


def _others(wish: Wish, scene: Scene) -> list[ActionView]:
    return [a for a in past.acts_on(scene.on(wish.target), wish.target) if a.uid != wish.uid]


#: 2 to the power of more is longer than any cool-down that the API takes.
_MOST_DOUBLINGS: Final = 24
_Question = Callable[[Wish, Rails, Scene], Obstacle | None]
_HELD: Final[tuple[_Question, ...]] = (_paused, _quiet, _storm)
_QUESTIONS: Final[tuple[_Question, ...]] = (
    _mode, *_HELD, _under_way, _release, _floor, _cooling_down, _breaker, _budget,
)  # fmt: skip
