"""Metrics about signals of recovery."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter

_KINDS: Final = ("Webhook", "Slack", "RedisStream")
_RESULTS: Final = ("Delivered", "Retried", "Dropped")


class SignalTelemetry:
    """Metrics about signals, in the operator's registry. Not by policy: receivers come and go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._signals = Counter(
            "sophia_recovery_signals",
            "Signals to receivers: Delivered, Retried (not taken, and tried again) or Dropped (given up on).",
            ("receiver_kind", "result"),
            registry=registry,
        )
        # So that the first one is an increase.
        for kind in _KINDS:
            for result in _RESULTS:
                self._signals.labels(kind, result)

    def ended(self, receiver_kind: str, result: str) -> None:
        """A try ended so, or a signal was dropped."""
        self._signals.labels(receiver_kind, result).inc()
