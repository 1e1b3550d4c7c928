"""A flush is done once for each name, part by part."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.cache_flush import Flush
from sophia_operator.api.cache_tier_status import CacheTierStatus, FlushPhase, FlushStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import DeleteResult, DeleteTask, TaskFinding
from sophia_operator.core.cache.views import Kept, Load, TierView
from sophia_operator.core.cache.work.flush import FlushPlan, plan_flush
from sophia_operator.core.cache.work.generations import numbers
from sophia_operator.core.cache.work.node import sight
from sophia_operator.core.decision import EventType
from tests.support.cache_work_scene import at, node, observed, spec, tier

ONE = {"name": "one", "namespaceName": "texts", "keysPerSecond": 50}


def view(flush: dict[str, Any] | None = None, status: CacheTierStatus | None = None, **changes: Any) -> TierView:
    return tier(spec(flush=flush or ONE, **changes), status)


def decide(view: TierView, kept: Kept | None = None, when: float = 1, run: str = "run-1") -> FlushPlan:
    return plan_flush(sight(view, observed(kept, found=node(run)), at(when)), numbers(view.status, view.spec))


def running(**changes: Any) -> CacheTierStatus:
    values: dict[str, Any] = {
        "name": "one", "what": "namespace texts", "phase": FlushPhase.RUNNING, "patterns": ["emb:*"], "node": "run-1",
        "cursor": "7", "scanned": 20, "deleted": 10, "keys_per_second": 50, "started_at": at(0),
    }  # fmt: skip
    return CacheTierStatus(primary="n-0", flush=FlushStatus(**{**values, **changes}))


def part(result: DeleteResult, cursor: str = "7", run: str = "run-1", failures: int = 0, name: str = "one") -> Kept:
    task = DeleteTask(cursor, ("emb:*",), ("emb:",), 50, 1.0, name=name)
    return Kept(tasks={"flush": TaskFinding(at(1), task, result, run, failures)})


def test_it_begins_at_the_beginning() -> None:
    plan = decide(view())
    assert plan.task == DeleteTask("0", ("emb:*",), ("emb:",), 50, 1.0, name="one")
    assert plan.flush is not None
    assert (plan.flush.phase, plan.flush.node, plan.flush.cursor) == (FlushPhase.RUNNING, "run-1", None)
    assert [n.reason for n in plan.notices] == ["Flushing"]


def test_it_goes_on_at_the_cursor_after_a_restart_of_the_operator() -> None:
    plan = decide(view(status=running()))
    assert plan.task is not None
    assert plan.task.cursor == "7"
    assert plan.notices == ()


def test_what_a_part_did_counts_once() -> None:
    known = part(DeleteResult("9", 5, 4, 1.0))
    plan = decide(view(status=running()), known)
    assert plan.flush is not None
    assert (plan.flush.cursor, plan.flush.scanned, plan.flush.deleted) == ("9", 25, 14)
    again = decide(view(status=CacheTierStatus(primary="n-0", flush=plan.flush)), known)
    assert again.flush == plan.flush


def test_it_is_done_with_figures() -> None:
    plan = decide(view(status=running()), part(DeleteResult(None, 5, 4, 1.0)))
    assert plan.flush is None
    assert plan.task is None
    done = plan.flushes[-1]
    assert (done.phase, done.scanned, done.deleted, done.ended_at, done.cursor) == (
        FlushPhase.DONE, 25, 14, at(1), None
    )  # fmt: skip
    assert plan.why(Flush.model_validate(ONE)) == (
        Reason.FLUSHED, "flush one (namespace texts): 14 keys are gone, of 25 looked at"
    )  # fmt: skip


@pytest.mark.parametrize(
    "kept",
    [
        part(DeleteResult(None, 5, 4, 1.0), cursor="6"),
        part(DeleteResult(None, 5, 4, 1.0), run="run-0"),
        part(DeleteResult(None, 5, 4, 1.0), name="another"),
        part(DeleteResult(None, 5, 4, 1.0, CacheFailure(CacheFault.TIMEOUT, "late"))),
    ],
)
def test_other_parts_do_not_count(kept: Kept) -> None:
    plan = decide(view(status=running()), kept)
    assert plan.flush is not None
    assert (plan.flush.cursor, plan.flush.scanned) == ("7", 20)


def test_with_another_run_of_the_node_it_starts_over() -> None:
    plan = decide(view(status=running()), part(DeleteResult(None, 5, 4, 1.0)), run="run-2")
    assert plan.task is not None
    assert plan.task.cursor == "0"
    assert plan.flush is not None
    assert (plan.flush.node, plan.flush.scanned) == ("run-2", 20)


def test_without_a_primary_it_waits_and_says_so() -> None:
    status = running().model_copy(update={"primary": None})
    plan = decide(view(status=status), part(DeleteResult(None, 5, 4, 1.0)))
    assert plan.task is None
    assert plan.flush is not None
    assert plan.flush.message == "waits for a primary"


def test_a_part_that_failed_is_tried_again_later() -> None:
    kept = part(DeleteResult("7", 0, 0, 1.0, CacheFailure(CacheFault.TIMEOUT, "too late")), failures=2)
    plan = decide(view(status=running()), kept, when=3)
    assert plan.task is None
    assert plan.wait == 8
    assert plan.flush is not None
    assert "too late" in plan.flush.message
    assert decide(view(status=running()), kept, when=11).task is not None


def test_a_name_is_done_once() -> None:
    ended = FlushStatus(name="one", what="x", phase=FlushPhase.STOPPED, started_at=at(0), ended_at=at(0))
    plan = decide(view(status=CacheTierStatus(primary="n-0", flushes=[ended])))
    assert (plan.flush, plan.task, plan.notices) == (None, None, ())


def test_the_history_is_bounded() -> None:
    old = [FlushStatus(name=f"f{i}", what="x", phase=FlushPhase.DONE, started_at=at(0)) for i in range(10)]
    status = running().model_copy(update={"flushes": old})
    plan = decide(view(status=status), part(DeleteResult(None, 5, 4, 1.0)))
    assert [f.name for f in plan.flushes] == [f"f{i}" for i in range(1, 10)] + ["one"]


def test_a_refused_one_deletes_nothing_and_is_said() -> None:
    wish = {"name": "one", "generation": "g1"}
    plan = decide(view(wish))
    assert plan.task is None
    assert plan.flushes[-1].phase is FlushPhase.REFUSED
    assert plan.notices[-1].type is EventType.WARNING
    why = plan.why(Flush.model_validate(wish))
    assert why is not None
    assert why[0] is Reason.FLUSH_REFUSED
    assert "in use" in why[1]


def test_one_that_never_began_can_be_stopped() -> None:
    plan = decide(view(ONE | {"stop": True}))
    assert (plan.task, plan.flushes[-1].phase) == (None, FlushPhase.STOPPED)


def test_one_with_another_scope_is_another_flush() -> None:
    plan = decide(view({"name": "one", "namespaceName": "images"}, running()))
    assert plan.task is None
    assert plan.flushes[-1].phase is FlushPhase.STOPPED
    assert "another name" in plan.flushes[-1].message


def test_the_rate_may_change_as_it_runs() -> None:
    plan = decide(view(ONE | {"keysPerSecond": 7}, running()))
    assert plan.task is not None
    assert plan.task.keys_per_second == 7


def test_a_namespace_that_has_another_prefix_now_is_left_alone() -> None:
    moved = [{"name": "texts", "prefix": "other"}]
    plan = decide(view(status=running(), namespaces=moved))
    assert plan.task is None
    assert plan.flushes[-1].phase is FlushPhase.STOPPED


def test_in_a_pause_it_does_not_even_begin() -> None:
    wish = ONE | {"kind": "Generation"}
    plan = decide(view(wish, paused=True))
    assert plan.numbers == {"texts": 1, "images": 1}
    assert plan.flush is not None
    assert (plan.flush.phase, plan.flush.patterns, plan.task) == (FlushPhase.PAUSED, [], None)
    status = CacheTierStatus(primary="n-0", flush=plan.flush)
    held = decide(view(wish, status, paused=True), when=2)
    assert held.flush == plan.flush
    after = decide(view(wish, status), when=2)
    assert after.numbers == {"texts": 2, "images": 1}
    assert after.flush is not None
    assert after.flush.started_at == at(2)
    assert after.task is not None
    assert after.task.patterns == ("emb:g1[:r]*",)


def test_a_busy_origin_pauses_it_and_later_it_goes_on() -> None:
    origin = {"query": "load"}
    busy = decide(view(status=running(), origin=origin), Kept(load=Load(at(1), 90.0)))
    assert busy.task is None
    assert busy.flush is not None
    assert (busy.flush.phase, busy.flush.cursor) == (FlushPhase.PAUSED, "7")
    assert busy.why(None) is not None
    status = CacheTierStatus(primary="n-0", flush=busy.flush)
    assert decide(view(status=status, origin=origin), Kept(load=Load(at(1), 84.0))).task is None
    after = decide(view(status=status, origin=origin), Kept(load=Load(at(1), 20.0)))
    assert after.task is not None
    assert (after.task.cursor, after.task.keys_per_second) == ("7", 50)


def test_a_generation_is_raised_at_once_however_busy_the_origin_is() -> None:
    plan = decide(view(ONE | {"kind": "Generation"}, origin={"query": "load"}), Kept(load=Load(at(1), 90.0)))
    assert plan.numbers == {"texts": 2, "images": 1}
    assert plan.task is None


def test_in_memory_a_new_generation_is_all() -> None:
    wish = ONE | {"kind": "Generation"}
    plan = decide(tier(spec(level="Memory", redis=None, warmUp=None, flush=wish)))
    assert plan.numbers == {"texts": 2, "images": 1}
    assert (plan.flush, plan.task, plan.flushes[-1].phase) == (None, None, FlushPhase.DONE)


def test_everything_goes_by_one_command() -> None:
    plan = decide(view({"name": "all", "flushAll": "tier"}))
    assert plan.task == DeleteTask("0", ("*",), (), 2000, 1.0, everything=True, name="all")
