"""Work on the keys of a tier, whatever happens meanwhile: no rule is broken, and in the end all of it is done."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_operator.api.cache_tier_status import FlushPhase, WarmUpPhase
from sophia_operator.core.cache.findings import ScanTask
from sophia_operator.core.cache.views import BoundRelease
from tests.support.cache_work_scene import NAMESPACES
from tests.support.cache_work_world import MEBIBYTE, World

ORIGIN: Final = {"query": "load", "slowAbovePercent": 60, "pauseAbovePercent": 85}
PREFIXES: Final = (
    "emb:g1:", "emb:g2:", "emb:g1r6:", "emb:g1r7:", "emb:g10:", "emb:", "emb2:g1:", "emb2:g1r6:", "a.b:c:g1:", "a.b:",
    "axb:c:g1:", "other:", "embg1:",
)  # fmt: skip
FLUSHES: Final[tuple[dict[str, Any], ...]] = (
    {"namespaceName": "texts"},
    {"namespaceName": "users"},
    {"tag": "model"},
    {"tag": "nobody"},
    {"namespaceName": "images", "kind": "Generation"},
    {"tag": "slow", "kind": "Generation"},
    {"pattern": "emb:*doc-1*"},
    {"pattern": "emb2:g1:*7*"},
    {"pattern": "emb2*:*"},
    {"pattern": "other:*"},
    {"generation": "g1"},
    {"generation": "g1r6"},
    {"flushAll": "tier"},
)
EVENTS: Final = st.one_of(
    st.tuples(st.just("fill"), st.sampled_from(PREFIXES), st.integers(1, 60)),
    st.tuples(st.just("use"), st.sampled_from(PREFIXES), st.none()),
    st.tuples(st.just("flush"), st.sampled_from(["f1", "f2", "f3"]), st.sampled_from(FLUSHES)),
    st.tuples(st.just("stop"), st.none(), st.none()),
    st.tuples(st.just("unflush"), st.none(), st.none()),
    st.tuples(st.just("paused"), st.booleans(), st.none()),
    st.tuples(st.just("namespaces"), st.sets(st.sampled_from(sorted(NAMESPACES))), st.sampled_from([None, 1])),
    st.tuples(st.just("load"), st.sampled_from([None, 10.0, 61.0, 70.0, 84.0, 84.9, 90.0]), st.none()),
    st.tuples(st.just("origin"), st.booleans(), st.none()),
    st.tuples(st.just("node"), st.none(), st.none()),
    st.tuples(st.just("restart"), st.none(), st.none()),
    st.tuples(st.just("up"), st.booleans(), st.none()),
    st.tuples(st.just("failing"), st.integers(1, 7), st.none()),
    st.tuples(st.just("refused"), st.integers(1, 3), st.none()),
    st.tuples(st.just("release"), st.integers(6, 9), st.booleans()),
    st.tuples(st.just("gone"), st.none(), st.none()),
    st.tuples(st.just("run"), st.sampled_from([0.5, 1.0, 2.5, 6.0, 40.0]), st.none()),
)


def apply(world: World, what: str, one: Any, other: Any) -> None:
    if what == "fill":
        world.fill(one, other, size=1000)
    elif what == "flush":
        world.flush(one, **other)
    elif what == "stop" and world.spec.flush is not None:
        world.wish(flush=world.spec.flush.to_dict() | {"stop": True})
    elif what == "unflush":
        world.wish(flush=None)
    elif what == "paused":
        world.wish(paused=one)
    elif what == "namespaces":
        world.wish(namespaces=[NAMESPACES[name] | ({"maxMemoryMegabytes": other} if other else {}) for name in one])
    elif what == "origin":
        world.wish(origin=ORIGIN if one else None)
    elif what == "node":
        world.another_node()
    elif what == "release":
        world.releases = tuple(r for r in world.releases if r.revision != one)
        world.releases += (BoundRelease(f"shop-{one}", "shop", one, other, one - 1),)
    elif what == "gone":
        world.releases = world.releases[1:]
    else:
        {"use": world.use, "restart": lambda _: world.restart(), "run": world.run}.get(
            what, lambda value: setattr(world, what, value)
        )(one)


def calm(world: World) -> None:
    """Nothing is in the way any more."""
    world.load, world.up, world.failing, world.refused = 0.0, True, 0, 0
    world.wish(paused=False)
    world.settle(200)


def judge_rest(world: World) -> None:
    """Everything is done, figures are right, and nothing is written any more but what scans find."""
    assert world.status.flush is None
    if world.spec.flush is not None:
        assert world.spec.flush.name in [f.name for f in world.status.flushes]
    for warm_up in world.status.warm_ups:
        there = next(r for r in world.releases if r.name == warm_up.release)
        assert not there.warming or warm_up.phase in (WarmUpPhase.DONE, WarmUpPhase.FAILED)
    figures = {n.name: n for n in world.status.namespaces}
    assert list(figures) == [n.name for n in world.spec.namespaces]
    for namespace in world.spec.namespaces:
        keys = [k for k in world.keys.entries if k.startswith(f"{namespace.prefix}:")]
        assert figures[namespace.name].keys == len(keys)
        assert all(world.keys.entries[k].ttl is not None for k in keys)
        if namespace.max_memory_megabytes is not None:
            assert world.used(namespace.prefix) <= namespace.max_memory_megabytes * MEBIBYTE
    assert world.status.keys == len(world.keys.entries)
    before, scans = world.writes, _scans(world)
    world.run(40)
    assert world.writes - before <= _scans(world) - scans + 1


def _scans(world: World) -> int:
    return sum(isinstance(task, ScanTask) and task.cursor == "0" for _, _, task in world.begun)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=30))
def test_no_rule_is_broken_whatever_happens(events: list[tuple[str, Any, Any]]) -> None:
    world = World()
    for event in events:
        apply(world, *event)
        world.run(1.0)
    calm(world)
    judge_rest(world)


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 150), st.integers(1, 6), st.lists(st.integers(0, 150), max_size=3), st.booleans())
def test_quotas_are_kept(number: int, kilobytes: int, used: list[int], restarts: bool) -> None:
    """However large entries are, and whichever of them were used."""
    world = World()
    world.wish(namespaces=[NAMESPACES["texts"] | {"maxMemoryMegabytes": 1}, NAMESPACES["images"]])
    world.fill("emb:g1:", number, size=kilobytes * 10_000)
    world.fill("emb2:g1:", number, size=kilobytes * 10_000)
    for first in used:
        world.run(5)
        world.use(f"emb:g1:doc-{first}")
    world.run(6)
    if restarts:
        world.restart()
    world.run(100)
    assert world.used("emb") <= MEBIBYTE
    assert world.used("emb2") == number * kilobytes * 10_000
    assert world.last is not None
    assert world.last.quota_why == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=20, max_size=60))
def test_a_flush_gets_through_however_the_load_goes(loads: list[float]) -> None:
    world = World()
    world.wish(origin=ORIGIN)
    world.fill("emb:g1:", 300)
    world.flush("f", namespaceName="texts")
    for load in loads:
        world.load = load
        world.run(1)
    world.load = 20.0
    world.run(30)
    assert [f.phase for f in world.status.flushes] == [FlushPhase.DONE]
    assert world.used("emb") == 0
