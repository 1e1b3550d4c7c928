"""No password is told, whatever goes wrong: not in logs, metrics, statuses, events, nor in what things show of
themselves."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable

import pytest

from sophia_operator.core.pool.findings import InstanceRequest, ServerRequest
from sophia_operator.ports import ClusterError, Refusal
from tests.support.fake_cluster import Call, Fault
from tests.support.fake_pools_harness import CREDENTIALS, PoolHarness

_CANARY = "canary-in-a-coal-mine"


def harness() -> PoolHarness:
    made = PoolHarness()
    made.fake.hosts["db"].password = _CANARY
    made.set_secret(username="app", password=_CANARY)
    return made


def goes_down(world: PoolHarness) -> None:
    world.fake.hosts["db"].up = False


def gets_another_password(world: PoolHarness) -> None:
    world.set_secret(CREDENTIALS, username="app", password=f"{_CANARY}-2")


def becomes_no_text(world: PoolHarness) -> None:
    data = {"username": "YXBw", "password": base64.b64encode(_CANARY.encode() + b"\xff").decode()}
    world.cluster.edit("Secret", CREDENTIALS, lambda o: o.update(data=data))


def raises(world: PoolHarness) -> None:
    async def fails(request: ServerRequest | InstanceRequest) -> object:
        raise RuntimeError(f"not expected: {request}")

    world.fake.server = world.fake.instance = fails  # type: ignore[method-assign,assignment]


def refuses_secrets(world: PoolHarness) -> None:
    def hook(call: Call) -> Fault | None:
        if call.write is not None and call.kind == "Secret":
            raise ClusterError(Refusal.FORBIDDEN, "may not write Secrets")
        return None

    world.cluster.hook = hook
    world.set_secret(CREDENTIALS, username="app", password=f"{_CANARY}-3")
    world.fake.hosts["db"].password = f"{_CANARY}-3"


@pytest.mark.parametrize("event", [goes_down, gets_another_password, becomes_no_text, raises, refuses_secrets])
async def test_nothing_tells_a_password(event: Callable[[PoolHarness], None], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = harness()
    await world.run_until(world.settled)
    before = len(caplog.records)
    event(world)
    await world.run(90)
    made = world.content("orders-pool-access")
    secrets = [_CANARY, *made.values()]
    secrets += [base64.b64encode(secret.encode()).decode().rstrip("=")[:-1] for secret in secrets]
    loop = world.loop
    told = [
        caplog.text,
        world.telemetry.exposition().decode(),
        str(world.pool()),
        str([notice for _, notice in world.cluster.events]),
        repr(loop._found),
        repr(loop._prober.kept),
        repr(loop._prober._asked),
        repr(loop._watch._request),
    ]
    for text in told:
        assert not [secret for secret in secrets if secret in text]
    # It did go wrong.
    assert len(caplog.records) > before or loop._found.blockers or not world.is_true("Healthy")
