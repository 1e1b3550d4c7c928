"""Requests to receivers, with what their Secrets hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.recovery_signal import RedisStream, SecretKeyRef, Signal, Webhook, WebhookFormat
from sophia_operator.api.secret_refs import CaRef
from sophia_operator.core.recovery.signal_request import SignalRequest, StreamPlace, WebhookPlace
from sophia_operator.core.recovery.signal_words import CLOUD_EVENTS_JSON, JSON, SignalMessage, cloud_event, slack
from sophia_operator.ports import Cluster, ClusterError
from sophia_operator.runtime.secret_reading import MissingError, SecretReader, require_pem, text_of
from sophia_operator.runtime.store import ObjectStore

_STREAM_SECONDS: Final = 5.0


class ReceiverKind(StrEnum):
    """Kinds of receivers, as metrics tell them apart."""

    WEBHOOK = "Webhook"
    SLACK = "Slack"
    REDIS_STREAM = "RedisStream"


def kind_of(signal: Signal) -> str:
    """The kind of a receiver."""
    if signal.webhook is None:
        return ReceiverKind.REDIS_STREAM.value
    is_slack = signal.webhook.format is WebhookFormat.SLACK
    return (ReceiverKind.SLACK if is_slack else ReceiverKind.WEBHOOK).value


class Addresses:
    """Makes requests. Secrets are read when the watch says that one changed, and kept in memory only."""

    def __init__(self, cluster: Cluster, store: ObjectStore, note: Callable[[Mapping[str, Any]], object]) -> None:
        self._new = partial(SecretReader, cluster, store, note)
        #: By policy, and by receiver: each keeps only what it reads.
        self._readers: dict[tuple[str, str], dict[str, SecretReader]] = {}

    def forget(self, namespace: str, policy: str) -> None:
        """The policy is gone: so is what its Secrets held."""
        self._readers.pop((namespace, policy), None)

    async def request(
        self, receiver: tuple[str, str, str], signal: Signal, message: SignalMessage
    ) -> SignalRequest | str:
        """The request, or why there is none."""
        try:
            if signal.webhook is not None:
                return await self._webhook(receiver, signal.webhook, message)
            assert signal.redis_stream is not None  # a rule of the CRD
            return await self._stream(receiver, signal.redis_stream, message)
        except MissingError as missing:
            return missing.blocker.message
        except ClusterError as error:
            return f"the API server does not give its Secret: {error.message}"

    async def _webhook(self, receiver: tuple[str, str, str], webhook: Webhook, message: SignalMessage) -> SignalRequest:
        reader = self._reader(receiver, webhook.url_secret_ref, webhook.hmac_secret_ref, webhook.ca_secret_ref)
        url = webhook.url or await _text(reader, receiver, webhook.url_secret_ref, "webhook.urlSecretRef")
        key = await _text(reader, receiver, webhook.hmac_secret_ref, "webhook.hmacSecretRef")
        ca = await _authorities(reader, receiver, webhook.ca_secret_ref, "webhook.caSecretRef")
        is_slack = webhook.format is WebhookFormat.SLACK
        body, content_type = (slack(message), JSON) if is_slack else (cloud_event(message), CLOUD_EVENTS_JSON)
        to = WebhookPlace(url or "", content_type, key.encode() if key is not None else None, ca)
        return SignalRequest(message.id, message.type, body, to, float(webhook.timeout_seconds))

    async def _stream(
        self, receiver: tuple[str, str, str], stream: RedisStream, message: SignalMessage
    ) -> SignalRequest:
        reader = self._reader(receiver, stream.url_secret_ref, stream.ca_secret_ref)
        url = await _text(reader, receiver, stream.url_secret_ref, "redisStream.urlSecretRef")
        ca = await _authorities(reader, receiver, stream.ca_secret_ref, "redisStream.caSecretRef")
        to = StreamPlace(url or "", stream.stream, stream.max_length, ca)
        return SignalRequest(message.id, message.type, cloud_event(message), to, _STREAM_SECONDS)

    def _reader(self, receiver: tuple[str, str, str], *references: SecretKeyRef | CaRef | None) -> SecretReader:
        readers = self._readers.setdefault(receiver[:2], {})
        reader = readers.setdefault(receiver[2], self._new())
        reader.keep_only({reference.name for reference in references if reference is not None})
        return reader


async def _text(
    reader: SecretReader, receiver: tuple[str, str, str], reference: SecretKeyRef | CaRef | None, field: str
) -> str | None:
    """What a key of a Secret holds, without the line break that `echo` leaves behind it; None when none is named.
    Raises MissingError and ClusterError."""
    if reference is None:
        return None
    namespace, _, name = receiver
    where = f"spec.signals[{name}].{field}"
    content = await reader.given(namespace, reference.name, where)
    place = f"{namespace}/{reference.name}"
    text = text_of(place, content, reference.key, f"{where}.key").strip()
    if not text:
        raise MissingError(
            Reason.SECRET_KEY_MISSING, f"Secret {place} has only blanks in its key {reference.key}: mend it"
        )
    return text


async def _authorities(
    reader: SecretReader, receiver: tuple[str, str, str], reference: CaRef | None, field: str
) -> str | None:
    """Certificates in PEM form; None when none are named. Raises MissingError and ClusterError."""
    text = await _text(reader, receiver, reference, field)
    if reference is not None and text is not None:
        require_pem(f"{receiver[0]}/{reference.name}", reference.key, f"spec.signals[{receiver[2]}].{field}", text)
    return text
