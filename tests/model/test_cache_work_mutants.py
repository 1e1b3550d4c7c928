"""Planners of work on keys that are wrong on purpose: each breaks a rule on a way that the right one gets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import pytest

from sophia_operator.api.cache_tier_status import FlushPhase, WarmUpPhase
from sophia_operator.core.cache.findings import DeleteTask
from sophia_operator.core.cache.views import BoundRelease
from sophia_operator.core.cache.work import (
    eviction,
    flush,
    generations,
    keeping,
    pace,
    patterns,
    plan,
    scan,
    scope,
    warm,
)
from tests.support.cache_work_scene import NAMESPACES
from tests.support.cache_work_world import MEBIBYTE, BrokenError, World

ORIGIN: Final = {"query": "load", "slowAbovePercent": 60, "pauseAbovePercent": 85}
LIMITED: Final = [NAMESPACES["texts"] | {"maxMemoryMegabytes": 1}, NAMESPACES["images"]]


def _phases(world: World) -> list[FlushPhase]:
    return [f.phase for f in world.status.flushes]


def _tasks(world: World, kind: str) -> list[Any]:
    return [task for _, k, task in world.begun if k == kind]


def two_of_the_same(world: World) -> None:
    """A namespace is flushed, filled again, and flushed again. The first flush is still named a while."""
    for name in ("one", "two", "three"):
        world.fill("emb:g1:", 30)
        world.flush(name, namespaceName="texts")
        world.run(60)
        assert [f.name for f in world.status.flushes][-1:] == [name]
        assert world.used("emb") == 0
        world.fill("emb:g1:", 10)
        world.run(5)
        assert world.used("emb") > 0, f"{name} goes on"


def another_primary(world: World) -> None:
    """In the middle of a flush another node becomes the primary."""
    world.fill("emb:g1r6:", 300)
    world.flush("f", pattern="emb:g1r6:doc-1*")
    world.run(5)
    world.another_node()
    world.run(30)
    assert _phases(world) == [FlushPhase.DONE]


def another_primary_in_a_warm_up(world: World) -> None:
    """The same in the middle of a warm-up."""
    world.fill("emb:g1r6:", 300)
    world.run(20)
    world.warm(BoundRelease("shop-7", "shop", 7, True, 6))
    world.run(3)
    world.another_node()
    world.run(30)
    assert [w.phase for w in world.status.warm_ups] == [WarmUpPhase.DONE]


def warms(world: World) -> None:
    """A new release's generation is filled."""
    world.fill("emb:g1r6:", 150)
    world.fill("emb2:g1r6:", 150)
    world.warm(BoundRelease("shop-7", "shop", 7, True, 6))
    world.run(40)
    assert [(w.phase, w.percent, w.warmed) for w in world.status.warm_ups] == [(WarmUpPhase.DONE, 100, 300)]


def busy(world: World) -> None:
    """The origin is busier and busier, then nobody knows, and then it is at rest."""
    world.wish(origin=ORIGIN)
    world.fill("emb:g1:", 600)
    world.flush("f", namespaceName="texts")
    for load in (20.0, 61.0, 70.0, 80.0, 86.0, None, 99.0, 10.0):
        world.load = load
        world.run(6)
    world.run(20)
    assert _phases(world) == [FlushPhase.DONE]


def wavers(world: World) -> None:
    """The load wavers about the thresholds."""
    world.wish(origin=ORIGIN)
    world.fill("emb:g1:", 3000)
    world.load = 84.0
    world.flush("f", namespaceName="texts")
    world.run(3)
    seen = []
    for index in range(40):
        world.load = 84.0 if index % 2 else 86.0
        world.run(1)
        assert world.status.flush is not None
        seen.append(world.status.flush.phase)
    assert len([1 for one, other in pairwise(seen) if one is not other]) <= 1, "it flutters"


def by_generation(world: World) -> None:
    """Generations are flushed. Keys of others are there, with names that are like theirs."""
    for start in ("emb:g1:", "emb:g1r7:", "emb:g10:", "emb:g2:", "emb:g12r1:", "emb2:g1:", "emb:x:", "other:g1:"):
        world.fill(start, 10)
    world.flush("one", namespaceName="texts", kind="Generation")
    world.run(0.5)
    assert world.status.namespaces[0].generation == 2, "it is not at once"
    world.run(40)
    world.flush("two", generation="g1")
    world.run(20)
    assert _phases(world) == [FlushPhase.DONE, FlushPhase.REFUSED]
    world.wish(namespaces=[NAMESPACES["texts"]])
    world.flush("three", generation="g1")
    world.fill("emb:g1:", 5)
    world.run(20)
    assert _phases(world)[2] is FlushPhase.DONE
    assert {key.rpartition(":")[0] for key in world.keys.entries} == {
        "emb:g10", "emb:g2", "emb:g12r1", "emb2:g1", "emb:x", "other:g1"
    }  # fmt: skip


def of_releases(world: World) -> None:
    """Generations that releases have; one of them is still there, and another is not."""
    world.fill("emb:g1r6:", 10)
    world.fill("emb:g1r61:", 10)
    world.releases = (BoundRelease("shop-61", "shop", 61, False, None),)
    world.flush("one", generation="g1r61")
    world.run(20)
    world.flush("two", generation="g1r6")
    world.run(20)
    assert _phases(world) == [FlushPhase.REFUSED, FlushPhase.DONE]
    assert len(world.keys.entries) == 10


def a_release_comes_back(world: World) -> None:
    """As a generation is flushed, a release comes that has it."""
    world.fill("emb:g1r6:", 400)
    world.flush("one", generation="g1r6")
    world.run(3)
    world.releases = (BoundRelease("shop-6", "shop", 6, False, None),)
    world.run(20)
    assert _phases(world) == [FlushPhase.STOPPED]


def comes_back(world: World) -> None:
    """A namespace that was flushed by generation is taken out of the spec, and comes back."""
    world.flush("one", namespaceName="texts", kind="Generation")
    world.run(20)
    world.flush("none", pattern="emb2:g1:x*")
    world.wish(namespaces=[NAMESPACES["images"]])
    world.run(20)
    world.wish(namespaces=[NAMESPACES["texts"], NAMESPACES["images"]])
    world.run(20)
    assert [(n.name, n.generation) for n in world.status.namespaces] == [("texts", 2), ("images", 1)], "reads again"


def stops(world: World) -> None:
    """A flush is told to stop, one is taken out of the spec, and one gives way to another."""
    world.fill("emb:g1:", 900)
    world.flush("one", namespaceName="texts")
    world.run(3)
    world.wish(flush={"name": "one", "namespaceName": "texts", "stop": True})
    world.run(5)
    world.flush("two", namespaceName="texts")
    world.run(3)
    world.wish(flush=None)
    world.run(1.5)
    assert world.status.flush is None, "it is not stopped"
    left = len(world.keys.entries)
    world.run(5)
    assert len(world.keys.entries) == left, "it goes on"
    world.flush("three", namespaceName="texts")
    world.run(3)
    world.flush("four", namespaceName="images")
    world.run(60)
    assert _phases(world) == [FlushPhase.STOPPED] * 3 + [FlushPhase.DONE]


def pauses(world: World) -> None:
    """The tier is paused in the middle of all work."""
    world.fill("emb:g1:", 600)
    world.flush("one", namespaceName="texts")
    world.run(3)
    world.wish(paused=True)
    world.run(40)
    assert world.status.flush is not None
    assert world.status.flush.phase is FlushPhase.PAUSED
    world.wish(paused=False)
    world.run(60)
    assert _phases(world) == [FlushPhase.DONE]


def quota(world: World) -> None:
    """A namespace is above its quota; most of its entries were written at the same time."""
    world.wish(namespaces=LIMITED)
    world.fill("emb:g1:", 120, size=10_000)
    world.fill("emb2:g1:", 60, size=10_000)
    world.run(10)
    world.use("emb:g1:doc-11")
    world.run(40)
    assert 0.75 * MEBIBYTE <= world.used("emb") <= MEBIBYTE, world.used("emb")
    assert world.used("emb2") == 600_000


def counts(world: World) -> None:
    """A scan has many parts, and the policy changes in the middle of one."""
    world.fill("emb:g1:", 250)
    world.fill("emb2:g1:", 70)
    world.fill("a.b:c:g1:", 40)
    world.run(2)
    world.wish(namespaces=list(NAMESPACES.values()))
    world.run(12)
    assert [(n.name, n.keys) for n in world.status.namespaces] == [("texts", 250), ("images", 70), ("users", 40)]
    assert {e.ttl for k, e in world.keys.entries.items() if k.startswith("a.b:c:")} == {60}


def fails(world: World) -> None:
    """Parts fail for a while."""
    world.fill("emb:g1:", 100)
    world.failing = 1000
    world.flush("one", namespaceName="texts")
    world.run(60)
    assert 3 <= len(_tasks(world, "flush")) <= 8, "it is not tried at a pace"
    assert world.status.flush is not None
    assert "closed in the middle" in world.status.flush.message
    assert world.last is not None
    assert world.last.scan_why is not None
    world.failing = 0
    world.run(100)
    assert _phases(world) == [FlushPhase.DONE]


SCRIPTS: Final = (
    two_of_the_same, another_primary, another_primary_in_a_warm_up, warms, busy, wavers, by_generation, of_releases,
    a_release_comes_back, comes_back, stops, pauses, quota, counts, fails,
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """What is wrong, and on which way it shows."""

    what: str
    script: Callable[[World], None]
    module: Any
    name: str
    wrong: Any
    says: str


_plan_flush, _plan_scan, _plan_warm_ups = flush.plan_flush, scan.plan_scan, warm.plan_warm_ups
_end, _is_of = flush._end, flush._is_of


def _any_part_is_its_own(current: Any, finding: Any) -> Any:
    task = finding.task
    return isinstance(task, DeleteTask) and _is_of(current, replace(finding, task=replace(task, name=current.name)))


def _with_status(sight: Any, **changes: Any) -> Any:
    return replace(sight, tier=replace(sight.tier, status=sight.tier.status.model_copy(update=changes)))


def _flush_keeps_its_cursor(sight: Any, numbers: Any) -> Any:
    current = sight.tier.status.flush
    if current is not None and current.node is not None and sight.node is not None:
        sight = _with_status(sight, flush=current.model_copy(update={"node": sight.node.run_id}))
    return _plan_flush(sight, numbers)


def _warm_up_keeps_its_cursor(sight: Any, numbers: Any) -> Any:
    run = None if sight.node is None else sight.node.run_id
    known = [w.model_copy(update={"node": run}) if w.node else w for w in sight.tier.status.warm_ups]
    return _plan_warm_ups(_with_status(sight, warm_ups=known), numbers)


def _never_stops(sight: Any, numbers: Any) -> Any:
    spec = sight.tier.spec
    if spec.flush is not None:
        spec = spec.model_copy(update={"flush": spec.flush.model_copy(update={"stop": False})})
    return _plan_flush(replace(sight, tier=replace(sight.tier, spec=spec)), numbers)


def _not_paused(planner: Any) -> Any:
    def wrong(sight: Any, numbers: Any) -> Any:
        spec = sight.tier.spec.model_copy(update={"paused": False})
        return planner(replace(sight, tier=replace(sight.tier, spec=spec)), numbers)

    return wrong


def _forgets_the_flush(*args: Any) -> Any:
    ended = _end(*args)
    return replace(ended, flushes=ended.flushes[:-1])


def _raises_twice(numbers: Any, flushed: Any) -> Any:
    return {name: number + 2 * (name in flushed) for name, number in numbers.items()}


def _not_checked_again(plan_: Any, current: Any, wish: Any, sight: Any) -> Any:
    return scope.Scope(patterns=tuple(current.patterns), allowed=("emb:", "emb2:"))


def _keeps_the_last_part(kept: Any, finding: Any) -> Any:
    return replace(kept, scan=(finding.result,), scan_node=finding.node)


def _older_without_an_end(prefix: str, number: int) -> Any:
    return tuple(f"{prefix}:g{digits}*" for digits in patterns._below(number))


MUTANTS: Final = (
    Mutant("takes parts of another flush", two_of_the_same, flush, "_is_of", _any_part_is_its_own, "left"),
    Mutant("does a flush again", two_of_the_same, flush, "_end", _forgets_the_flush, "begins again"),
    Mutant("keeps a cursor of another run", another_primary, plan, "plan_flush", _flush_keeps_its_cursor, "left"),
    Mutant(
        "keeps a warm-up's cursor of another run", another_primary_in_a_warm_up, plan, "plan_warm_ups",
        _warm_up_keeps_its_cursor, "misses",
    ),
    Mutant("warms from nowhere", warms, warm, "key_prefix", lambda p, n, r: f"{p}:g{n + 1}r{r}:", "misses"),
    Mutant("goes on at any load", busy, pace, "_step", lambda *_: 10, "too fast"),
    Mutant("goes on a little at any load", busy, pace, "_step", lambda _, p: 10 if p < 60 else 1, "at a load of"),
    Mutant("falls too late", busy, pace, "_step", lambda _, p: 10 if p < 75 else 0, "too fast"),
    Mutant("takes no answer for no load", busy, pace, "known", lambda f, _: (f and f.percent) or 0.0, "a tenth"),
    Mutant("follows each move of the load", wavers, pace, "MARGIN_PERCENT", 0.0, "flutters"),
    Mutant("takes g10 for g1", by_generation, scope, "older_than", _older_without_an_end, "nobody asked"),
    Mutant("takes g1r61 for g1r6", of_releases, scope, "of_generation", lambda p, g: f"{p}:{g}*", "nobody asked"),
    Mutant("takes emb2 for emb", by_generation, scope, "older_than", lambda p, _: (f"{p}*:g1*",), ""),
    Mutant("raises by two", by_generation, flush, "raised", _raises_twice, "goes from 1 to 3"),
    Mutant("raises nothing", by_generation, flush, "raised", lambda numbers, _: numbers, "not at once"),
    Mutant("does not care who uses it", of_releases, scope, "in_use", lambda *_: {}, "in use"),
    Mutant("does not look again", a_release_comes_back, flush, "_still", _not_checked_again, "in use"),
    Mutant("forgets numbers", comes_back, generations, "first_generation", lambda _: 1, "reads again"),
    Mutant("does not stop", stops, plan, "plan_flush", _never_stops, "not stopped"),
    Mutant("goes on when taken out", stops, flush, "_ended_by_spec", lambda p, *_: p, "not stopped"),
    Mutant("flushes in a pause", pauses, plan, "plan_flush", _not_paused(_plan_flush), "in a pause"),
    Mutant("scans in a pause", pauses, plan, "plan_scan", _not_paused(_plan_scan), "in a pause"),
    Mutant("does not share", busy, plan, "shared", lambda rate, _: rate, "too fast"),
    Mutant("evicts without a limit", quota, eviction, "ceil", lambda _: 10**9, "more of texts"),
    Mutant("evicts never", quota, scan, "_evictions", lambda *_: {}, ""),
    Mutant("goes down to the quota by half", quota, eviction, "GOAL", 0.5, "more of texts"),
    Mutant("counts the last part alone", counts, keeping, "_scanned", _keeps_the_last_part, ""),
    Mutant("goes on by the old policy", counts, scan, "_same_policy", lambda *_: True, ""),
    Mutant("tries again at once", fails, flush, "retry_seconds", lambda _: 0.0, "at a pace"),
)  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
def test_the_planner_gets_through(script: Callable[[World], None]) -> None:
    world = World()
    script(world)
    assert world.begun, "nothing was worked on, so nothing was judged"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_wrong_planner_breaks_a_rule(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutant.module, mutant.name, mutant.wrong)
    with pytest.raises((BrokenError, AssertionError)) as broken:
        mutant.script(World())
    assert mutant.says in str(broken.value)
