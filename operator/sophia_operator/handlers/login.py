"""The framework reaches the API server the same way as the rest of the operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

#: Gives the framework's credentials, anew each time it is refused.
Reach = Callable[[], Awaitable[kopf.ConnectionInfo]]


def register(registry: kopf.OperatorRegistry, reach: Reach) -> None:
    """Register the login."""

    @kopf.on.login(registry=registry, retries=5)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await reach()
