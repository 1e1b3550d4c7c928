"""Stages that ask for a warm cache: what they wait for, what they never wait for, and what they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from sophia_operator.api.binding_version import BindingKind
from sophia_operator.api.cache_tier_status import WarmUpPhase, WarmUpStatus
from sophia_operator.api.conditions import ConditionType, find, is_true
from sophia_operator.api.release import Intent
from sophia_operator.core.bound import binding_version, content_of, tiers_of
from sophia_operator.core.findings import Samples
from sophia_operator.core.views import BindingView, CacheView, LevelView
from tests.support.sim import Sim, settled, sim, until

_A, _B = "v1:" + "a" * 64, "v1:" + "b" * 64
BOUND: Final = BindingView(
    BindingKind.CACHE_TIER,
    "near",
    (),
    "near-cache-binding",
    _A,
    own_generation=True,
    chain='{"levels":[]}',
    levels=(LevelView("far", "far-cache-binding", _B),),
)
SPEC: Final[dict[str, Any]] = {"bindings": {"caches": [{"name": "near"}]}}
#: Later than any release here begins.
AT: Final = datetime(2036, 1, 1, tzinfo=UTC)


def stages(first: int | None, last: int | None) -> dict[str, Any]:
    plan = [
        {"weightPercent": 25, "observeSeconds": 30, "warmPercent": first},
        {"weightPercent": 100, "observeSeconds": 30, "warmPercent": last},
    ]
    return {"rollout": {"stages": [{k: v for k, v in stage.items() if v is not None} for stage in plan]}}


def cache(percent: int | None = None, phase: WarmUpPhase = WarmUpPhase.RUNNING, message: str = "", **more: Any) -> Any:
    """A tier that warms `app-2` up, as far as it says."""
    ups = {}
    if percent is not None:
        up = WarmUpStatus(release="app-2", phase=phase, percent=percent, message=message, started_at=AT)
        ups["app-2"] = up
    return CacheView(warms=more.get("warms", True), warm_ups=ups)


def rolling(far: CacheView | None, first: int | None = 50, last: int | None = None) -> Sim:
    """A service that is bound to a chain of two tiers, while its second release is made."""
    world = settled()
    world.bindings = (BOUND,)
    world.caches = {"near": cache(warms=False)} | ({"far": far} if far is not None else {})
    world.change(image="app:2", **SPEC, **stages(first, last))
    return world


def held(world: Sim) -> tuple[str, str]:
    found = find(world.releases["app-2"].status.conditions, ConditionType.READY)
    assert found is not None
    return found.reason, found.message


def stalls(world: Sim) -> bool:
    return is_true(world.service.status.conditions, ConditionType.STALLED)


@pytest.mark.parametrize(
    ("far", "reason", "words", "stalled"),
    [
        (cache(), "WarmingUp", "CacheTier far has not begun to warm app-2 up", False),
        (
            cache(49),
            "WarmingUp",
            "49 % of what app-2 reads, 50 % are needed; the warm-up is under way",
            False,
        ),
        (cache(0, WarmUpPhase.PAUSED, "the origin is busy"), "WarmingUp", "is paused: the origin is busy", False),
        (cache(90, WarmUpPhase.FAILED, "timeout"), "WarmUpFailed", "failed to warm app-2 up, at 90 %: timeout", True),
        (cache(40, WarmUpPhase.DONE), "WarmUpFailed", "is done with app-2 at 40 %, 50 % are needed", True),
        (cache(warms=False), "WarmUpFailed", "CacheTier near (nor far below it) has no spec.warmUp: add it", True),
        (None, "TierNotFound", "CacheTier far is missing or cannot be read", True),
    ],
)
def test_without_evidence_no_stage_begins(far: CacheView | None, reason: str, words: str, stalled: bool) -> None:
    world = rolling(far)
    world.run(300)  # longer than every deadline
    assert world.state("app-2") == "SmokeTesting"
    assert world.weight_of("app-2") == 0
    assert held(world)[0] == reason
    assert words in held(world)[1]
    assert stalls(world) is stalled


def test_as_warm_as_asked_for_is_enough() -> None:
    world = rolling(cache(50))
    until(world, "app-2", "Promoted")


def test_every_tier_of_the_chain_that_warms_must_be_warm() -> None:
    world = rolling(cache(100, WarmUpPhase.DONE))
    world.caches["near"] = cache(10)
    world.run(60)
    assert "CacheTier near has filled 10 %" in held(world)[1]
    world.caches["near"] = cache(60)
    until(world, "app-2", "Promoted")


def test_what_waits_for_a_person_is_told_before_what_ends_by_itself() -> None:
    world = rolling(cache(10, WarmUpPhase.FAILED))
    world.caches["near"] = cache(10)
    world.run(60)
    assert held(world)[0] == "WarmUpFailed"


def test_a_later_stage_waits_too_and_its_gates_are_looked_at_meanwhile() -> None:
    world = rolling(cache(60), last=80)
    until(world, "app-2", "Shifting", stage=0)
    world.run(600)
    assert world.weight_of("app-2") == 25
    assert held(world)[0] == "WarmingUp"
    world.metrics = lambda _: Samples({"total": 1000.0, "errors": 500.0})
    world.run(30)
    assert world.state("app-2") in ("RollingBack", "RolledBack")
    assert world.weight_of("app-2") == 0


def test_a_later_stage_goes_on_once_it_is_warm() -> None:
    world = rolling(cache(60), last=80)
    until(world, "app-2", "Shifting", stage=0)
    world.run(100)
    world.caches["far"] = cache(80)
    until(world, "app-2", "Promoted")


def test_pods_that_are_gone_meanwhile_are_dealt_with_as_ever() -> None:
    world = rolling(cache(10))
    world.run(20)
    world.broken.add("app-2")
    world.run(90)
    assert world.state("app-2") == "Failed"


def test_who_promotes_does_not_wait() -> None:
    world = rolling(cache(10), last=90)
    world.run(20)
    world.intend("app-2", Intent.PROMOTE)
    until(world, "app-2", "Promoted")


def test_an_abort_wins() -> None:
    world = rolling(cache(10))
    world.run(20)
    world.intend("app-2", Intent.ABORT)
    world.run(2)
    assert world.state("app-2") in ("RollingBack", "RolledBack")


def test_what_failed_may_be_tried_again_and_is_warmed_anew() -> None:
    world = rolling(cache(10, WarmUpPhase.FAILED))
    world.run(20)
    assert "retry it" in held(world)[1]
    world.intend("app-2", Intent.ABORT)
    until(world, "app-2", "RolledBack")
    before = WarmUpStatus(release="app-2", phase=WarmUpPhase.FAILED, percent=10, started_at=world.now)
    world.caches["far"] = CacheView(warms=True, warm_ups={"app-2": before})
    world.run(20)
    world.intend("app-2", Intent.RETRY)
    until(world, "app-2", "SmokeTesting")
    world.run(20)
    assert held(world) == ("WarmingUp", held(world)[1])
    assert "has not begun" in held(world)[1]
    again = before.model_copy(update={"started_at": world.now, "phase": WarmUpPhase.RUNNING, "percent": 50})
    world.caches["far"] = CacheView(warms=True, warm_ups={"app-2": again})
    until(world, "app-2", "Promoted")


def test_what_all_releases_share_is_not_waited_for() -> None:
    world = rolling(None)
    world.bindings = (replace(BOUND, own_generation=False),)
    until(world, "app-2", "Promoted")


@pytest.mark.parametrize("asked", [None, 0])
def test_who_asks_for_nothing_waits_for_nothing(asked: int | None) -> None:
    until(rolling(None, first=asked), "app-2", "Promoted")


def test_the_first_release_waits_for_the_most_that_a_stage_asks_for() -> None:
    world = sim(**SPEC, **stages(10, 90))
    world.bindings = (BOUND,)
    world.caches = {"near": cache(warms=False), "far": CacheView(warms=True)}
    world.run(20)
    assert world.state("app-1") == "SmokeTesting"
    done = WarmUpStatus(release="app-1", phase=WarmUpPhase.RUNNING, percent=89, started_at=AT)
    world.caches["far"] = CacheView(warms=True, warm_ups={"app-1": done})
    world.run(20)
    assert world.state("app-1") == "SmokeTesting"
    done = done.model_copy(update={"percent": 100, "phase": WarmUpPhase.DONE})
    world.caches["far"] = CacheView(warms=True, warm_ups={"app-1": done})
    world.run(20)
    assert world.state("app-1") == "Promoted"


# --- what a binding is for the hash of a release ---


@pytest.mark.parametrize(
    "changes",
    [
        {"hash": _B},
        {"own_generation": False},
        {"chain": '{"levels":[1]}'},
        {"levels": ()},
        {"levels": (LevelView("far", "far-cache-binding", _A),)},
        {"levels": (LevelView("deep", "far-cache-binding", _B),)},
        {"containers": ("app",)},
    ],
)
def test_every_part_of_a_cache_binding_is_in_the_hash(changes: dict[str, Any]) -> None:
    one, other = (binding_version("app", view) for view in (BOUND, replace(BOUND, **changes)))
    assert one is not None
    assert other is not None
    assert content_of(one) != content_of(other)
    assert tiers_of(one) == ("near", "far")


def test_a_binding_that_lacks_a_level_is_none() -> None:
    missing = LevelView("far", "far-cache-binding", None)
    assert binding_version("app", BindingView(BindingKind.CACHE_TIER, "near", (), "s", _A, levels=(missing,))) is None
