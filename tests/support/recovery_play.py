"""Plays: what happens in a namespace, drawn step by step, by Hypothesis or by a random number."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from sophia_operator.api.recovery_policy import PauseRequest
from sophia_operator.api.recovery_values import SYMPTOM_KINDS, Action, Mode, Symptom, TargetKind
from sophia_operator.core.recovery.views import PolicyView, TargetKey
from tests.support import recovery_scene
from tests.support.recovery_world import Mind, World, world

T = TypeVar("T")


class Pick(Protocol):
    """Chooses one of several."""

    def __call__(self, options: Sequence[T], /) -> T: ...


_POOLS: Final[tuple[TargetKey, ...]] = tuple((TargetKind.CONNECTION_POOL, n) for n in ("orders", "users", "carts"))
_TIER: Final[TargetKey] = (TargetKind.CACHE_TIER, "hot")
_ALL: Final = (*_POOLS, _TIER)
_LOST, _SLOW, _MEMORY = Symptom.CONNECTION_LOST, Symptom.SLOW_QUERIES, Symptom.HIGH_MEMORY
_LADDERS: Final = {
    _LOST: (("Reconnect", "Notify"), ("Reconnect",)),
    _SLOW: (("CancelStatement", "LimitConnections", "Notify"), ("CancelStatement", "RefreshPlans")),
    _MEMORY: (("PurgeMemory", "FlushNamespace", "Notify"), ("PurgeMemory", "Notify")),
}
_WAITS: Final = (1, 5, 12, 31, 61, 121, 301, 700, 1900, 3601)
#: In calm, so many looks of loops that look by themselves.
_MOST_LOOKS: Final = 250


def policy(name: str, pick: Pick) -> PolicyView:
    """A policy."""
    times = {"forSeconds": pick((30, 0)), "clearSeconds": pick((20, 0))}
    rules = []
    for symptom, ladders in _LADDERS.items():
        steps = [{"action": action, "timeoutSeconds": 60} for action in pick(ladders)]
        rules.append(recovery_scene.rule(symptom.value, *steps, **times))
    cooldown = pick((0, 60, 300))
    return recovery_scene.policy(
        name,
        *rules,
        targets=[{"kind": "ConnectionPool"}, {"kind": "CacheTier"}],
        mode=pick(("Auto", "Auto", "Auto", "Auto", None, "Approve", "DryRun")),
        iUnderstand="DeletesData",
        budget={"perTarget": pick((3, 1, 10)), "perNamespace": pick((4, 2, 10)), "cluster": pick((5, 3, 20))},
        cooldownSeconds=cooldown,
        maxCooldownSeconds=max(cooldown, pick((600, 200))),
        breaker={"failures": pick((2, 1, 3)), "openSeconds": pick((900, 4000))},
        storm={"maxTargetsPercent": pick((74, 100, 100, 49)), "minTargets": 2, "cooldownSeconds": pick((100, 0))},
        stableSeconds=pick((10, 0)),
        floor=pick((0, 0, 0, 0, 1, 2)),
        quietWindows=[{"start": "14:00", "end": "14:20"}] if pick((False, True)) else [],
    )


def play(pick: Pick, mind: Mind, steps: int = 14) -> World:
    """Everything may happen; the rules are asked at each step. In the end all is calm, and every incident ends."""
    chosen = {"a": (policy("a", pick), _ALL)}
    if pick((False, False, True)):
        chosen["b"] = (policy("b", pick), pick((_ALL, _POOLS, _POOLS[:2])))
    scene = world(mind, chosen)
    for _ in range(steps):
        for _ in range(pick((1, 1, 2))):
            pick(_HAPPENINGS)(scene, pick)
        scene.settle()
        scene.now += timedelta(seconds=_wait(scene, pick))
        scene.settle()
    calm(scene)
    return scene


def _wait(scene: World, pick: Pick) -> float:
    """Some time, or just until somebody looks again, or as good as."""
    due = scene.due()
    exact = [] if due is None else [due, due, due, max(0.001, due - 0.5)]
    return pick((*exact, *_WAITS))


def calm(scene: World) -> None:
    """Nobody holds anything any more, and the time goes by from look to look."""
    scene.moving.clear()
    scene.crashes = False
    for name in scene.policies:
        scene.change(name, pause_requests=[], quiet_windows=[])
    for _ in range(_MOST_LOOKS):
        scene.answer(True)
        scene.settle()
        due = scene.due()
        if due is None and not scene.awaits():
            break
        scene.now += timedelta(seconds=due or 1)
    for view in scene.policies.values():
        for incident in view.status.symptoms:
            scene.rules.ended(incident, tuple(scene.actions.values()))


def _target(pick: Pick) -> tuple[TargetKey, Symptom]:
    target = pick(_ALL)
    return target, pick([s for s in _LADDERS if target[0] in SYMPTOM_KINDS[s]])


def _breaks(scene: World, pick: Pick) -> None:
    key = _target(pick)
    scene.signs[key] = True
    scene.cures.pop(key, None)
    cure = pick((None, *_LADDERS[key[1]][0]))
    if cure is not None and cure != "Notify":
        scene.cures[key] = Action(cure)


def _mends(scene: World, pick: Pick) -> None:
    scene.signs[_target(pick)] = False


def _mends_all(scene: World, pick: Pick) -> None:
    kept = pick((None, *_ALL))
    for target, symptom in scene.signs:
        if target != kept:
            scene.signs[target, symptom] = False


def _is_slow(scene: World, pick: Pick) -> None:
    """Actions are made, and not looked at before something else happens."""
    scene.now += timedelta(seconds=pick((31, 1)))
    scene.only_decide()
    pick((_breaks_all, _pauses, _changes_mode, _releases, _mends, _cannot_be_told))(scene, pick)


def _breaks_all(scene: World, pick: Pick) -> None:
    symptom = pick((_LOST, _SLOW))
    for target in _POOLS:
        scene.signs[target, symptom] = True


def _cannot_be_told(scene: World, pick: Pick) -> None:
    scene.signs[_target(pick)] = None


def _crashes(scene: World, pick: Pick) -> None:
    scene.crashes = True
    if pick((True, False)):
        scene.settle()
        scene.lose(pick(sorted(scene.policies)))


def _asks(scene: World, pick: Pick) -> None:
    target = pick(_ALL)
    action = Action.RECONNECT if target in _POOLS else Action.PURGE_MEMORY
    force = pick((False, True))
    scene.ask(target, action, force=force, override="all is lost" if force and pick((False, True)) else None)


def _answers(scene: World, pick: Pick) -> None:
    scene.answer(pick((True, False)))


def _pauses(scene: World, pick: Pick) -> None:
    until = pick((None, scene.now + timedelta(seconds=200)))
    requests = pick(([PauseRequest(who="eve", why="I look", until=until)], []))
    scene.change(pick(sorted(scene.policies)), pause_requests=requests)


def _changes_mode(scene: World, pick: Pick) -> None:
    scene.change(pick(sorted(scene.policies)), mode=pick((Mode.AUTO, Mode.AUTO, Mode.OFF, Mode.APPROVE, Mode.DRY_RUN)))


def _releases(scene: World, pick: Pick) -> None:
    if pick((True, False)):
        scene.release(pick((_POOLS[:1], _ALL)), traffic=pick((True, False)))
    else:
        scene.moving.clear()


def _acts_elsewhere(scene: World, pick: Pick) -> None:
    scene.elsewhere += [scene.now] * pick((1, 3))


_HAPPENINGS: Final[tuple[Callable[[World, Pick], None], ...]] = (
    _breaks, _breaks, _breaks, _breaks, _breaks, _mends, _mends, _mends_all, _is_slow, _is_slow, _cannot_be_told,
    _crashes, _asks, _answers, _pauses, _changes_mode, _releases, _acts_elsewhere,
)  # fmt: skip


_PARTS: Final = (
    "recovery.quiet", "recovery.past", "recovery.track", "recovery.modes", "recovery.storm", "recovery.memory",
    "recovery.ladder", "recovery.names", "recovery.rails", "recovery.scene", "recovery.guards", "recovery.cases",
    "recovery.answers", "recovery.policy_status", "recovery.decide", "recovery.action.before",
    "recovery.action.after", "recovery.action.advance",
)  # fmt: skip


@contextmanager
def mind(wrong: str, old: str, new: str) -> Iterator[Mind]:
    """The engine anew, with `new` instead of `old` in the source of one of its modules."""
    names = {part: f"sophia_operator.core.{part}" for part in _PARTS}
    right = {part: sys.modules[name] for part, name in names.items()}
    packages = {name: sys.modules[name.rpartition(".")[0]] for name in names.values()}
    assert wrong in names, f"{wrong} is no module of the engine"
    made: dict[str, Any] = {}
    try:
        for part, name in names.items():
            path = str(right[part].__file__)
            found = importlib.util.spec_from_file_location(name, path)
            assert found is not None
            made[part] = sys.modules[name] = importlib.util.module_from_spec(found)
            source = Path(path).read_text(encoding="utf-8")
            if part == wrong:
                assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times in {name}"
                source = source.replace(old, new)
            exec(compile(source, path, "exec"), made[part].__dict__)
            setattr(packages[name], name.rpartition(".")[2], made[part])
        yield Mind(made["recovery.decide"].decide, made["recovery.action.advance"].advance_action)
    finally:
        for part, name in names.items():
            sys.modules[name] = right[part]
            setattr(packages[name], name.rpartition(".")[2], right[part])
