"""Metrics about signals of recovery."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter

#: Of a policy that cannot be read it may not be known which receivers it has.
UNKNOWN_KIND: Final = "Unknown"
_KINDS: Final = ("Webhook", "Slack", "RedisStream", UNKNOWN_KIND)
_RESULTS: Final = ("Delivered", "Retried", "Dropped")
_BY_HTTP: Final = ("Webhook", "Slack")
#: Answers that are told apart; a receiver may answer anything, and others are counted together.
_STATUSES: Final = ("400", "401", "403", "404", "405", "410", "413", "415", "422")
_OTHER: Final = "other"


class SignalTelemetry:
    """Metrics about signals, in the operator's registry. Not by policy: receivers come and go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._signals = Counter(
            "sophia_recovery_signals",
            "Signals to receivers: Delivered, Retried (not taken, and tried again) or Dropped (given up on).",
            ("receiver_kind", "result"),
            registry=registry,
        )
        self._refused = Counter(
            "sophia_recovery_signals_refused",
            "Signals that were dropped at once, since the receiver answered with a status that is final.",
            ("receiver_kind", "status"),
            registry=registry,
        )
        # So that the first one is an increase.
        for kind in _KINDS:
            for result in _RESULTS:
                self._signals.labels(kind, result)
        for kind in _BY_HTTP:
            for status in (*_STATUSES, _OTHER):
                self._refused.labels(kind, status)

    def ended(self, receiver_kind: str, result: str) -> None:
        """A try ended so, or a signal was dropped."""
        self._signals.labels(receiver_kind, result).inc()

    def refused(self, receiver_kind: str, status: int) -> None:
        """A receiver answered so, which is final."""
        self._refused.labels(receiver_kind, str(status) if str(status) in _STATUSES else _OTHER).inc()
