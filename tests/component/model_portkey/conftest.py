from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from hack.rig.portkey import Portkey, gateway
from tests.component.model_portkey.world import KEY, World
from tests.support.openai_server import OpenAiServer


@pytest.fixture(scope="session")
def portkey() -> Iterator[Portkey]:
    """A gateway for all tests: it keeps nothing of a request."""
    with gateway() as running:
        yield running


@pytest.fixture
async def world(portkey: Portkey) -> AsyncIterator[World]:
    async with (
        OpenAiServer("primary", models=["primary-model"], api_key=KEY) as primary,
        OpenAiServer("second", models=["second-model"], api_key=KEY) as second,
        httpx.AsyncClient(timeout=20, trust_env=False) as client,
    ):
        yield World(portkey, primary, second, client)
