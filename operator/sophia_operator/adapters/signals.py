"""Receivers of signals: webhooks by HTTP, and Redis Streams."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sophia_operator.adapters.postgres_names import Resolver
from sophia_operator.adapters.redis_session import Resolve
from sophia_operator.adapters.signals_redis import Streams
from sophia_operator.adapters.signals_webhook import Webhooks
from sophia_operator.core.recovery.signal_request import SignalRequest, WebhookPlace


class OutsideSignals:
    """Implements `ports.Signals`. `now` is the time that signatures hold."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        resolve: Resolve | None = None,
    ) -> None:
        self._resolver = Resolver()
        self._webhooks = Webhooks(resolve or self._resolver, now)
        self._streams = Streams(resolve or self._resolver)

    async def send(self, request: SignalRequest) -> str | None:
        """Tell a receiver; None when it took the signal, else why not, with nothing secret in it."""
        if isinstance(request.to, WebhookPlace):
            return await self._webhooks.send(request, request.to)
        return await self._streams.send(request, request.to)

    async def close(self) -> None:
        """Close every connection."""
        await self._webhooks.close()
        self._resolver.close()
