"""The process dies, loses its Lease, or is not answered, in the middle of what it does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sophia_operator.ports import Models
from sophia_operator.runtime.models.fence import FencedModels
from tests.support.fake_cluster import Call, Fault
from tests.support.fake_models import Mood
from tests.support.fake_models_harness import ModelHarness
from tests.support.model_routes import http_route, model_route


class Deposed(ModelHarness):
    """A process whose Lease can be lost."""

    certain = True

    def models(self) -> Models:
        """As in ModelHarness."""
        return FencedModels(self.fake, lambda: self.certain)


def made(kind: str) -> ModelHarness:
    switch = {"forSeconds": 3, "windowSeconds": 10}
    return ModelHarness(routes=(model_route(switch=switch) if kind == "liteLLM" else http_route(switch=switch),))


async def day(harness: ModelHarness) -> None:
    """From the first start over a failover and back, by stages."""
    await harness.run_until(lambda: harness.serves("primary"), limit=300)
    harness.endpoint("primary").mood = Mood.GONE
    await harness.run_until(lambda: harness.serves("second"), limit=300)
    harness.endpoint("primary").mood = Mood.WELL
    await harness.run_until(lambda: harness.serves("primary"), limit=900)


def kinds(harness: ModelHarness) -> list[tuple[str, str]]:
    return [(s.kind.value, s.to) for s in harness.status().switches]


DAY = [("First", "primary"), ("Failover", "second"), ("Failback", "primary")]


@pytest.mark.parametrize("kind", ["liteLLM", "httpRoute"])
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
async def test_a_process_that_dies_again_and_again_gets_there_all_the_same(kind: str, fault: Fault) -> None:
    """Evidence is in memory alone, so each new process has a while to gather its own."""
    harness = made(kind)
    quiet_until = harness.now

    def hook(call: Call) -> Fault | None:
        nonlocal quiet_until
        if call.write is None or harness.now < quiet_until:
            return None
        quiet_until = harness.now + timedelta(seconds=15)
        return fault

    harness.cluster.hook = hook
    await day(harness)
    assert kinds(harness) == DAY
    assert harness.crashes >= 3
    await harness.stop()


@pytest.mark.parametrize("fault", [Fault.CONFLICT, Fault.LOST_ANSWER, Fault.UNAVAILABLE])
async def test_a_write_that_fails_is_made_again(fault: Fault) -> None:
    harness, tries = made("httpRoute"), list[Call]()

    def hook(call: Call) -> Fault | None:
        if call.write is None:
            return None
        tries.append(call)
        return fault if len(tries) % 2 else None

    harness.cluster.hook = hook
    await day(harness)
    assert kinds(harness) == DAY
    await harness.stop()


@pytest.mark.parametrize("number", range(1, 15))
async def test_a_new_process_at_each_step_goes_on_where_the_old_one_was(number: int) -> None:
    """Each write of a failover and the way back is once the last one of a process."""
    harness = made("liteLLM")
    await harness.run_until(lambda: harness.serves("primary"))
    first = len(harness.cluster.writes)
    harness.cluster.hook = lambda call: Fault.CRASH_AFTER if call.write == first + number else None
    harness.endpoint("primary").mood = Mood.GONE
    await harness.run_until(lambda: harness.serves("second"), limit=300)
    harness.endpoint("primary").mood = Mood.WELL
    await harness.run_until(lambda: harness.serves("primary"), limit=900)
    assert harness.crashes == 1
    assert kinds(harness) == DAY
    await harness.stop()


async def test_a_process_without_its_lease_asks_nobody_and_blames_nobody() -> None:
    harness = Deposed()
    await harness.run_until(lambda: harness.serves("primary"))
    harness.certain = False
    await harness.run(1)
    asked = {name: len(harness.endpoint(name).asked_at) for name in ("primary", "second", "third")}
    rounds = harness.fake.rounds
    await harness.run(30)
    assert {name: len(harness.endpoint(name).asked_at) for name in asked} == asked
    assert harness.fake.rounds == rounds
    assert {harness.state(name) for name in asked} == {"Healthy"}
    harness.certain = True
    harness.endpoint("primary").mood = Mood.GONE
    await harness.run_until(lambda: harness.serves("second"))
    await harness.stop()
