"""What happens to a namespace whose loops run in any order, drawn step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from sophia_operator.api.recovery_policy import PauseRequest
from sophia_operator.api.recovery_policy_status import Verdict
from sophia_operator.api.recovery_values import Action, Mode, Symptom, TargetKind
from sophia_operator.core.recovery.views import PolicyView, TargetKey
from tests.support import recovery_scene as scene
from tests.support.recovery_loops import KINDS, Loops, Patient
from tests.support.recovery_play import Pick
from tests.support.recovery_world import Mind

_KEYS: Final[tuple[TargetKey, ...]] = (scene.ORDERS, scene.USERS, scene.HOT, scene.CHAT)
_LADDERS: Final = {
    Symptom.CONNECTION_LOST: (("Reconnect", "Notify"), ("Notify", "Reconnect")),
    Symptom.SLOW_QUERIES: (
        ("RefreshPlans", "LimitConnections", "LimitConnections"),
        ("CancelStatement", "RefreshPlans"),
    ),
    Symptom.HIGH_MEMORY: (("PurgeMemory", "FlushNamespace"), ("FlushNamespace", "PurgeMemory", "Notify")),
    Symptom.MODEL_TIMEOUT: (("SwitchModel", "Notify"), ("SwitchModel",)),
    Symptom.POD_CRASH_LOOP: (("RestartPod", "Notify"), ("RestartPod",)),
}
_HOW: Final = ("helps", "helps", "does nothing", "makes worse", "hangs", "refuses", "fails")
_SECONDS: Final = (0.5, 3, 11, 31, 59.5, 61, 301, 1900, 3601)
#: Waits that time alone does not end, and their reasons.
_WAITS: Final = frozenset(
    {"BelowFloor", "StormActive", "SymptomUnknown", "InvalidSpec", "ActUnderWay", "AwaitingApproval"}
)
_MOST_LOOKS: Final = 200


def policy(name: str, pick: Pick) -> PolicyView:
    """A policy for everything."""
    rules = [
        scene.rule(
            symptom.value, *({"action": a, "timeoutSeconds": 60} for a in pick(ladders)), forSeconds=pick((0, 20)),
            clearSeconds=pick((0, 20)),
        )
        for symptom, ladders in _LADDERS.items()
    ]  # fmt: skip
    return scene.policy(
        name,
        *rules,
        targets=[{"kind": kind} for kind in ("ConnectionPool", "CacheTier", "ModelRoute")],
        mode=pick((Mode.AUTO, Mode.AUTO, Mode.AUTO, Mode.AUTO, Mode.APPROVE, None)),
        iUnderstand="DeletesData",
        budget={"perTarget": pick((10, 10, 2)), "perNamespace": pick((20, 20, 3)), "cluster": 30},
        cooldownSeconds=pick((0, 60)),
        breaker={"failures": pick((3, 1)), "openSeconds": pick((600, 4000))},
        storm={"maxTargetsPercent": pick((100, 100, 60)), "minTargets": 2, "cooldownSeconds": 60},
        stableSeconds=pick((10, 0, 30)),
        floor=pick((0, 0, 1)),
    )


def play(pick: Pick, mind: Mind, steps: int = 60) -> Loops:
    """Loops run, or something happens, or time goes by; in the end all that can end has ended."""
    chosen = {name: policy(name, pick) for name in pick((("a",), ("a",), ("a", "b")))}
    patients = {
        key: Patient(key, {s: False for s in KINDS[key[0]] if s is not Symptom.POD_CRASH_LOOP}) for key in _KEYS
    }
    world = Loops(mind, chosen, patients)
    breaks(world, pick)
    for _ in range(steps):
        pick(_STEPS)(world, pick)
    calm(world)
    return world


def calm(world: Loops) -> None:
    """Nobody holds anything any more, everybody answers, and the time goes by from look to look."""
    world.operator_ends()
    world.moving.clear()
    for name in world.policies:
        world.change(name, pause_requests=[])
    for patient in world.patients.values():
        patient.there = True
    for _ in range(_MOST_LOOKS):
        world.settle()
        answered = [world.answer(name, yes=True) for name in world.actions]
        due = world.due()
        if due is None and not any(answered):
            break
        if any(answered):
            continue
        assert due is not None
        world.now += timedelta(seconds=due)
    else:
        raise AssertionError("it does not come to rest")
    _ended(world)


def _ended(world: Loops) -> None:
    for view in world.policies.values():
        for incident in view.status.symptoms:
            world.rules.ended(incident, tuple(world.actions.values()))
            if incident.verdict is Verdict.OVER and world.signs()[(incident.kind, incident.name), incident.symptom]:
                raise AssertionError(f"{incident.name} {incident.symptom} is there, and over")
    for action in world.actions.values():
        if not action.status.phase.is_over:
            (ready,) = [c for c in action.status.conditions if c.type == "Ready"]
            if action.status.claimed_at is not None or ready.reason not in _WAITS:
                raise AssertionError(f"{action.name} stays {action.status.phase}, {ready.reason}, for ever")


def breaks(world: Loops, pick: Pick) -> None:
    """Something is wrong."""
    patient = world.patients[pick(_KEYS)]
    symptom = pick(KINDS[patient.key[0]])
    patient.how = pick(_HOW)
    if symptom is Symptom.POD_CRASH_LOOP:
        world.crash_pod(patient.key)
    else:
        patient.signs[symptom] = True


def _mends(world: Loops, pick: Pick) -> None:
    patient = world.patients[pick(_KEYS)]
    patient.signs = dict.fromkeys(patient.signs, pick((False, False, None)))
    patient.pods = []


def _feels(world: Loops, pick: Pick) -> None:
    world.patients[pick(_KEYS)].well = pick((True, False, None))


def _policy_loop(world: Loops, pick: Pick) -> None:
    world.look(pick(sorted(world.policies)))


def _action_loop(world: Loops, pick: Pick) -> None:
    if world.actions:
        world.go_on(pick(sorted(world.actions)), ends=pick((False, False, True)))


def _target_loop(world: Loops, pick: Pick) -> None:
    world.treat(pick(_KEYS), ends=pick((False, False, False, True)))


def _all_loops(world: Loops, pick: Pick) -> None:
    del pick
    world.settle()


def _time(world: Loops, pick: Pick) -> None:
    due = world.due()
    exact: Sequence[float] = [due, due, due, max(0.001, due - 0.5)] if due is not None else []
    world.now += timedelta(seconds=pick((*exact, *_SECONDS)))


def _operator_ends(world: Loops, pick: Pick) -> None:
    world.operator_ends()
    if pick((False, True)):
        world.lose(pick(sorted(world.policies)))


def _asks(world: Loops, pick: Pick) -> None:
    key = pick(_KEYS)
    action = {
        TargetKind.CONNECTION_POOL: Action.RECONNECT,
        TargetKind.CACHE_TIER: Action.FLUSH_NAMESPACE,
        TargetKind.MODEL_ROUTE: Action.SWITCH_MODEL,
    }[key[0]]
    how: dict[str, Any] = pick(
        ({}, {"force": True}, {"force": True, "overrideReason": "all is lost"}, {"approvalRequired": True})
    )
    world.ask(key, action, **how)


def _answers(world: Loops, pick: Pick) -> None:
    if world.actions:
        world.answer(pick(sorted(world.actions)), pick((True, True, False)))


def _deletes(world: Loops, pick: Pick) -> None:
    """A person deletes an action that is not in hand."""
    names = [name for name, a in world.actions.items() if a.status.claimed_at is None]
    if names:
        del world.actions[pick(sorted(names))]


def _changes(world: Loops, pick: Pick) -> None:
    name = pick(sorted(world.policies))
    pause = PauseRequest(who="eve", why="I look", until=pick((None, world.now + timedelta(seconds=100))))
    changes: Sequence[dict[str, Any]] = (
        *({"mode": mode} for mode in Mode),
        {"pause_requests": [pause]},
        {"pause_requests": []},
    )
    world.change(name, **pick(changes))


def _goes(world: Loops, pick: Pick) -> None:
    patient = world.patients[pick(_KEYS)]
    patient.there = not patient.there


def _releases(world: Loops, pick: Pick) -> None:
    if pick((True, False)):
        world.release(pick((_KEYS[:1], _KEYS)), traffic=pick((True, False)))
    else:
        world.moving.clear()


_OFTEN: Final = (
    *[_policy_loop] * 6, *[_action_loop] * 8, *[_target_loop] * 6, *[_all_loops] * 2, *[_time] * 6, *[breaks] * 2,
)  # fmt: skip
_SELDOM: Final = (
    _mends, _mends, _feels, _operator_ends, _asks, _asks, _answers, _answers, _deletes, _changes, _goes, _releases,
)  # fmt: skip
_STEPS: Final[tuple[Callable[[Loops, Pick], None], ...]] = (*_OFTEN, *_OFTEN, *_SELDOM)
