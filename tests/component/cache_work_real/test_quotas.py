"""Quotas are kept on real servers, whatever the ages of keys, within one scan that measures and one that evicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from hack.rig.redis import RedisServer
from sophia_operator.core.cache.findings import ScanResult, ScanTask
from tests.component.cache_work_real.keeper import Operator
from tests.component.redis_adapter.keys import all_keys, ask_all, fill
from tests.support.cache_work_scene import NAMESPACES

MEBIBYTE = 1024 * 1024
LIMITED = [NAMESPACES["texts"] | {"maxMemoryMegabytes": 1, "ttlSeconds": 3600}, NAMESPACES["images"]]


def fill_idle(server: RedisServer, name: str, number: int, *, size: int, idle: int, ttl: int = 0) -> None:
    """Entries that were idle for so many seconds."""
    server.call("SET", "template", "x" * size)
    dump = server.call("DUMP", "template")
    server.call("DEL", "template")
    ask_all(
        server, [("RESTORE", f"{name}{i}", str(ttl * 1000), dump, "IDLETIME", str(idle)) for i in range(number)]
    )  # fmt: skip


def used(server: RedisServer, prefix: bytes) -> int:
    """Bytes of keys that begin with that."""
    keys = [key for key in all_keys(server) if key.startswith(prefix)]
    return sum(ask_all(server, [("MEMORY", "USAGE", key, "SAMPLES", "5") for key in keys]))


def left(server: RedisServer) -> Counter[bytes]:
    """Number of keys by all but the last part of their names."""
    return Counter(key.rpartition(b":")[0] for key in all_keys(server))


def scans_begun(operator: Operator) -> list[ScanTask]:
    found = [finding.task for kind, finding in operator.done if kind == "scan"]
    return [task for task in found if isinstance(task, ScanTask) and task.cursor == "0"]


def quota_is_kept(operator: Operator) -> None:
    """Down to nine tenths, and no further."""
    assert 0.8 * MEBIBYTE <= used(operator.server, b"emb:") <= MEBIBYTE
    percent = operator.status.namespaces[0].quota_percent
    assert percent is not None
    assert 80 <= percent <= 100
    assert operator.plan is not None
    assert operator.plan.quota_why == {}


async def test_keys_that_were_all_written_just_now(operator: Operator) -> None:
    operator.wish(namespaces=LIMITED)
    fill(operator.server, {b"emb:g1:%d" % i: b"x" * 1000 for i in range(2_000)})
    fill(operator.server, {b"emb2:g1:%d" % i: b"x" * 1000 for i in range(2_000)})
    fill(operator.server, {b"other:g1:%d" % i: b"x" * 1000 for i in range(2_000)})
    await operator.scans()
    assert len(scans_begun(operator)) == 2
    quota_is_kept(operator)
    found = left(operator.server)
    assert (found[b"emb2:g1"], found[b"other:g1"]) == (2_000, 2_000)
    assert operator.status.namespaces[0].evicted == 2_000 - found[b"emb:g1"]
    assert operator.status.namespaces[0].keys == found[b"emb:g1"]
    ttls = ask_all(operator.server, [("TTL", key) for key in all_keys(operator.server) if key.startswith(b"emb:")])
    assert min(ttls) > 3_500


@pytest.mark.parametrize("ttl", [0, 900], ids=["without TTLs", "with TTLs"])
@pytest.mark.parametrize("sizes", [(1000, 1000), (100, 5000), (5000, 100)], ids=str)
async def test_what_is_old_goes_and_what_is_young_stays(operator: Operator, ttl: int, sizes: Sequence[int]) -> None:
    operator.wish(namespaces=LIMITED)
    old_size, young_size = sizes
    # The young take half of the quota, and the old twice the quota.
    per_key = {1000: 1_100, 100: 170, 5000: 5_200}
    young, old = MEBIBYTE // 2 // per_key[young_size], 2 * MEBIBYTE // per_key[old_size]
    fill_idle(operator.server, "emb:g1:young:", young, size=young_size, idle=20, ttl=ttl)
    fill_idle(operator.server, "emb:g1:old:", old, size=old_size, idle=90_000, ttl=ttl)
    await operator.scans()
    quota_is_kept(operator)
    assert left(operator.server)[b"emb:g1:young"] == young
    assert 0 < left(operator.server)[b"emb:g1:old"] < old / 2


async def test_what_is_oldest_goes_before_what_is_old(operator: Operator) -> None:
    operator.wish(namespaces=LIMITED)
    for name, idle in (("oldest", 90_000), ("old", 5_000), ("young", 20)):
        fill_idle(operator.server, f"emb:g1:{name}:", 500, size=1000, idle=idle)
    await operator.scans()
    quota_is_kept(operator)
    found = left(operator.server)
    assert found[b"emb:g1:oldest"] == 0
    assert found[b"emb:g1:young"] == 500
    assert 100 < found[b"emb:g1:old"] < 500


async def test_what_is_written_without_ttls_between_scans(operator: Operator) -> None:
    """A quota that was kept is passed again, and again."""
    operator.wish(namespaces=LIMITED)
    for turn in range(3):
        fill(operator.server, {b"emb:g1:%d:%d" % (turn, i): b"x" * 1000 for i in range(900)})
        fill(operator.server, {b"emb:g1:ttl:%d:%d" % (turn, i): b"x" * 1000 for i in range(300)}, ttl=900)
        await operator.scans()
        quota_is_kept(operator)
    lacking = [ttl for ttl in ask_all(operator.server, [("TTL", key) for key in all_keys(operator.server)]) if ttl < 0]
    assert lacking == []


async def test_within_its_quota_nothing_goes_and_ttls_are_given_at_the_first_scan(operator: Operator) -> None:
    operator.wish(namespaces=LIMITED)
    fill(operator.server, {b"emb:g1:%d" % i: b"x" * 1000 for i in range(600)})
    await operator.scans()
    assert left(operator.server) == {b"emb:g1": 600}
    assert all(ttl > 0 for ttl in ask_all(operator.server, [("TTL", key) for key in all_keys(operator.server)]))
    assert len(scans_begun(operator)) == 2, "one that measures, and one that gives TTLs"
    fill(operator.server, {b"emb:g1:more:%d" % i: b"x" * 1000 for i in range(30)})
    await operator.scans()
    assert len(scans_begun(operator)) == 3, "far below the quota one does both"
    assert all(ttl > 0 for ttl in ask_all(operator.server, [("TTL", key) for key in all_keys(operator.server)]))


async def test_a_scan_in_many_parts_evicts_no_more_than_has_to_go(operator: Operator) -> None:
    operator.wish(namespaces=LIMITED, scan={"intervalSeconds": 30, "keysPerSecond": 500, "sampledKeys": 300})
    fill(operator.server, {b"emb:g1:%d" % i: b"x" * 500 for i in range(5_000)})
    await operator.scans()
    parts = [finding.result for _, finding in operator.done if isinstance(finding.result, ScanResult)]
    assert len(parts) > 12
    assert 0.7 * MEBIBYTE <= used(operator.server, b"emb:") <= MEBIBYTE, "a sample of 300"
