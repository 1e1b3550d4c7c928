"""Warm-ups of releases' own generations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.cache_tier_status import CacheTierStatus, WarmUpPhase, WarmUpStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import CopyResult, CopyTask, RequestsResult, RequestsTask, TaskFinding
from sophia_operator.core.cache.views import BoundRelease, Kept, Load
from sophia_operator.core.cache.work.generations import numbers
from sophia_operator.core.cache.work.node import sight
from sophia_operator.core.cache.work.warm import WarmPlan, plan_warm_ups
from sophia_operator.core.decision import EventType
from tests.support.cache_work_scene import at, node, observed, spec, tier

BLUE = BoundRelease("shop-6", "shop", 6, False, None)
GREEN = BoundRelease("shop-7", "shop", 7, True, 6, "http://shop-green:80")
PREFIXES = (("emb:g1r6:", "emb:g1r7:"), ("emb2:g1r6:", "emb2:g1r7:"))
URL = "https://lists/urls"
HTTP: dict[str, Any] = {"warmUp": {"source": "HttpList", "httpList": {"url": URL}, "maxPerSecond": 100}}
LATE = CacheFailure(CacheFault.TIMEOUT, "too late")


def warming(**changes: Any) -> CacheTierStatus:
    values: dict[str, Any] = {
        "release": "shop-7", "phase": WarmUpPhase.RUNNING, "percent": 10, "cursor": "7", "node": "run-1", "warmed": 5,
        "started_at": at(0),
    }  # fmt: skip
    return CacheTierStatus(primary="n-0", warm_ups=[WarmUpStatus(**{**values, **changes})])


def decide(
    status: CacheTierStatus | None = None,
    kept: Kept | None = None,
    releases: tuple[BoundRelease, ...] = (BLUE, GREEN),
    when: float = 2,
    run: str = "run-1",
    **changes: Any,
) -> WarmPlan:
    view = tier(spec(**changes), status)
    seen = sight(view, observed(kept, *releases, found=node(run)), at(when))
    return plan_warm_ups(seen, numbers(view.status, view.spec))


def copied(result: CopyResult, cursor: str = "7", failures: int = 0, run: str = "run-1", when: float = 1) -> Kept:
    task = CopyTask(cursor, PREFIXES, 100, 1.0)
    return Kept(tasks={"warm:shop-7": TaskFinding(at(when), task, result, run, failures)})


def asked(result: RequestsResult, first: int = 7, failures: int = 0) -> Kept:
    task = RequestsTask(URL, "http://shop-green:80", first, 100, 1.0)
    return Kept(tasks={"warm:shop-7": TaskFinding(at(1), task, result, "", failures)})


def test_it_copies_from_the_release_before() -> None:
    plan = decide()
    assert plan.tasks == {"warm:shop-7": CopyTask("0", PREFIXES, 100, 1.0)}
    assert [(w.release, w.phase, w.node) for w in plan.warm_ups] == [("shop-7", WarmUpPhase.RUNNING, "run-1")]
    assert plan.why is not None
    assert plan.why[0] is Reason.WARMING_UP


def test_it_goes_on_at_its_cursor_and_counts_a_part_once() -> None:
    kept = copied(CopyResult("9", 20, 4, 1.0, 0.42))
    plan = decide(warming(), kept)
    known = plan.warm_ups[0]
    assert (known.cursor, known.percent, known.warmed) == ("9", 42, 9)
    assert plan.tasks["warm:shop-7"] == CopyTask("9", PREFIXES, 100, 1.0)
    assert decide(CacheTierStatus(primary="n-0", warm_ups=[known]), kept).warm_ups[0] == known


def test_it_is_done_at_the_end() -> None:
    plan = decide(warming(), copied(CopyResult(None, 20, 4, 1.0, 1.0)))
    done = plan.warm_ups[0]
    assert (done.phase, done.percent, done.warmed, done.ended_at) == (WarmUpPhase.DONE, 100, 9, at(2))
    assert plan.tasks == {}
    assert [n.reason for n in plan.notices] == ["Warmed"]
    again = decide(CacheTierStatus(primary="n-0", warm_ups=[done]))
    assert (again.tasks, again.notices, again.warm_ups) == ({}, (), (done,))


@pytest.mark.parametrize(
    "kept",
    [
        copied(CopyResult(None, 20, 4, 1.0, 1.0), cursor="6"),
        copied(CopyResult(None, 20, 4, 1.0, 1.0), run="run-0"),
        copied(CopyResult(None, 20, 4, 1.0, 1.0), when=-1),
        copied(CopyResult(None, 0, 0, 1.0, 0.0, LATE)),
    ],
)
def test_other_parts_do_not_count(kept: Kept) -> None:
    known = decide(warming(), kept).warm_ups[0]
    assert (known.phase, known.cursor, known.warmed) == (WarmUpPhase.RUNNING, "7", 5)


def test_with_another_run_of_the_node_it_starts_over() -> None:
    plan = decide(warming(), copied(CopyResult(None, 20, 4, 1.0, 1.0)), run="run-2")
    assert plan.tasks["warm:shop-7"] == CopyTask("0", PREFIXES, 100, 1.0)
    assert (plan.warm_ups[0].node, plan.warm_ups[0].percent) == ("run-2", 0)


def test_when_generations_are_raised_it_starts_over() -> None:
    status = warming()
    raised = status.model_copy(update={"first_generation": 2})
    plan = decide(raised, copied(CopyResult("9", 20, 4, 1.0, 0.4)))
    task = plan.tasks["warm:shop-7"]
    assert isinstance(task, CopyTask)
    assert (task.cursor, task.prefixes[0]) == ("0", ("emb:g2r6:", "emb:g2r7:"))


@pytest.mark.parametrize("release", [BoundRelease("shop-7", "shop", 7, True, before) for before in (None, 7)])
def test_nothing_to_copy_is_done_and_said(release: BoundRelease) -> None:
    plan = decide(releases=(release,))
    done = plan.warm_ups[0]
    assert (done.phase, done.percent, done.message) == (WarmUpPhase.DONE, 100, "there is nothing to copy")
    assert plan.tasks == {}


def test_a_part_that_failed_is_tried_again_later_and_not_for_ever() -> None:
    failed = CopyResult("7", 0, 0, 1.0, 0.0, LATE)
    waiting = decide(warming(), copied(failed, failures=1))
    assert (waiting.tasks, waiting.wait) == ({}, 4)
    assert "too late" in waiting.warm_ups[0].message
    assert decide(warming(), copied(failed, failures=4), when=50).tasks != {}
    ended = decide(warming(), copied(failed, failures=5), when=50)
    assert (ended.warm_ups[0].phase, ended.tasks) == (WarmUpPhase.FAILED, {})
    assert "too late" in ended.warm_ups[0].message
    assert ended.notices[0].type is EventType.WARNING
    assert ended.why is not None
    assert ended.why[0] is Reason.WARM_UP_FAILED


def test_it_is_held_while_its_release_has_traffic_the_tier_is_paused_or_the_origin_is_busy() -> None:
    serving = BoundRelease("shop-7", "shop", 7, False, 6)
    busy = Kept(load=Load(at(1), 90.0))
    for plan in (
        decide(warming(), releases=(BLUE, serving)),
        decide(warming(), paused=True),
        decide(warming(), busy, origin={"query": "load"}),
    ):
        assert plan.tasks == {}
        assert (plan.warm_ups[0].phase, plan.warm_ups[0].cursor) == (WarmUpPhase.PAUSED, "7")
        assert plan.warm_ups[0].message
    held = warming(phase=WarmUpPhase.PAUSED, message="the tier is paused")
    assert decide(held).warm_ups[0].phase is WarmUpPhase.RUNNING


def test_a_pause_for_the_origin_ends_once_it_is_clearly_less_busy() -> None:
    origin = {"query": "load"}
    held = decide(warming(), Kept(load=Load(at(1), 90.0)), origin=origin).warm_ups
    status = CacheTierStatus(primary="n-0", warm_ups=list(held))
    assert decide(status, Kept(load=Load(at(1), 84.0)), origin=origin).tasks == {}
    assert decide(status, Kept(load=Load(at(1), 70.0)), origin=origin).tasks != {}


@pytest.mark.parametrize("phase", [WarmUpPhase.FAILED, WarmUpPhase.DONE, WarmUpPhase.RUNNING])
def test_a_release_that_is_tried_again_is_warmed_anew(phase: WarmUpPhase) -> None:
    known = warming(phase=phase, percent=40, started_at=at(1))
    again = decide(known, releases=(BLUE, replace(GREEN, started_at=at(2))), when=3)
    anew = WarmUpStatus(release="shop-7", phase=WarmUpPhase.RUNNING, started_at=at(3), node="run-1")
    assert again.warm_ups == (anew,)
    assert again.tasks == {"warm:shop-7": CopyTask("0", PREFIXES, 100, 1.0)}
    same = decide(known, releases=(BLUE, replace(GREEN, started_at=at(1))), when=3).warm_ups[0]
    assert (same.started_at, same.phase, same.percent) == (at(1), phase, 40)
    # Not before it has pods.
    early = decide(known, releases=(BLUE, replace(GREEN, warming=False, started_at=at(2))), when=3)
    assert (early.warm_ups[0].started_at, early.tasks) == (at(1), {})


def test_those_of_releases_that_are_gone_are_forgotten() -> None:
    assert decide(warming(), releases=(BLUE,)).warm_ups == ()
    assert decide(warming(), warmUp=None).warm_ups == ()


def test_there_are_never_more_than_the_status_holds() -> None:
    there = tuple(BoundRelease(f"s{i}-7", f"s{i}", 7, True, 6) for i in range(12))
    plan = decide(releases=there)
    assert len(plan.warm_ups) == 8
    served = (BoundRelease("s3-7", "s3", 7, False, 6), *(r for r in there if r.name != "s3-7"))
    names = {
        w.release for w in decide(CacheTierStatus(primary="n-0", warm_ups=list(plan.warm_ups)), None, served).warm_ups
    }
    assert "s3-7" not in names
    assert "s8-7" in names
    assert len(names) == 8


def test_requests_are_sent_from_a_list() -> None:
    plan = decide(**HTTP)
    assert plan.tasks == {"warm:shop-7": RequestsTask(URL, "http://shop-green:80", 0, 100, 1.0)}
    going = decide(warming(), asked(RequestsResult(17, 40, 9, 1, 1.0)), **HTTP)
    known = going.warm_ups[0]
    assert (known.cursor, known.percent, known.total, known.warmed, known.failed) == ("17", 42, 40, 14, 1)
    assert going.tasks["warm:shop-7"] == RequestsTask(URL, "http://shop-green:80", 17, 100, 1.0)


def test_requests_need_no_primary_but_an_address() -> None:
    status = CacheTierStatus()
    assert decide(status, **HTTP).tasks != {}
    nowhere = decide(status, releases=(BoundRelease("shop-7", "shop", 7, True, 6),), **HTTP)
    assert nowhere.tasks == {}
    assert "address" in nowhere.warm_ups[0].message
    assert "primary" in decide(status).warm_ups[0].message


def test_some_requests_may_fail_but_not_all() -> None:
    done = decide(warming(), asked(RequestsResult(None, 40, 30, 3, 1.0)), **HTTP).warm_ups[0]
    assert (done.phase, done.percent, done.failed) == (WarmUpPhase.DONE, 100, 3)
    none = warming(warmed=0)
    failed = decide(none, asked(RequestsResult(None, 40, 0, 33, 1.0)), **HTTP).warm_ups[0]
    assert (failed.phase, failed.percent) == (WarmUpPhase.FAILED, 10)
    empty = decide(none, asked(RequestsResult(None, 0, 0, 0, 1.0)), **HTTP).warm_ups[0]
    assert empty.phase is WarmUpPhase.DONE


def test_another_list_starts_over() -> None:
    other: dict[str, Any] = {"warmUp": {"source": "HttpList", "httpList": {"url": "https://lists/other"}}}
    task = decide(warming(), asked(RequestsResult(17, 40, 9, 1, 1.0)), **other).tasks["warm:shop-7"]
    assert isinstance(task, RequestsTask)
    assert task.first == 0
