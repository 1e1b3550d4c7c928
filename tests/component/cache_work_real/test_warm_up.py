"""A new release's generation is filled from that of the release before, on real servers."""

from __future__ import annotations

from collections import Counter

import pytest

from sophia_operator.api.cache_tier_status import WarmUpPhase, WarmUpStatus
from sophia_operator.core.cache.findings import CopyTask
from sophia_operator.core.cache.views import BoundRelease
from tests.component.cache_work_real.keeper import Operator
from tests.component.redis_adapter.keys import all_keys, ask_all, fill

NUMBER = 8_000
ORIGIN = {"query": "load", "slowAbovePercent": 60, "pauseAbovePercent": 85}


@pytest.fixture
def tier(operator: Operator) -> Operator:
    """A release of which one namespace has many entries, another some, and others' keys are there too."""
    operator.wish(scan={"intervalSeconds": 86400, "keysPerSecond": 1_000_000}, warmUp={"maxPerSecond": 2_000})
    fill(operator.server, {b"emb:g1r6:%d" % i: b"x%d" % i for i in range(NUMBER)}, ttl=500)
    fill(operator.server, {b"emb2:g1r6:%d" % i: b"y%d" % i for i in range(500)})
    for start in ("emb:g1:", "emb:g1r61:", "emb:g11r6:", "emb:g2r6:", "emb3:g1r6:", "x:emb:g1r6:"):
        fill(operator.server, {f"{start}{i}".encode(): b"z" for i in range(300)})
    return operator


def begin(tier: Operator) -> None:
    tier.releases = (BoundRelease("shop-7", "shop", 7, True, 6), BoundRelease("shop-6", "shop", 6, False, None))


def warm_up(tier: Operator) -> WarmUpStatus:
    (found,) = tier.status.warm_ups
    return found


def tasks(tier: Operator) -> list[CopyTask]:
    return [finding.task for _, finding in tier.done if isinstance(finding.task, CopyTask)]


def all_is_copied(tier: Operator) -> None:
    """With values, and TTLs; and nothing else is there."""
    counts = Counter(key.rpartition(b":")[0] for key in all_keys(tier.server))
    assert counts == {
        b"emb:g1r6": NUMBER, b"emb:g1r7": NUMBER, b"emb2:g1r6": 500, b"emb2:g1r7": 500, b"emb:g1": 300,
        b"emb:g1r61": 300, b"emb:g11r6": 300, b"emb:g2r6": 300, b"emb3:g1r6": 300, b"x:emb:g1r6": 300,
    }  # fmt: skip
    values = ask_all(tier.server, [("GET", f"emb:g1r7:{i}") for i in range(NUMBER)])
    assert values == [b"x%d" % i for i in range(NUMBER)]
    both = [("PTTL", f"emb:g1r{revision}:{i}") for i in range(0, NUMBER, 50) for revision in (6, 7)]
    ttls = ask_all(tier.server, both)
    assert all(0 <= one - other < 5_000 for one, other in zip(ttls[::2], ttls[1::2], strict=True))
    assert 0 < min(ttls) <= max(ttls) <= 500_000


async def test_it_is_filled_with_ttls_and_says_how_far_it_is(tier: Operator) -> None:
    begin(tier)
    seen = [0]
    while not tier.status.warm_ups or warm_up(tier).phase is WarmUpPhase.RUNNING:
        await tier.one_pass()
        share = 100 * warm_up(tier).warmed / (NUMBER + 500)
        assert abs(warm_up(tier).percent - share) <= 5, "that is how much is there"
        assert warm_up(tier).percent >= seen[-1]
        seen.append(warm_up(tier).percent)
    done = warm_up(tier)
    assert (done.phase, done.percent, done.warmed) == (WarmUpPhase.DONE, 100, NUMBER + 500)
    assert len(set(seen)) > 5
    assert 100 not in seen[:-1]
    all_is_copied(tier)
    before = len(tier.done)
    for _ in range(3):
        await tier.one_pass()
    assert len(tier.done) == before, "once is enough"


async def test_what_the_release_wrote_itself_stays(tier: Operator) -> None:
    fill(tier.server, {b"emb:g1r7:%d" % i: b"new" for i in range(100)})
    begin(tier)
    await tier.until(lambda: bool(tier.status.warm_ups) and warm_up(tier).phase is WarmUpPhase.DONE)
    assert set(ask_all(tier.server, [("GET", f"emb:g1r7:{i}") for i in range(100)])) == {b"new"}
    assert warm_up(tier).warmed == NUMBER + 400


async def test_after_a_restart_of_the_operator_it_goes_on(tier: Operator) -> None:
    begin(tier)
    await tier.until(lambda: bool(tier.status.warm_ups) and warm_up(tier).percent > 30)
    percent, number = warm_up(tier).percent, len(tasks(tier))
    tier.forget()
    await tier.one_pass()
    assert tasks(tier)[number].cursor == warm_up(tier).cursor != "0"
    assert warm_up(tier).percent == percent
    await tier.until(lambda: warm_up(tier).phase is WarmUpPhase.DONE)
    assert [task.cursor for task in tasks(tier)].count("0") == 1
    all_is_copied(tier)


async def test_it_pauses_while_the_origin_is_busy_and_goes_on_where_it_was(tier: Operator) -> None:
    tier.wish(origin=ORIGIN)
    begin(tier)
    await tier.until(lambda: bool(tier.status.warm_ups) and warm_up(tier).percent > 30)
    tier.load = 95.0
    await tier.one_pass()
    keys, percent = len(all_keys(tier.server)), warm_up(tier).percent
    for _ in range(3):
        assert not await tier.one_pass()
        assert (warm_up(tier).phase, warm_up(tier).percent) == (WarmUpPhase.PAUSED, percent)
    assert len(all_keys(tier.server)) == keys
    tier.load = 72.0
    await tier.one_pass()
    assert warm_up(tier).phase is WarmUpPhase.RUNNING
    assert 0 < tasks(tier)[-1].keys_per_second < 1_500, "slower"
    tier.load = 10.0
    await tier.until(lambda: warm_up(tier).phase is WarmUpPhase.DONE)
    assert tasks(tier)[-1].keys_per_second == 2_000
    assert [task.cursor for task in tasks(tier)].count("0") == 1
    all_is_copied(tier)
