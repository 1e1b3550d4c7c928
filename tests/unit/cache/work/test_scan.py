"""When keys are scanned, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_operator.api.cache_tier_status import CacheTierStatus, NamespaceStatus
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import NamespaceCount, ScanResult, ScanTask, TaskFinding
from sophia_operator.core.cache.views import Kept
from sophia_operator.core.cache.work.eviction import NO_IDLE_TIMES
from sophia_operator.core.cache.work.generations import numbers
from sophia_operator.core.cache.work.keeping import keep
from sophia_operator.core.cache.work.node import sight
from sophia_operator.core.cache.work.scan import ScanPlan, plan_scan
from tests.support.cache_work_scene import NAMESPACES, at, node, observed, spec, tier

MEBIBYTE = 1024 * 1024
LIMITED = [NAMESPACES["texts"] | {"maxMemoryMegabytes": 1}]
BOTH = [*LIMITED, NAMESPACES["images"]]
OVER = NamespaceCount(keys=200, sampled=100, sampled_bytes=MEBIBYTE, idle={64: MEBIBYTE // 2, 0: MEBIBYTE // 2})
LATE = CacheFailure(CacheFault.TIMEOUT, "too late")


def scanned(when: float = 0, **changes: Any) -> CacheTierStatus:
    """A scan is through."""
    entries = [
        NamespaceStatus(name=name, scanned_at=at(when), keys=400, without_ttl_keys=0) for name in ("texts", "images")
    ]
    values: dict[str, Any] = {"namespaces": entries, "scanned_at": at(when), "observed_generation": 1}
    return CacheTierStatus(primary="n-0", **{**values, **changes})


def decide(
    status: CacheTierStatus | None = None, kept: Kept | None = None, when: float = 1, **changes: Any
) -> ScanPlan:
    run = changes.pop("run", "run-1")
    view = tier(spec(**changes), status)
    return plan_scan(sight(view, observed(kept, found=node(run, keys=5000)), at(when)), numbers(view.status, view.spec))


def after(task: ScanTask | None, result: ScanResult, kept: Kept | None = None, when: float = 1) -> Kept:
    assert task is not None
    return keep(kept or Kept(), "scan", TaskFinding(at(when), task, result, "run-1"))


def through(**counts: NamespaceCount) -> ScanResult:
    return ScanResult(None, 10, 1.0, counts, 3)


def test_it_is_due_at_first_and_after_the_interval() -> None:
    first = decide().task
    assert first is not None
    assert (first.cursor, first.keys_per_second) == ("0", 100)
    waiting = decide(scanned(), when=10)
    assert (waiting.task, waiting.wait) == (None, 20)
    assert decide(scanned(), when=30).task is not None


def test_it_samples_about_as_many_keys_as_it_is_told_to() -> None:
    first = decide().task
    assert first is not None
    assert {rule.sample for rule in first.rules} == {100 / 5000}
    later = decide(scanned(), when=30).task
    assert later is not None
    assert {rule.sample for rule in later.rules} == {0.25}
    few = scanned(namespaces=[NamespaceStatus(name="texts", keys=3)])
    known = decide(few).task
    assert known is not None
    assert {rule.name: rule.sample for rule in known.rules} == {"texts": 1.0, "images": 100 / 5000}


def test_longer_prefixes_come_first() -> None:
    task = decide().task
    assert task is not None
    assert [rule.prefix for rule in task.rules] == ["emb2:", "emb:"]


def test_parts_are_added_up_once_it_is_through() -> None:
    task = decide().task
    kept = after(task, ScanResult("5", 8, 1.0, {"texts": NamespaceCount(keys=6, sampled=2, sampled_bytes=20)}, 2))
    going = decide(kept=kept)
    assert going.task is not None
    assert going.task.cursor == "5"
    assert going.scanned_at is None
    count = NamespaceCount(keys=4, without_ttl=2, ttls_given=1, sampled=3, sampled_bytes=80)
    kept = after(going.task, through(texts=count), kept, when=2)
    done = decide(kept=kept, when=3)
    texts, images = done.namespaces
    assert (texts.keys, texts.used_bytes, texts.without_ttl_keys, texts.ttls_given) == (10, 200, 2, 1)
    assert (images.keys, images.used_bytes, images.quota_percent) == (0, 0, None)
    assert (done.keys, done.unclaimed_keys, done.scanned_at, done.task) == (15, 5, at(2), None)
    again = decide(scanned(2, namespaces=list(done.namespaces)), kept, when=3)
    assert again.namespaces == done.namespaces
    assert again.wait == 29


def test_a_change_of_the_policy_begins_it_anew() -> None:
    kept = after(decide().task, through())
    assert decide(scanned(1), kept, when=2).task is None
    changed = [NAMESPACES["texts"] | {"ttlSeconds": 5}, NAMESPACES["images"]]
    begun = decide(scanned(1), kept, when=2, namespaces=changed)
    assert begun.task is not None
    assert {r.ttl_seconds for r in begun.task.rules} == {5, 3600}
    more = decide(scanned(1), when=2, namespaces=list(NAMESPACES.values()))
    assert more.task is not None


def test_after_a_restart_of_the_operator_a_change_meanwhile_is_heeded() -> None:
    assert decide(scanned(observed_generation=0), when=2).task is not None
    assert decide(scanned(observed_generation=1), when=2).task is None


def test_a_change_in_the_middle_begins_it_anew() -> None:
    kept = after(decide().task, ScanResult("5", 8, 1.0))
    begun = decide(kept=kept, namespaces=[NAMESPACES["texts"]]).task
    assert begun is not None
    assert (begun.cursor, len(begun.rules)) == ("0", 1)


def test_another_run_of_the_node_begins_it_anew() -> None:
    kept = after(decide().task, ScanResult("5", 8, 1.0))
    begun = decide(kept=kept, run="run-2").task
    assert begun is not None
    assert begun.cursor == "0"


def test_a_failure_is_said_and_tried_again_later() -> None:
    kept = after(decide().task, ScanResult("5", 8, 1.0, failure=LATE))
    waiting = decide(kept=kept, when=2)
    assert (waiting.task, waiting.wait) == (None, 4)
    assert waiting.why is not None
    assert "too late" in waiting.why[1]
    going = decide(kept=kept, when=6)
    assert going.task is not None
    assert going.task.cursor == "5"


def test_a_failure_never_ends_it() -> None:
    kept = after(decide().task, ScanResult(None, 8, 1.0, failure=LATE))
    going = decide(kept=kept, when=6)
    assert going.scanned_at is None
    assert going.task is not None
    assert going.task.cursor == "0"


def test_above_a_quota_the_next_one_comes_at_once_and_evicts() -> None:
    kept = after(decide(namespaces=LIMITED).task, through(texts=OVER))
    plan = decide(kept=kept, when=2, namespaces=LIMITED)
    assert plan.namespaces[0].quota_percent == 200
    assert plan.quota_why == {"texts": "its oldest entries are evicted next"}
    assert plan.task is not None
    rule = plan.task.rules[0]
    # 2 MiB, half of them idle for long: those go, and a part of the young to 0.9 MiB.
    assert (rule.evict_idle_seconds, rule.evict_bytes, rule.evict_share_bytes) == (0, 1_153_434, 104_858)
    assert rule.evict_share == pytest.approx(1.25 * 0.1)


def _evicting() -> tuple[ScanTask, Kept]:
    kept = after(decide(namespaces=LIMITED).task, through(texts=OVER))
    task = decide(kept=kept, when=2, namespaces=LIMITED).task
    assert task is not None
    return task, kept


def test_over_all_parts_no_more_is_evicted_than_has_to() -> None:
    task, kept = _evicting()
    gone = NamespaceCount(keys=9, evicted=100, evicted_bytes=1_000_000, evicted_share_bytes=100_000)
    kept = after(task, ScanResult("5", 8, 1.0, {"texts": gone}), kept, when=3)
    going = decide(scanned(1), kept, when=4, namespaces=LIMITED).task
    assert going is not None
    rule = going.rules[0]
    assert (rule.evict_idle_seconds, rule.evict_bytes, rule.evict_share_bytes) == (0, 153_434, 4_858)


def test_what_was_evicted_is_said() -> None:
    task, kept = _evicting()
    count = NamespaceCount(keys=90, evicted=110, sampled=90, sampled_bytes=MEBIBYTE // 2, idle={0: MEBIBYTE // 2})
    kept = after(task, through(texts=count), kept, when=3)
    done = decide(scanned(1), kept, when=4, namespaces=LIMITED)
    assert (done.namespaces[0].evicted, done.namespaces[0].quota_percent) == (110, 50)
    assert [n.reason for n in done.notices] == ["Evicted"]
    assert (done.task, done.quota_why) == (None, {})


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (replace(OVER, evicted=7), "7 keys were evicted, and it is written to faster"),
        (OVER, "none of its entries was idle for long enough"),
        (replace(OVER, idle={}), NO_IDLE_TIMES),
    ],
)
def test_above_its_quota_after_an_eviction_it_waits_and_says_why(count: NamespaceCount, says: str) -> None:
    task, kept = _evicting()
    kept = after(task, through(texts=count), kept, when=3)
    done = decide(scanned(1), kept, when=4, namespaces=LIMITED)
    assert says in done.quota_why["texts"]
    assert (done.task, done.wait) == (None, 29)
    then = decide(scanned(3), kept, when=40, namespaces=LIMITED).task
    assert then is not None
    assert then.rules[0].evict_idle_seconds is None, "it measures first"


def _ttls(plan: ScanPlan) -> dict[str, bool]:
    assert plan.task is not None
    return {rule.name: rule.gives_ttls for rule in plan.task.rules}


def test_where_something_may_have_to_go_ttls_wait_for_the_next_scan() -> None:
    first = decide(namespaces=BOTH)
    assert _ttls(first) == {"texts": False, "images": True}, "a TTL makes a key young"
    kept = after(first.task, through(texts=replace(OVER, without_ttl=1)))
    assert _ttls(decide(kept=kept, when=2, namespaces=BOTH)) == {"texts": True, "images": True}
    # However late that is, and although nothing has to go.
    for count in (replace(OVER, without_ttl=1), NamespaceCount(keys=1, without_ttl=1, sampled=1, sampled_bytes=9)):
        kept = after(first.task, through(texts=count))
        late = decide(scanned(1), kept, when=90, namespaces=BOTH)
        assert _ttls(late) == {"texts": True, "images": True}


def test_where_nothing_waits_for_a_ttl_no_scan_follows() -> None:
    kept = after(decide(namespaces=LIMITED).task, through(texts=NamespaceCount(keys=1, sampled=1, sampled_bytes=9)))
    assert decide(scanned(1), kept, when=2, namespaces=LIMITED).task is None


@pytest.mark.parametrize(("percent", "waits"), [(50, False), (90, False), (91, True), (150, True)])
def test_ttls_wait_where_the_quota_is_nearly_used_up(percent: int, waits: bool) -> None:
    entries = [NamespaceStatus(name="texts", scanned_at=at(0), used_bytes=MEBIBYTE * percent // 100)]
    plan = decide(scanned(namespaces=entries), when=40, namespaces=LIMITED)
    assert _ttls(plan)["texts"] is not waits


def test_what_it_found_long_ago_evicts_nothing() -> None:
    kept = after(decide(namespaces=LIMITED).task, through(texts=OVER))
    late = decide(scanned(1), kept, when=90, namespaces=LIMITED).task
    assert late is not None
    assert late.rules[0].evict_idle_seconds is None


def test_in_a_pause_nothing_is_scanned_and_figures_stay() -> None:
    plan = decide(scanned(), when=99, paused=True)
    assert plan.task is None
    assert plan.why is not None
    assert [n.keys for n in plan.namespaces] == [400, 400]


def test_without_a_primary_it_waits() -> None:
    plan = decide(CacheTierStatus())
    assert plan.task is None
    assert plan.why is not None
