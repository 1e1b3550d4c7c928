"""What is remembered of parts of work."""

from __future__ import annotations

from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import (
    DeleteResult,
    DeleteTask,
    NamespaceCount,
    RequestsResult,
    RequestsTask,
    ScanResult,
    ScanTask,
    TaskFinding,
)
from sophia_operator.core.cache.views import Kept
from sophia_operator.core.cache.work.keeping import MOST, keep
from tests.support.cache_work_scene import at

LATE = CacheFailure(CacheFault.TIMEOUT, "too late")


def deleted(failure: CacheFailure | None = None, when: float = 0) -> TaskFinding:
    return TaskFinding(at(when), DeleteTask("0", (), (), 1, 1.0), DeleteResult("1", 0, 0, 1.0, failure), "run-1")


def scanned(cursor: str, result: ScanResult, run: str = "run-1") -> TaskFinding:
    return TaskFinding(at(0), ScanTask(cursor, (), 1, 1.0, 1.0), result, run)


def test_failures_are_counted_until_one_part_does_not_fail() -> None:
    kept = Kept()
    for failure, expected in ((LATE, 1), (LATE, 2), (None, 0), (LATE, 1)):
        kept = keep(kept, "flush", deleted(failure))
        assert kept.tasks["flush"].failures == expected


def test_a_part_of_requests_that_nobody_answers_failed() -> None:
    task, kept = RequestsTask("u", "b", 0, 1, 1.0), Kept()
    for answered, failed, expected in ((0, 3, 1), (0, 3, 2), (1, 3, 0), (0, 0, 0)):
        result = RequestsResult(1, 9, answered, failed, 1.0)
        kept = keep(kept, "warm:x", TaskFinding(at(0), task, result, ""))
        assert kept.tasks["warm:x"].failures == expected


def test_parts_of_one_scan_are_one() -> None:
    part = ScanResult("1", 10, 1.0, {"a": NamespaceCount(keys=5, idle={1: 10}, generations={"g1": 5})}, 5)
    kept = keep(Kept(), "scan", scanned("0", part))
    other = NamespaceCount(keys=7, evicted=2, idle={1: 1, 8: 2}, generations={"g1": 6, "g2": 1})
    kept = keep(kept, "scan", scanned("1", ScanResult(None, 20, 2.0, {"a": other, "b": NamespaceCount(keys=1)}, 4)))
    (merged,) = kept.scan
    assert (merged.cursor, merged.scanned, merged.seconds, merged.unclaimed) == (None, 30, 3.0, 9)
    added = NamespaceCount(keys=12, evicted=2, idle={1: 11, 8: 2}, generations={"g1": 11, "g2": 1})
    assert merged.namespaces == {"a": added, "b": NamespaceCount(keys=1)}


def test_another_scan_and_another_run_begin_anew() -> None:
    kept = keep(Kept(), "scan", scanned("0", ScanResult("1", 10, 1.0)))
    assert keep(kept, "scan", scanned("0", ScanResult("1", 7, 1.0))).scan[0].scanned == 7
    other = keep(kept, "scan", scanned("1", ScanResult(None, 7, 1.0), run="run-2"))
    assert (other.scan[0].scanned, other.scan_node) == (7, "run-2")


def test_the_oldest_are_forgotten() -> None:
    kept = Kept()
    for index in range(MOST + 5):
        kept = keep(kept, f"warm:s-{index}", deleted(when=index))
    assert len(kept.tasks) == MOST
    assert "warm:s-4" not in kept.tasks
    assert f"warm:s-{MOST + 4}" in kept.tasks
