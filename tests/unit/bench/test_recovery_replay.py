"""The replay of recovery: its traces are what they say, and a wrong policy or engine misses its goals."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any, Final

import pytest

from bench import figures, recovery_replay, recovery_world
from bench.recovery_traces import NOISE_SECONDS, TARGETS, TRACES, Fault, Trace
from bench.recovery_world import World

FOR_SECONDS: Final = 30
INFINITE: Final = float("inf")


def replayed(*faults: Fault, seconds: float = 600, storms: tuple[tuple[float, float], ...] = ()) -> World:
    world = World(Trace("test", "", seconds, tuple(faults), storms))
    world.run()
    return world


def with_policy(monkeypatch: pytest.MonkeyPatch, **rule: Any) -> None:
    changed = recovery_world._SPEC.rules[0].model_copy(update=rule)
    spec = recovery_world._SPEC.model_copy(update={"rules": [changed]})
    monkeypatch.setattr(recovery_world, "_SPEC", spec)


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_the_same_for_a_seed_and_in_order(name: str) -> None:
    made = TRACES[name](Random(7), 6.0)
    assert made == TRACES[name](Random(7), 6.0) != TRACES[name](Random(8), 6.0)
    assert made.faults
    assert all(0 <= f.target < TARGETS and f.begins < f.ends for f in made.faults)


def test_noise_has_a_tail_that_is_long_enough_to_be_answered() -> None:
    noise = [f.ends - f.begins for f in TRACES["ambient"](Random(1), 240.0).faults if f.ends < INFINITE]
    assert sum(noise) / len(noise) == pytest.approx(NOISE_SECONDS, rel=0.1)
    assert 0.002 < sum(seconds > FOR_SECONDS for seconds in noise) / len(noise) < 0.02


def test_a_fault_that_an_act_cures_is_recovered_by_the_first() -> None:
    world = replayed(Fault(3, 10.0, INFINITE, cured_by=0))
    (act,) = world.acts.values()
    assert (act.target, act.verified, act.false_fire) == (3, "Helped", False)
    assert act.claimed == pytest.approx(10 + FOR_SECONDS, abs=3)
    assert world.recovered == [pytest.approx(FOR_SECONDS + 14, abs=4)]


def test_a_fault_that_only_the_second_action_cures_takes_both() -> None:
    world = replayed(Fault(3, 10.0, INFINITE, cured_by=1))
    assert [a.verified for a in world.acts.values()] == ["NoChange", "Helped"]


def test_a_fault_that_nothing_cures_is_given_up() -> None:
    world = replayed(Fault(3, 10.0, INFINITE))
    assert [a.verified for a in world.acts.values()] == ["NoChange", "NoChange"]
    assert (world.gave_up, world.recovered) == (1, [])


def test_what_goes_as_an_act_begins_is_a_false_fire() -> None:
    world = replayed(Fault(3, 10.0, 10.0 + FOR_SECONDS + 5, takes=8.0))
    assert [(a.false_fire, a.told_false) for a in world.acts.values()] == [(True, False)], "the operator cannot know"
    world = replayed(Fault(3, 10.0, 10.0 + FOR_SECONDS + 0.5, takes=8.0))
    assert [(a.false_fire, a.told_false) for a in world.acts.values()] == [(True, True)]


def test_an_eager_policy_acts_on_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Fault(3, 10.0, 20.0)
    assert replayed(noise).acts == {}
    with_policy(monkeypatch, for_seconds=0)
    assert len(replayed(noise).acts) == 1


def test_an_engine_that_sees_no_storm_acts_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [Fault(n, 10.0 + n / 5, 300.0, of_storm=True) for n in range(15)]
    assert replayed(*many, storms=((10.0, 300.0),)).acts == {}
    monkeypatch.setattr("sophia_operator.core.recovery.decide.storm_of", lambda *_: None)
    monkeypatch.setattr(
        "sophia_operator.core.recovery.scene.storms_of", lambda of, *_: dict.fromkeys(p.name for p in of)
    )
    acts = replayed(*many, storms=((10.0, 300.0),)).acts
    assert acts
    assert all(a.in_storm for a in acts.values())


def test_the_figures_say_whether_goals_were_met(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "OUT", tmp_path)
    short = Trace("slow burn", "one", 300, (Fault(3, 10.0, INFINITE, cured_by=0),))
    monkeypatch.setattr(recovery_replay, "TRACES", {"slow burn": lambda *_: short})
    assert recovery_replay.main(["--hours", "1"]) == 0
    found = json.loads((tmp_path / "recovery-replay.json").read_text())
    assert found["whole"]["helpedPercent"] == 100
    hopeless = replace(short, faults=(Fault(3, 10.0, INFINITE),))
    monkeypatch.setattr(recovery_replay, "TRACES", {"slow burn": lambda *_: hopeless})
    assert recovery_replay.main(["--hours", "1"]) == 1
    assert "1 h of each trace" in capsys.readouterr().out
