"""Actions that are over go in time, or as too many, but nothing goes that a guard rail rests on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_operator.api.recovery_values import Symptom
from sophia_operator.core.recovery import kept
from sophia_operator.core.recovery.guards import obstacle, wish_of
from sophia_operator.core.recovery.past import end_of
from sophia_operator.core.recovery.scene import scene_of
from sophia_operator.core.recovery.views import ActionView, History, PolicyView
from tests.support import recovery_scene as scene
from tests.support.recovery_scene import NO, ORDERS, USERS, act, failed, helped
from tests.support.symptom_scene import at

HOUR: Final = 3600
FEW: Final[dict[str, Any]] = {"ttlSeconds": HOUR, "maxActions": 10}


def goes(actions: list[ActionView], *policies: PolicyView) -> dict[str, float]:
    """When each goes, in seconds after the start."""
    specs = [p.spec for p in policies]
    found = kept.ends(actions, kept.keep_of(specs), specs)
    return {action.name: (due - at(0)).total_seconds() for due, action in found}


def drills(number: int) -> list[ActionView]:
    """Dry runs, which no guard rail counts; they ended at 10."""
    return [act(f"drill-{n:02}", "Skipped", of=None, dryRun=True, claimed=None, ended=10) for n in range(number)]


def test_what_nothing_rests_on_goes_by_age_and_beyond_the_number_after_an_hour() -> None:
    found = goes(drills(12), scene.policy(keep={"ttlSeconds": 5 * HOUR, "maxActions": 10}))
    assert sorted(found.values()) == [10 + HOUR] * 2 + [10 + 5 * HOUR] * 10


def test_of_several_policies_the_longest_time_and_the_largest_number_count() -> None:
    both = scene.policy("a", keep={"ttlSeconds": 5 * HOUR, "maxActions": 10}), scene.policy("b", keep=FEW)
    assert set(goes(drills(10), *both).values()) == {10 + 5 * HOUR}


def test_what_is_not_over_does_not_go() -> None:
    assert goes([act("a", "Running"), act("b")], scene.policy(keep=FEW)) == {}


def test_an_open_breaker_is_not_forgotten_for_its_age() -> None:
    breaker = {"failures": 2, "openSeconds": 9 * HOUR}
    acts = [failed(f"f{n}", 100 + n) for n in range(3)]
    found = goes(acts, scene.policy(keep=FEW, breaker=breaker, cooldownSeconds=0, maxCooldownSeconds=0))
    assert found == {"f0": 100 + HOUR, "f1": 102 + 9 * HOUR, "f2": 102 + 9 * HOUR}


def test_failures_in_a_row_do_not_go_for_their_number() -> None:
    old = [failed(f"f{n}", n) for n in range(3)]
    policy = scene.policy(keep={"ttlSeconds": 24 * HOUR, "maxActions": 10})
    found = goes([*old, *drills(12)], policy)
    assert {found[a.name] for a in old} == {n + 24 * HOUR for n in range(3)}
    assert sum(due == 10 + HOUR for due in found.values()) == 5, "others go in their place"


def test_failures_stay_as_long_as_the_cool_down_after_an_act_that_was_not_verified() -> None:
    acts = [failed("f", 100), act("asked", "Succeeded", of=None, claimed=4990, ended=5000)]
    found = goes(acts, scene.policy(keep=FEW, cooldownSeconds=300, maxCooldownSeconds=8 * HOUR))
    assert found == {"f": 5000 + 8 * HOUR, "asked": 5000 + 8 * HOUR}


def test_one_that_helped_lets_failures_before_it_go() -> None:
    acts = [failed("f", 100), helped("h", 200)]
    found = goes(acts, scene.policy(keep=FEW, breaker={"failures": 1, "openSeconds": 9 * HOUR}))
    assert found == {"f": 100 + HOUR, "h": 200 + HOUR}


def test_a_long_cool_down_outlives_the_act_before_it() -> None:
    policy = scene.policy(keep=FEW, cooldownSeconds=4 * HOUR, maxCooldownSeconds=8 * HOUR)
    assert goes([helped("h", 200), helped("other", 300, target=USERS)], policy) == {
        "h": 200 + 8 * HOUR,
        "other": 300 + 8 * HOUR,
    }


_ACTIONS: Final = ("CancelStatement", "RefreshPlans")
_PAST: Final = st.lists(
    st.tuples(
        st.sampled_from([False] * 6 + [True]),
        st.sampled_from([ORDERS, USERS]),
        st.sampled_from(_ACTIONS),
        st.integers(20, 900),
    ),
    max_size=24,
)
_POLICIES: Final = st.fixed_dictionaries(
    {
        "cooldownSeconds": st.sampled_from([0, 1, 300, 86_400]),
        "maxCooldownSeconds": st.sampled_from([0, 3600, 604_800]),
        "breaker": st.fixed_dictionaries(
            {"failures": st.integers(1, 4), "openSeconds": st.sampled_from([1, 3600, 604_800])}
        ),
    }
)


@given(past=_PAST, rails=_POLICIES, later=st.integers(3601, 20_000) | st.integers(20_000, 700_000))
@settings(max_examples=300)
def test_no_cool_down_or_breaker_changes_with_what_went(past: list[Any], rails: dict[str, Any], later: int) -> None:
    rails["maxCooldownSeconds"] = max(rails["cooldownSeconds"], rails["maxCooldownSeconds"])
    policy = scene.policy("pools", scene.rule("SlowQueries", *_ACTIONS, forSeconds=0), mode="Auto", keep=FEW, **rails)
    made, ended = list[ActionView](), 0
    for number, (well, target, action, gap) in enumerate(past):
        ended += gap
        made.append((helped if well else failed)(f"a{number}", ended, action=action, target=target))
    now = at(ended + later)
    gone = {a.uid for due, a in kept.ends(made, kept.keep_of([policy.spec]), [policy.spec]) if due <= now}
    assert all(now - end_of(a) >= timedelta(hours=1) for a in made if a.uid in gone)
    seen = scene.seen([policy], dict.fromkeys(((key, Symptom.SLOW_QUERIES) for key in (ORDERS, USERS)), NO))
    for target in (ORDERS, USERS):
        for action in _ACTIONS:
            asked = act("asked", action=action, target=target, symptom="SlowQueries", since=ended + later)
            before, after = (
                obstacle(wish_of(asked, of), scene_of([policy], seen, History(actions=tuple(of)), now))
                for of in ([*made, asked], [*(a for a in made if a.uid not in gone), asked])
            )
            assert (before and (before.reason, before.until)) == (after and (after.reason, after.until))
