from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import Flavor
from sophia_operator.adapters.redis import RedisCaches


@pytest.fixture(scope="session", params=list(Flavor))
def flavor(request: pytest.FixtureRequest) -> Flavor:
    """Everything is tested with Redis and with Valkey."""
    chosen: Flavor = request.param
    return chosen


@pytest.fixture(scope="session")
def _shared(flavor: Flavor) -> Iterator[RedisServer]:
    with server(flavor) as running:
        yield running


@pytest.fixture
def lasting(_shared: RedisServer) -> RedisServer:
    """A server, empty, for tests that leave it as it was but for its keys."""
    _shared.call("FLUSHALL")
    return _shared


@pytest.fixture
def fresh(flavor: Flavor) -> Iterator[RedisServer]:
    """A server of the test's own."""
    with server(flavor) as running:
        yield running


@pytest.fixture
async def caches() -> AsyncIterator[RedisCaches]:
    made = RedisCaches()
    yield made
    await made.close()
