from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sophia_operator.adapters.models import HttpModels
from tests.support.openai_server import OpenAiServer


@pytest.fixture
async def models() -> AsyncIterator[HttpModels]:
    made = HttpModels()
    yield made
    await made.close()


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with OpenAiServer("primary", models=["gpt-4o-mini"]) as running:
        yield running
