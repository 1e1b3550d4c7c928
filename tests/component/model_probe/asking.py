"""Short ways to probe a server and to say what came of it."""

from __future__ import annotations

from typing import Any

from sophia_operator.adapters.models import HttpModels
from sophia_operator.core.model.findings import Completion, ModelFailure, ModelProbeRequest


def request(url: str, **others: Any) -> ModelProbeRequest:
    """A probe that waits for 5 seconds at most."""
    given: dict[str, Any] = {
        "name": "primary", "base_url": url, "model": "gpt-4o-mini", "prompt": "Say ready.", "max_tokens": 8,
        "timeout_seconds": 5.0,
    }  # fmt: skip
    return ModelProbeRequest(**(given | others))


async def answered(models: HttpModels, url: str, **others: Any) -> Completion:
    """The completion; fails the test when there is none."""
    answer = (await models.probe(request(url, **others))).answer
    assert isinstance(answer, Completion), answer
    return answer


async def failed(models: HttpModels, url: str, **others: Any) -> ModelFailure:
    """The failure; fails the test when there is none."""
    answer = (await models.probe(request(url, **others))).answer
    assert isinstance(answer, ModelFailure), answer
    return answer
