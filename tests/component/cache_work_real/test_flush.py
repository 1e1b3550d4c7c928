"""Flushes of real servers: exactly what was asked for goes, however often they are held up."""

from __future__ import annotations

import pytest

from sophia_operator.api.cache_tier_status import CacheTierStatus, FlushPhase, FlushStatus
from sophia_operator.core.cache.findings import DeleteResult, DeleteTask
from sophia_operator.core.cache.views import BoundRelease
from tests.component.cache_work_real.keeper import Operator
from tests.component.redis_adapter.keys import all_keys, fill

#: The prefix of one is the beginning of that of the other, and a colon tells them apart.
NAMESPACES = [{"name": "one", "prefix": "a", "tags": ["t"]}, {"name": "other", "prefix": "ab", "tags": ["t", "u"]}]
STARTS = (
    "a:g1:", "a:g1r1:", "a:g10:", "a:g1r10:", "a:g10r1:", "a:g2:", "a:g:", "a:x:", "ab:g1:", "ab:g1r1:", "ab:g10:",
    "abc:g1:", "a", "A:g1:", "b:a:g1:",
)  # fmt: skip


def keys(*starts: str, number: int = 20) -> set[bytes]:
    return {f"{start}{i}".encode() for start in starts for i in range(number)}


def put(operator: Operator, *starts: str, number: int = 20) -> set[bytes]:
    names = keys(*starts, number=number)
    fill(operator.server, dict.fromkeys(names, b"x"))
    return names


def deletions(operator: Operator) -> list[tuple[DeleteTask, DeleteResult]]:
    found = [(finding.task, finding.result) for kind, finding in operator.done if kind == "flush"]
    return [(t, r) for t, r in found if isinstance(t, DeleteTask) and isinstance(r, DeleteResult)]


def ended(status: CacheTierStatus, name: str) -> FlushStatus | None:
    return next((f for f in status.flushes if f.name == name), None)


async def flush(operator: Operator, name: str, **what: object) -> FlushStatus:
    """A flush to its end."""
    operator.wish(flush={"name": name, "keysPerSecond": 4000, **what})
    await operator.until(lambda: ended(operator.status, name) is not None)
    found = ended(operator.status, name)
    assert found is not None
    return found


@pytest.fixture
def tier(operator: Operator) -> Operator:
    """One with these namespaces, and no scan beside."""
    operator.wish(namespaces=NAMESPACES, scan={"intervalSeconds": 86400, "keysPerSecond": 1_000_000})
    return operator


async def test_20_000_keys_in_parts_over_restarts_of_the_operator(tier: Operator) -> None:
    mine = put(tier, "a:g1:", "a:g1r7:", number=10_000)
    others = put(tier, "ab:g1:", "abc:", "b:", number=1_000)
    tier.wish(flush={"name": "f", "namespaceName": "one", "keysPerSecond": 4000})
    await tier.until(lambda: (tier.status.flush.deleted if tier.status.flush else 0) > 5_000)
    tier.forget()
    assert await tier.one_pass(), "it goes on at once"
    task, _ = deletions(tier)[-1]
    assert task.cursor not in ("0", ""), "where it was"
    await tier.until(lambda: ended(tier.status, "f") is not None)
    done = ended(tier.status, "f")
    assert done is not None
    # The part that was under way as the operator forgot it is done again, and finds nothing.
    told = sum(result.deleted for _, result in deletions(tier))
    assert told == len(mine)
    assert (done.phase, done.deleted) == (FlushPhase.DONE, told - _unheard(tier))
    assert all_keys(tier.server) == others
    assert len(deletions(tier)) >= 5
    assert max(result.seconds for _, result in deletions(tier)) < 1.2


def _unheard(tier: Operator) -> int:
    """What parts deleted that the status never heard of: of each cursor that was begun at twice, the first."""
    seen = deletions(tier)
    return sum(r.deleted for i, (t, r) in enumerate(seen) if t.cursor in [later.cursor for later, _ in seen[i + 1 :]])


async def test_what_is_deleted_is_counted_exactly(tier: Operator) -> None:
    mine = put(tier, "a:g1:", number=5_000)
    others = put(tier, "ab:g1:", "b:", number=2_000)
    done = await flush(tier, "f", namespaceName="one")
    assert (done.phase, done.deleted) == (FlushPhase.DONE, len(mine))
    assert done.scanned >= 9_000
    assert all_keys(tier.server) == others


async def test_one_that_is_stopped_in_the_middle_stops(tier: Operator) -> None:
    put(tier, "a:g1:", number=20_000)
    wish = {"name": "f", "namespaceName": "one", "keysPerSecond": 4000}
    tier.wish(flush=wish)
    await tier.until(lambda: (tier.status.flush.deleted if tier.status.flush else 0) > 5_000)
    tier.wish(flush=wish | {"stop": True})
    await tier.one_pass()
    left = len(all_keys(tier.server))
    assert 1_000 < left < 15_000
    for _ in range(5):
        await tier.one_pass()
    assert len(all_keys(tier.server)) == left
    stopped = ended(tier.status, "f")
    assert stopped is not None
    assert (stopped.phase, stopped.deleted) == (FlushPhase.STOPPED, 20_000 - left)


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ({"namespaceName": "one"}, [s for s in STARTS if s.startswith("a:")]),
        ({"namespaceName": "other"}, ["ab:g1:", "ab:g1r1:", "ab:g10:"]),
        ({"tag": "u"}, ["ab:g1:", "ab:g1r1:", "ab:g10:"]),
        ({"generation": "g1r1"}, ["a:g1r1:", "ab:g1r1:"]),
        ({"generation": "g10"}, ["a:g10:", "ab:g10:"]),
        # Its number is 1, and becomes 2.
        ({"namespaceName": "one", "kind": "Generation"}, ["a:g1:", "a:g1r1:", "a:g1r10:"]),
        ({"flushAll": "tier"}, list(STARTS)),
    ],
    ids=str,
)
async def test_nothing_else_goes(tier: Operator, what: dict[str, str], gone: list[str]) -> None:
    everything = put(tier, *STARTS)
    done = await flush(tier, "f", **what)
    assert (done.phase, done.deleted) == (FlushPhase.DONE, 20 * len(gone))
    assert everything - all_keys(tier.server) == keys(*gone)
    raised = 2 if "kind" in what else 1
    assert [n.generation for n in tier.status.namespaces] == [raised, 1]


async def test_generations_are_flushed_one_after_the_other(tier: Operator) -> None:
    """From 9 to 11: numbers of two digits."""
    for number in range(1, 11):
        put(tier, f"a:g{number}:", f"a:g{number}r1:", number=3)
        await flush(tier, f"f{number}", namespaceName="one", kind="Generation")
        left = {key.split(b":")[1] for key in all_keys(tier.server)}
        assert left == set(), f"{left} is older than {tier.status.namespaces[0].generation}"
    newer = put(tier, "a:g12:", "a:g100:", "a:g11r1:", "a:g12r3:", "a:g110:")
    older = put(tier, "a:g11:", "a:g3:", "a:g10r4:")
    tier.releases = (BoundRelease("r", "s", 1, False, None),)
    refused = await flush(tier, "in-use", generation="g11r1")
    assert refused.phase is FlushPhase.REFUSED
    assert all_keys(tier.server) == newer | older
    await flush(tier, "f11", namespaceName="one", kind="Generation")
    assert all_keys(tier.server) == newer - keys("a:g11r1:")


@pytest.mark.parametrize(
    "pattern",
    ["a:g1:doc-[0-4]?", "a:g1:*[*]*", r"a:g1:x\[1\]", "a:g1:[^d]*", r"a:g1:\**", "a:g1:??", "a:*-1*", r"a:g1:\\*"],
)
async def test_patterns_mean_what_they_mean_to_redis(tier: Operator, pattern: str) -> None:
    odd = ["x[1]", "x1", "x*", "*", "**x", "?", "??", "\\x", "d", "-1", "é-1", "[", "]", "^d", "doc-\n1"]
    names = {f"a:g1:{rest}".encode() for rest in odd} | keys("a:g1:doc-", "ab:g1:doc-", "b:a:g1:doc-", number=60)
    names.add(b"a:g1:\xff\xfe-1")
    fill(tier.server, dict.fromkeys(names, b"x"))
    with tier.server.client() as client:
        wanted = set(client.scan_iter(match=pattern, count=1000))
    done = await flush(tier, "f", pattern=pattern)
    assert (done.phase, done.deleted) == (FlushPhase.DONE, len(wanted))
    assert wanted
    assert all_keys(tier.server) == names - wanted
