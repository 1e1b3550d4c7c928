"""The cache in the demo: it comes up beside the service, warms the good release, and loses nothing as it hands over."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from hack.demo.__main__ import main
from hack.rig.api import ApiError
from hack.rig.cache_writes import Books
from tests.support import objects
from tests.unit.demo.fake_shelf import FLUSHED, PAST, READY, WARM, tier
from tests.unit.demo.fakes import FakeCluster
from tests.unit.demo.test_demo import QUICK, figures, raising
from tests.unit.demo.test_orders import text_of

SECONDS = 20.0
NOT_READY = objects.condition("Ready", "False", "NoPrimary", "no node is the primary yet")


def cache_figures() -> dict[str, Any]:
    found: dict[str, Any] = figures()["cache"]
    return found


def test_cache_is_there_before_the_service_and_is_filled_before_the_changes(cluster: FakeCluster) -> None:
    cluster.api.before[1] = lambda: cluster.shelf.done.append("service")
    cluster.api.before[2] = lambda: cluster.shelf.done.append("good change")
    assert main(QUICK) == 0
    done = [step for step in cluster.shelf.done if step not in ("ready", "served")]
    assert done == [
        *("apply hot", "apply local", "service", "60 reads of shop.sophia-demo.example.com", "good change"),
        *("fill 4000", "start writing", "flush pages at 1000", "stop writing", "ask the writer to stop"),
    ]
    assert "evict hot-cache-0" in cluster.api.done


def test_every_release_is_bound_and_only_the_good_one_waits_until_it_is_warm(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[dict[str, Any]] = []
    apply = cluster.api.apply

    def note(obj: dict[str, Any]) -> dict[str, Any]:
        applied.append(obj)
        return apply(obj)

    monkeypatch.setattr(cluster.api, "apply", note)
    assert main(QUICK) == 0
    services = [obj["spec"] for obj in applied if obj["kind"] == "ManagedService"]
    assert [spec["bindings"]["caches"][0]["name"] for spec in services] == ["local"] * 3
    warm = [[stage.get("warmPercent") for stage in spec["rollout"]["stages"]] for spec in services]
    assert warm == [[None] * 4, [100, None, None, None], [None] * 4]


def test_what_happens_is_said_line_by_line(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(QUICK) == 0
    said = text_of(capsys)
    for line in (
        "cache hot TierReady: clients are served by hot-cache-1, 2/2 nodes ready",
        "shop-2 has 60 of the 60 entries of the release before",
        "hot-cache-0, the primary, is evicted",
        "hot-cache-1 is the primary,",
        "a flush of 4000 keys begins, at 1000 keys a second",
        "entries copied for the good release │ 60",
        "a read from the origin / Redis / memory, median │ 50.0 ms / 4.0 ms / 1.0 ms",
        "hit ratio, cache empty / full │ 0 % / 100 %",
        "the primary handed over in │ 2.0 s",
        "writes acknowledged / refused / lost │ 1000 / 3 / 0",
        "the flush, held to 1000 keys a second │ Done: 4000 of 4000 keys in 6.0 s",
    ):
        assert line in said


@pytest.mark.parametrize(
    ("changes", "where", "value"),
    [
        ({"lost": [7]}, ("handOver", "lost"), 1),
        ({"past": {**PAST, "planned": False}}, ("handOver", "planned"), False),
        ({"accounts": Books((), ("x",), 9.0)}, ("handOver", "acknowledged"), 0),
        ({"flushed": {**FLUSHED, "phase": "Stopped"}}, ("flushed", "phase"), "Stopped"),
        ({"flushed": {**FLUSHED, "deleted": 3999}}, ("flushed", "deleted"), 3999),
        ({"flushed": {**FLUSHED, "startedAt": objects.ago(3)}}, ("flushed", "seconds"), 2.0),  # too quick
        ({"left": 1}, ("flushed", "left"), 1),
        ({"levels": ["origin", "origin", "hot", "local"]}, ("warmth", "found"), 0),
        ({"levels": ["hot", "origin", "origin", "local"]}, ("reads", "fullHitPercent"), 50.0),
        ({"seconds": {"origin": 0.05, "hot": 0.06, "local": 0.001}}, ("reads", "redisMs"), 60.0),
        ({"seconds": {"origin": 0.05, "hot": 0.004, "local": 0.05}}, ("reads", "memoryMs"), 50.0),
        ({"levels": ["hot", "origin", "hot", "hot"]}, ("reads", "memoryMs"), None),
        ({"tier": tier(warmUps=[{**WARM, "warmed": 0}])}, ("warmth", "copied"), 0),
        ({"tier": tier(warmUps=[{**WARM, "endedAt": objects.ago(-1)}])}, ("warmth", "beforeTrafficSeconds"), -1.0),
        ({"tier": tier(NOT_READY)}, ("ready",), False),
    ],
)
def test_what_is_not_as_it_should_be_is_a_failure(
    cluster: FakeCluster, changes: dict[str, Any], where: tuple[str, ...], value: object
) -> None:
    for name, change in changes.items():
        setattr(cluster.shelf, name, change)
    assert main(QUICK) == 1
    found: Any = cache_figures()
    for part in where:
        found = found[part]
    assert found == value
    assert figures()["failure"] is None


@pytest.mark.parametrize(
    "warm_up", [None, {**WARM, "release": "shop-3"}, {**WARM, "phase": "Running"}, {**WARM, "phase": "Failed"}]
)
def test_a_release_that_was_not_warmed_is_a_failure(cluster: FakeCluster, warm_up: dict[str, Any] | None) -> None:
    cluster.shelf.tier = tier(warmUps=[warm_up] if warm_up else [])
    assert main(QUICK) == 1
    assert cache_figures()["warmth"] is None


def test_a_cache_that_does_not_come_up_is_a_failure_in_words(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    cluster.shelf.tier = tier(NOT_READY)
    cluster.shelf.coming = raising(TimeoutError("waited 120 s for hot to be Ready"))
    assert main(QUICK) == 1
    assert figures()["failure"] == "waited 120 s for hot to be Ready"
    assert (cache_figures()["ready"], cache_figures()["reads"]) == (False, None)
    told = capsys.readouterr()
    assert "error: waited 120 s for hot to be Ready\n" in told.err
    assert "NoPrimary: no node is the primary yet" in " ".join(told.out.split())
    assert cluster.api.done[-1] == "down"


def test_a_release_with_one_pod_is_a_failure_in_words(cluster: FakeCluster) -> None:
    cluster.shelf.pods = ["192.0.2.20"]
    assert main(QUICK) == 1
    assert figures()["failure"] == "shop-2 should have two pods that are ready, and has 1"


def test_a_hand_over_that_does_not_end_leaves_what_was_measured(cluster: FakeCluster) -> None:
    cluster.shelf.switching = raising(TimeoutError("waited 60 s for hot to have another primary"))
    assert main(QUICK) == 1
    found = cache_figures()
    assert (found["reads"]["redisMs"], found["handOver"], found["flushed"]) == (4.0, None, None)


def test_an_eviction_that_must_wait_is_tried_again(cluster: FakeCluster) -> None:
    cluster.api.refusals = [ApiError(429, "the budget forbids it")]
    assert main(QUICK) == 0
    assert "evict hot-cache-0" in cluster.api.done


def test_an_eviction_that_is_refused_for_good_is_a_failure_in_words(cluster: FakeCluster) -> None:
    cluster.api.refusals = [ApiError(403, "you may not")]
    assert main(QUICK) == 1
    assert figures()["failure"] == "403: you may not"


@pytest.mark.parametrize("which", ["no_pods", "no_service"])
def test_where_pods_cannot_be_reached_the_release_is_warmed_and_the_rest_is_left_out(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    setattr(cluster.rig, which, "no way from here")
    assert main(QUICK) == 0
    found = cache_figures()
    assert (found["skipped"], found["reads"], found["handOver"]) == ("no way from here", None, None)
    assert (found["warmth"]["copied"], found["warmth"]["found"]) == (60, None)
    assert "its reads, hand-over and flush │ left out: no way from here" in text_of(capsys)
    assert "fill 4000" not in cluster.shelf.done


def test_proxies_are_given_time_before_a_service_is_called_out_of_reach(cluster: FakeCluster) -> None:
    cluster.shelf.late, cluster.rig.no_service = True, "no way to Services"
    assert main(QUICK) == 0
    assert cluster.shelf.done.index("served") > cluster.shelf.done.index("ready")
    assert cache_figures()["skipped"] == "no way to Services"


def test_a_cache_that_nobody_can_use_from_here_must_warm_all_the_same(cluster: FakeCluster) -> None:
    cluster.rig.no_pods = "no way from here"
    cluster.shelf.tier = tier(warmUps=[])
    assert main(QUICK) == 1


def test_an_interrupt_during_the_hand_over_waits_for_no_writer(cluster: FakeCluster) -> None:
    never = threading.Event()

    def switching() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        never.wait(SECONDS)

    cluster.shelf.switching = switching
    try:
        assert main(QUICK) == 130
        assert "stop writing" not in cluster.shelf.done
        assert cluster.shelf.done[-1] == "ask the writer to stop"
        assert cluster.api.done[-1] == "down"
    finally:
        never.set()


def test_the_condition_of_a_tier_is_as_the_rig_waits_for_it() -> None:
    assert tier()["status"]["conditions"] == [READY]
    assert tier()["spec"]["level"] == "Redis"
