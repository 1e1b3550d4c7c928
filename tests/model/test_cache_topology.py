"""Nodes of a Redis level on every way that Hypothesis finds: one accepts writes at a time, and it ends as it should.

Rules are judged in `tests.support.cache_topology_world`, and a write is tried at every process all the time.
"""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cache_nodes import FULL_SYNC, TICK
from tests.support.cache_topology_world import Pod, World

EXAMPLES: Final = int(os.environ.get("CACHE_MODEL_EXAMPLES", "60"))
#: From when on nothing goes wrong any more, it comes to rest in so long: a roll of four nodes, with hand-overs that are
#: tried again, and a node that is waited for.
REST_SECONDS: Final = 150.0

_NODE = st.integers(0, 3)
_TIME = st.sampled_from([TICK, 0.3, 0.7, 1.5, 3.0, FULL_SYNC, 6.0, 9.0, 14.0, 40.0])
#: What somebody wants, or what happens to the operator: nothing of that loses a write.
PLANNED: Final = st.one_of(
    st.tuples(st.just("roll"), st.none()),
    st.tuples(st.just("scale"), st.integers(1, 3)),
    st.tuples(st.just("drain"), st.just("primary")),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("crash"), st.integers(1, 3)),
    st.tuples(st.just("unanswered"), st.integers(1, 4)),
    st.tuples(st.just("lost"), st.integers(1, 4)),
    st.tuples(st.just("labels"), st.integers(1, 3)),
    st.tuples(st.just("slow"), _NODE),
    st.tuples(st.just("heal"), st.none()),
    st.tuples(st.just("pause"), st.booleans()),
)
FAULTS: Final = st.one_of(
    PLANNED,
    st.tuples(st.just("kill"), st.one_of(_NODE, st.just("primary"))),
    st.tuples(st.just("kill"), st.just("primary")),
    st.tuples(st.just("drain"), _NODE),
    st.tuples(st.just("cut"), st.tuples(st.one_of(_NODE, st.just("primary")), st.booleans(), st.booleans())),
    st.tuples(st.just("cut"), st.tuples(st.just("primary"), st.just(True), st.just(True))),
    st.tuples(st.just("part"), st.tuples(_NODE, _NODE)),
    st.tuples(st.just("freeze"), st.one_of(_NODE, st.just("primary"))),
    st.tuples(st.just("takeover"), st.integers(1, 2)),
    st.tuples(st.just("replicas"), st.integers(0, 3)),
)


_KNOBS: Final = {
    "scale": "replicas",
    "replicas": "replicas",
    "crash": "crashes",
    "unanswered": "unanswered",
    "lost": "lost_commands",
    "labels": "lost_labels",
    "pause": "paused",
}


def _steps(events: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[tuple[str, Any], float]]]:
    return st.lists(st.tuples(events, _TIME), max_size=14)


def _which(world: World, which: Any) -> Pod | None:
    return world.primary() if which == "primary" else world.pod(which)


def happens(world: World, what: str, value: Any) -> None:
    """One thing happens."""
    if what in _KNOBS:
        setattr(world, _KNOBS[what], value)
    elif what == "roll":
        world.template += 1
    elif what == "restart":
        world.restart()
    elif what == "heal":
        world.heal()
    elif what == "takeover":
        world.net.lose_takeovers = value
    elif what == "part":
        world.faulted = True
        world.net.cuts.add(frozenset(f"machine-{i}" for i in value))
    else:
        _happens_to(world, _which(world, value[0] if what == "cut" else value), what, value)


def _happens_to(world: World, pod: Pod | None, what: str, value: Any) -> None:
    if pod is None or pod.process is None:
        return
    if what == "drain":
        world.delete(pod)
    elif what == "kill":
        world.kill(pod)
    elif what == "cut":
        world.cut(int(pod.name[-1]), operator=value[1], nodes=value[2])
    elif what == "freeze":
        world.faulted = pod.process.frozen = True
    else:
        pod.process.slow = True


def rests(world: World) -> None:
    """Nothing goes wrong any more: it must end, soon, and as it should."""
    world.heal()
    world.paused = False
    world.run(REST_SECONDS)
    world.judge_rest()
    assert world.status.primary in world.pods


SETTINGS: Final = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SETTINGS
@given(replicas=st.integers(1, 3), keeps=st.booleans(), steps=_steps(PLANNED))
def test_planned_changes_lose_nothing(replicas: int, keeps: bool, steps: list[Any]) -> None:
    world = World(replicas, keeps)
    world.run(12)
    for (what, value), seconds in steps:
        happens(world, what, value)
        world.run(seconds)
    rests(world)


@SETTINGS
@given(replicas=st.integers(0, 3), keeps=st.booleans(), early=st.booleans(), steps=_steps(FAULTS))
def test_whatever_happens_one_node_accepts_writes(replicas: int, keeps: bool, early: bool, steps: list[Any]) -> None:
    world = World(replicas, keeps)
    world.run(1 if early else 12)
    for (what, value), seconds in steps:
        happens(world, what, value)
        world.run(seconds)
    rests(world)
