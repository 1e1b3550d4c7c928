"""RecoveryActions that ask a route for another model, with everything around it in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sophia_operator.api.recovery_action_status import ActStatus
from tests.support.fake_cluster import Fault, at_write
from tests.support.fake_models import Mood
from tests.support.fake_models_harness import ModelHarness
from tests.support.model_routes import NAME, NAMESPACE, http_route, model_route

ACTION = "answers-switch-1"


@pytest.fixture(params=["liteLLM", "httpRoute"])
async def settled(request: pytest.FixtureRequest) -> AsyncIterator[ModelHarness]:
    """A route whose best model serves, by each kind of gateway, and which leaves no model by itself for long."""
    slow: dict[str, Any] = {"switch": {"forSeconds": 600}}
    made = ModelHarness(routes=(model_route(**slow) if request.param == "liteLLM" else http_route(**slow),))
    await made.run_until(lambda: made.serves("primary"))
    yield made
    await made.stop()


def claim(made: ModelHarness, name: str = ACTION, phase: str = "Claimed", **spec: Any) -> None:
    """A RecoveryAction about the route is claimed."""
    now = f"{made.now:%Y-%m-%dT%H:%M:%SZ}"
    made.cluster.add(
        {
            "apiVersion": "sophia.ai/v1alpha1",
            "kind": "RecoveryAction",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "target": {"kind": "ModelRoute", "name": NAME},
                "action": "SwitchModel",
                "requestedBy": "jo",
                **spec,
            },
            "status": {"phase": phase, "claimedAt": now},
        }
    )


def act(made: ModelHarness, name: str = ACTION) -> ActStatus | None:
    """What the route says of it."""
    return next((a for a in made.status().acts if a.name == name), None)


def phase(made: ModelHarness, name: str = ACTION) -> str | None:
    found = act(made, name)
    return None if found is None else found.phase.value


async def test_a_model_that_hangs_is_left_as_soon_as_it_is_asked_for(settled: ModelHarness) -> None:
    settled.endpoint("primary").mood = Mood.HANGS
    await settled.run_until(lambda: settled.state("primary") == "Failing")
    assert settled.shares() == {"primary": 100}
    claim(settled)
    asked = settled.now
    await settled.run_until(lambda: settled.shares() == {"second": 100}, limit=2)
    assert (settled.now - asked).total_seconds() < 1
    await settled.run_until(lambda: phase(settled) == "Done")
    status, found = settled.status(), act(settled)
    assert found is not None
    past = status.switches[-1]
    assert (past.kind.value, past.from_model, past.to, found.subject) == ("Recovery", "primary", "second", "second")
    assert past.proved_at is not None
    assert found.did == [
        f"Recovery from primary to second: all requests to second by revision {status.revision}",
        f"asked 2 replicas: each serves by revision {status.revision}",
    ]
    assert {(r.revision, r.model) for r in status.replicas} == {(status.revision, "second")}
    assert status.preferred == "primary"
    assert sum(f"RecoveryAction {ACTION} asks for it" in n.message for _, n in settled.cluster.events) == 2
    settled.endpoint("primary").mood = Mood.WELL
    await settled.run_until(lambda: settled.serves("primary"), limit=500)
    assert settled.status().switches[-1].kind.value == "Failback"


async def test_what_the_route_did_by_itself_since_is_not_done_twice(settled: ModelHarness) -> None:
    settled.change(switch={"forSeconds": 2})
    await settled.run(2)
    began = f"{settled.now:%Y-%m-%dT%H:%M:%SZ}"
    settled.endpoint("primary").mood = Mood.GONE
    await settled.run_until(lambda: settled.serves("second"))
    revision, switches = settled.status().revision, len(settled.status().switches)
    trigger = {"policy": "p", "symptom": "ModelTimeout", "since": began, "step": 1, "timeoutSeconds": 60}
    claim(settled, requestedBy=None, trigger=trigger)
    await settled.run_until(lambda: phase(settled) == "Done", limit=3)
    assert (settled.status().revision, len(settled.status().switches)) == (revision, switches)
    found = act(settled)
    assert found is not None
    assert found.did == ["nothing more than Failover from primary to second before"]


async def test_a_pin_wins(settled: ModelHarness) -> None:
    settled.change(pin="primary")
    await settled.run(2)
    claim(settled, parameters={"model": "second"})
    await settled.run_until(lambda: phase(settled) == "Refused", limit=3)
    await settled.run(10)
    assert settled.shares() == {"primary": 100}
    found = act(settled)
    assert found is not None
    assert "spec.pin" in found.message


async def test_a_dry_run_and_what_was_not_claimed_are_not_the_routes(settled: ModelHarness) -> None:
    claim(settled, dryRun=True)
    claim(settled, "later", phase="Waiting")
    claim(settled, "begun", phase="Running")
    await settled.run(10)
    assert (settled.shares(), settled.status().acts) == ({"primary": 100}, [])


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("number", range(1, 5))
async def test_an_operator_that_ends_at_a_write_moves_traffic_once(number: int, fault: Fault) -> None:
    made = ModelHarness()
    await made.run_until(lambda: made.serves("primary"))
    first = len(made.cluster.writes)
    made.cluster.hook = at_write(first + number, fault)
    claim(made, parameters={"model": "third"})
    await made.run_until(lambda: phase(made) == "Done", limit=60)
    assert made.crashes == 1
    assert [s.to for s in made.status().switches if s.kind.value == "Recovery"] == ["third"]
    assert made.serves("third")
    await made.stop()


async def test_an_act_is_forgotten_with_its_action(settled: ModelHarness) -> None:
    claim(settled, parameters={"model": "second"})
    await settled.run_until(lambda: phase(settled) == "Done")
    settled.cluster.remove("RecoveryAction", ACTION)
    await settled.run_until(lambda: settled.status().acts == [], limit=3)
    assert settled.serves("second")
