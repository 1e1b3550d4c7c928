"""What is done with the table of a tier, and what its status says."""

from __future__ import annotations

import pytest

from sophia_operator.api.cache_tier_status import FlushPhase, NamespaceStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.core.cache.table import TableTask, TableWork
from tests.support.cache_table_world import MEBIBYTE, World


def _of(world: World, name: str) -> NamespaceStatus:
    return next(n for n in world.status.namespaces if n.name == name)


def _tasks(world: World, work: TableWork) -> list[TableTask]:
    return [task for _, task in world.begun if task.work is work]


def _flush(world: World, **scope: object) -> World:
    return world.wish(flush={"name": "f1", "keysPerSecond": 50, **scope})


def test_a_sweep_takes_what_expired_and_gives_ttls_part_by_part() -> None:
    world = World().fill("emb:g1:old", 250, namespace="embeddings", expires=-1)
    world.fill("ses:g1:", 130, namespace="sessions", expires=None).fill(
        "other:", 7, namespace="of nobody", expires=None
    )
    world.run(10)
    assert len(world.rows) == 137
    assert _of(world, "sessions").ttls_given == 130
    assert _of(world, "embeddings").ttls_given == 0
    assert all((row.expires is None) == (row.namespace == "of nobody") for row in world.rows.values())
    assert world.status.scanned_at is not None
    # Parts are of a hundred rows in a second, and a round is done once.
    assert len(_tasks(world, TableWork.SWEEP)) == 4
    world.run(40)
    assert len(_tasks(world, TableWork.SWEEP)) == 4
    assert (world.status.keys, world.status.unclaimed_keys) == (137, 7)
    world.run(30)
    assert len(_tasks(world, TableWork.SWEEP)) == 5
    assert _of(world, "sessions").ttls_given == 0


def test_a_namespace_above_its_quota_loses_what_was_not_used_for_longest() -> None:
    world = World().fill("emb:g1:a", 1000, namespace="embeddings", used=1).fill("ses:g1:", 3000, namespace="sessions")
    world.fill("emb:g1:b", 1000, namespace="embeddings", used=2)
    world.run(50)
    used = sum(r.size for r in world.rows.values() if r.namespace == "embeddings")
    assert 0.89 * MEBIBYTE <= used <= 0.9 * MEBIBYTE
    assert not [k for k in world.rows if k.startswith("emb:g1:a")]
    assert len([k for k in world.rows if k.startswith("ses:")]) == 3000
    gone = 2000 - used // 1000
    assert _of(world, "embeddings").evicted == gone
    assert _of(world, "embeddings").quota_percent == 90
    assert [n.reason for n in world.notices] == [Reason.EVICTED.value]
    assert str(gone) in world.notices[0].message
    assert len(_tasks(world, TableWork.EVICT)) == 11


def test_nothing_is_evicted_twice_by_one_look() -> None:
    world = World(look_every=500).fill("emb:g1:", 2000, namespace="embeddings")
    world.run(400)
    assert len(world.rows) > 900
    assert len(world.rows) == 2000 - _of(world, "embeddings").evicted


def test_a_round_that_is_forgotten_begins_anew_and_evicts_no_more() -> None:
    world = World().fill("emb:g1:", 2000, namespace="embeddings")
    world.run(5)
    world.forget()
    world.run(60)
    assert 0.89 * MEBIBYTE <= 1000 * len(world.rows) <= 0.9 * MEBIBYTE


def test_parts_that_fail_are_tried_again_at_longer_and_longer_times() -> None:
    world = World(failing=True).fill("ses:g1:", 400, namespace="sessions", expires=None)
    world.run(30)
    assert len(_tasks(world, TableWork.SWEEP)) == 3
    plan = world.one_pass()
    assert plan.scan_why is not None
    assert "closed in the middle" in plan.scan_why[1]
    world.failing = False
    world.run(60)
    assert all(row.expires is not None for row in world.rows.values())
    assert world.one_pass().scan_why is None


def test_a_paused_tier_is_left_alone() -> None:
    world = _flush(World(), namespaceName="sessions").wish(paused=True)
    world.fill("ses:g1:", 50, namespace="sessions", expires=-1).run(100)
    assert len(world.rows) == 50
    assert not world.begun
    assert world.status.flush is not None
    assert world.status.flush.phase is FlushPhase.PAUSED
    world.wish(paused=False).run(30)
    assert not world.rows
    assert world.status.flushes[-1].phase is FlushPhase.DONE


def test_a_table_that_does_not_answer_is_waited_for() -> None:
    world = _flush(World(up=False), namespaceName="sessions").fill("ses:g1:", 50, namespace="sessions")
    world.run(20)
    assert not world.begun
    assert world.status.flush is not None
    assert world.status.flush.message == "waits for the table"
    plan = world.one_pass()
    assert plan.scan_why == (Reason.NOT_SCANNED, "waits for the table")
    world.up = True
    world.run(40)
    assert not world.rows


def test_a_sweep_slows_down_for_a_busy_origin_and_never_stands_still() -> None:
    world = World(load=95.0).wish(origin={"poolRef": {"name": "orders"}})
    world.fill("ses:g1:", 1000, namespace="sessions", expires=-1).run(3)
    assert {task.rows_per_second for _, task in world.begun} == {10}
    world.load = 10.0
    world.begun.clear()
    world.run(3)
    assert world.begun[-1][1].rows_per_second == 100


def test_a_flush_waits_for_a_busy_origin() -> None:
    world = _flush(World(load=95.0), namespaceName="sessions").wish(origin={"poolRef": {"name": "orders"}})
    world.fill("ses:g1:", 200, namespace="sessions").run(5)
    assert not _tasks(world, TableWork.DELETE)
    assert len(world.rows) == 200
    world.load = 10.0
    world.run(30)
    assert not world.rows


def test_a_flush_counts_each_part_once_and_shares_the_table_with_a_sweep() -> None:
    world = _flush(World(), namespaceName="sessions").fill("ses:g1:", 333, namespace="sessions", expires=None)
    world.fill("emb:g1:", 100, namespace="embeddings")
    world.run(3)
    assert {task.rows_per_second for _, task in world.begun} == {25, 50}
    flush = world.status.flush
    assert flush is not None
    assert flush.deleted == 333 - len([k for k in world.rows if k.startswith("ses:")])
    world.run(30)
    assert world.status.flush is None
    assert (world.status.flushes[-1].deleted, world.status.flushes[-1].phase) == (333, FlushPhase.DONE)
    assert len(world.rows) == 100


def test_no_key_gets_into_the_status() -> None:
    world = _flush(World(), namespaceName="sessions").fill("ses:g1:token-", 333, namespace="sessions")
    for _ in range(20):
        world.run(1)
        assert "token" not in world.status.model_dump_json()
    assert "token" not in repr(world.kept)
    assert "token" not in repr(world.begun)
    assert world.status.flushes[-1].deleted == 333


def test_a_flush_that_is_forgotten_starts_over_and_misses_nothing() -> None:
    world = _flush(World(), pattern="ses:*:*7").fill("ses:g1:", 400, namespace="sessions")
    world.run(4)
    assert world.status.flush is not None
    assert world.status.flush.cursor is not None
    world.forget()
    world.run(60)
    assert world.status.flushes[-1].phase is FlushPhase.DONE
    # What the last part before did is not known any more.
    assert 0 < world.status.flushes[-1].deleted <= 40
    assert len(world.rows) == 360


def test_a_flush_that_fails_in_its_middle_goes_on() -> None:
    world = _flush(World(failing=True), namespaceName="sessions").fill("ses:g1:", 300, namespace="sessions")
    world.run(20)
    world.failing = False
    world.run(60)
    assert not world.rows
    assert world.status.flushes[-1].deleted == 300


def test_a_flush_by_tag_takes_entries_with_it_even_if_no_namespace_has_it() -> None:
    world = _flush(World(), tag="red").fill("ses:g1:a", 60, namespace="sessions", tags=("red",))
    world.fill("ses:g1:b", 60, namespace="sessions").fill("other:", 5, namespace="of nobody", tags=("red",))
    world.run(30)
    assert len(world.rows) == 65
    assert world.status.flushes[-1].deleted == 60
    assert [n.reason for n in world.notices] == [Reason.FLUSHING.value, Reason.FLUSHED.value]


def test_a_flush_by_tag_takes_namespaces_with_it() -> None:
    world = _flush(World(), tag="models").fill("emb:g1:", 60, namespace="embeddings")
    world.fill("ses:g1:", 60, namespace="sessions").run(30)
    assert all(key.startswith("ses:") for key in world.rows)
    assert len(world.rows) == 60


def test_a_flush_by_generation_takes_the_old_one() -> None:
    world = _flush(World(), namespaceName="sessions", kind="Generation").fill("ses:g1:", 60, namespace="sessions")
    world.fill("ses:g2:", 60, namespace="sessions").run(30)
    assert _of(world, "sessions").generation == 2
    assert all(key.startswith("ses:g2:") for key in world.rows)
    assert len(world.rows) == 60


def test_everything() -> None:
    world = _flush(World(), flushAll="tier").fill("other:", 60, namespace="of nobody").run(10)
    assert not world.rows
    assert _tasks(world, TableWork.DELETE)[0].everything


@pytest.mark.parametrize("seconds", [1, 4])
def test_another_table_begins_from_its_beginning(seconds: int) -> None:
    # After the first part, which nobody has counted yet, and in the middle.
    world = _flush(World(), namespaceName="sessions").fill("ses:g1:", 300, namespace="sessions").run(seconds)
    assert 0 < len(world.rows) < 300
    world.running.clear()
    world.rows.clear()
    counted = world.status.flush.deleted if world.status.flush is not None else 0
    world.fill("ses:g0:", 300, namespace="sessions").wish(postgresql={"poolRef": {"name": "elsewhere"}})
    world.run(40)
    assert not world.rows
    assert world.status.flushes[-1].node == "elsewhere/sophia_cache"
    assert world.status.flushes[-1].deleted == counted + 300


def test_a_table_that_changes_is_written_down_seldom() -> None:
    world = World(look_every=5)
    world.run(10)
    world.writes = 0
    for minute in range(30):
        world.fill(f"ses:g1:{minute}:", 10, namespace="sessions").run(60)
    # The end of each round, and the first look after it.
    assert world.writes <= 2 * 30 + 2
