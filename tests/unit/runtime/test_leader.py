"""One acts at a time: the Lease is taken, kept, lost and handed over, with time as a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sophia_operator.core.decision import EventType, Notice
from sophia_operator.ports import ClusterError, ObjectRef, Refusal
from sophia_operator.runtime.leader import FencedCluster, Lease, Terms
from tests.support.fake_cluster import Call, FakeCluster, Fault

START = datetime(2026, 1, 1, tzinfo=UTC)


class TimeIsUpError(Exception):
    """The test has seen enough."""


@dataclass
class Time:
    """Time that passes only when somebody sleeps."""

    seconds: float = 0.0
    limit: float = 1000.0
    #: Called after each sleep.
    then: Callable[[], None] = lambda: None
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        self.then()
        if self.seconds > self.limit:
            raise TimeIsUpError


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def cluster(time: Time) -> FakeCluster:
    return FakeCluster(clock=time.now)


def candidate(cluster: FakeCluster, time: Time, identity: str) -> Lease:
    return Lease(
        cluster,
        time,
        namespace="shop",
        name="lease",
        identity=identity,
        monotonic=time.monotonic,
        sleep=time.sleep,
    )


def spec(cluster: FakeCluster) -> dict[str, Any]:
    found = cluster.find("Lease", "lease")
    assert found is not None
    return dict(found["spec"])


async def test_the_first_takes_it_at_once(cluster: FakeCluster, time: Time) -> None:
    lease = candidate(cluster, time, "a")
    assert not lease.is_certain()
    await lease.acquire()
    assert lease.is_certain()
    assert time.seconds == 0.0
    assert (spec(cluster)["holderIdentity"], spec(cluster)["leaseTransitions"]) == ("a", 0)


async def test_another_waits_for_as_long_as_it_is_renewed(cluster: FakeCluster, time: Time) -> None:
    first, second = candidate(cluster, time, "a"), candidate(cluster, time, "b")
    await first.acquire()
    time.limit = 100.0
    renewed: list[float] = []

    def renew() -> None:
        if time.seconds - (renewed[-1] if renewed else 0.0) >= 3.0 and time.seconds < 50.0:
            cluster.edit("Lease", "lease", lambda o: o["spec"].update(renewTime=time.now().isoformat()))
            renewed.append(time.seconds)

    time.then = renew
    await second.acquire()
    # Fifteen seconds from the last renewal that it saw, and not from the holder's clock.
    assert 15.0 <= time.seconds - renewed[-1] < 20.0
    assert (spec(cluster)["holderIdentity"], spec(cluster)["leaseTransitions"]) == ("b", 1)


async def test_a_clock_that_is_wrong_takes_no_lease(cluster: FakeCluster, time: Time) -> None:
    await candidate(cluster, time, "a").acquire()
    cluster.edit("Lease", "lease", lambda o: o["spec"].update(renewTime="2000-01-01T00:00:00.000000Z"))
    time.limit = 10.0
    with pytest.raises(TimeIsUpError):
        await candidate(cluster, time, "b").acquire()
    assert spec(cluster)["holderIdentity"] == "a"


async def test_the_same_identity_need_not_wait(cluster: FakeCluster, time: Time) -> None:
    await candidate(cluster, time, "pod-1").acquire()
    again = candidate(cluster, time, "pod-1")
    await again.acquire()
    assert time.seconds == 0.0


async def test_one_that_ends_hands_over_at_once(cluster: FakeCluster, time: Time) -> None:
    first, second = candidate(cluster, time, "a"), candidate(cluster, time, "b")
    await first.acquire()
    await first.release()
    assert not first.is_certain()
    await second.acquire()
    assert time.seconds == 0.0
    assert spec(cluster)["holderIdentity"] == "b"


async def test_one_that_ends_in_the_middle_of_a_renewal_hands_over_all_the_same(
    cluster: FakeCluster, time: Time
) -> None:
    first, second = candidate(cluster, time, "a"), candidate(cluster, time, "b")
    await first.acquire()
    cluster.edit("Lease", "lease", lambda o: o["spec"].update(renewTime="2026-01-01T00:00:03.000000Z"))
    await first.release()
    assert spec(cluster)["holderIdentity"] == ""
    await second.acquire()
    assert time.seconds == 0.0


async def test_one_that_ends_leaves_the_lease_of_another_alone(cluster: FakeCluster, time: Time) -> None:
    first = candidate(cluster, time, "a")
    await first.acquire()
    cluster.edit("Lease", "lease", lambda o: o["spec"].update(holderIdentity="b"))
    await first.release()
    assert spec(cluster)["holderIdentity"] == "b"


async def test_of_two_at_the_same_moment_one_gets_it(cluster: FakeCluster, time: Time) -> None:
    second = candidate(cluster, time, "b")

    def other_is_faster(call: Call) -> Fault | None:
        if call.verb == "create":
            cluster.hook = lambda _: None
            metadata = {"name": "lease", "namespace": "shop"}
            held = {"holderIdentity": "a", "leaseDurationSeconds": 15}
            cluster.add({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": held})
        return None

    cluster.hook = other_is_faster
    time.limit = 5.0
    with pytest.raises(TimeIsUpError):
        await second.acquire()
    assert spec(cluster)["holderIdentity"] == "a"


async def test_it_is_renewed_in_time(cluster: FakeCluster, time: Time) -> None:
    lease = candidate(cluster, time, "a")
    await lease.acquire()
    time.limit = 60.0
    with pytest.raises(TimeIsUpError):
        await lease.keep()
    assert lease.is_certain()
    assert set(time.slept) == {Terms().renew_seconds}


async def test_an_outage_is_survived_if_it_is_short(cluster: FakeCluster, time: Time) -> None:
    lease = candidate(cluster, time, "a")
    await lease.acquire()
    time.limit = 60.0
    cluster.hook = lambda _: Fault.UNAVAILABLE if 3.0 < time.seconds < 8.0 else None
    with pytest.raises(TimeIsUpError):
        await lease.keep()
    assert lease.is_certain()


async def test_an_outage_that_lasts_ends_it_before_another_may_begin(cluster: FakeCluster, time: Time) -> None:
    lease = candidate(cluster, time, "a")
    await lease.acquire()
    cluster.hook = lambda _: Fault.UNAVAILABLE
    await lease.keep()
    assert not lease.is_certain()
    assert time.seconds < Terms().duration_seconds


async def test_it_ends_at_once_when_another_one_holds_it(cluster: FakeCluster, time: Time) -> None:
    lease = candidate(cluster, time, "a")
    await lease.acquire()
    cluster.edit("Lease", "lease", lambda o: o["spec"].update(holderIdentity="b"))
    await lease.keep()
    assert not lease.is_certain()
    assert time.seconds == Terms().renew_seconds


async def test_a_lost_answer_to_its_own_renewal_is_no_loss(cluster: FakeCluster, time: Time) -> None:
    lease = candidate(cluster, time, "a")
    await lease.acquire()
    time.limit = 30.0
    answers = iter([Fault.LOST_ANSWER])
    cluster.hook = lambda call: next(answers, None) if call.verb == "apply" else None
    with pytest.raises(TimeIsUpError):
        await lease.keep()
    assert lease.is_certain()


async def test_a_process_that_was_frozen_does_not_write_when_it_thaws(cluster: FakeCluster, time: Time) -> None:
    lease = candidate(cluster, time, "a")
    await lease.acquire()
    fenced = FencedCluster(cluster, lease.is_certain)
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}}
    ref = ObjectRef("v1", "ConfigMap", "shop", "c")
    await fenced.apply(obj)
    time.seconds += Terms().duration_seconds
    calls = len(cluster.calls)
    writes = (fenced.apply(obj), fenced.create(obj), fenced.apply_status(obj), fenced.delete(ref))
    for write in writes:
        with pytest.raises(ClusterError) as caught:
            await write
        assert caught.value.refusal is Refusal.UNAVAILABLE
    await fenced.emit(ref, Notice(EventType.NORMAL, "Promoted", "x"))
    assert len(cluster.calls) == calls
    assert cluster.events == []
    # Reading is no acting.
    assert await fenced.get(ref) is not None


def test_terms_keep_their_proportions() -> None:
    assert Terms.of(15.0) == Terms()
    short = Terms.of(3.0)
    assert short.retry_seconds < short.renew_seconds < short.deadline_seconds < short.duration_seconds == 3.0
