from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from hack.rig.redis import RedisServer, server
from hack.rig.redis_base import Flavor
from tests.component.cache_work_real.keeper import Operator


@pytest.fixture(scope="module", params=list(Flavor))
def _shared(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with server(request.param) as running:
        yield running


@pytest.fixture
def redis(_shared: RedisServer) -> RedisServer:
    """A Redis, or a Valkey, without keys."""
    _shared.call("FLUSHALL")
    return _shared


@pytest.fixture
async def operator(redis: RedisServer) -> AsyncIterator[Operator]:
    """The operator of one tier, whose primary is that server."""
    made = Operator(redis)
    yield made
    await made.close()
