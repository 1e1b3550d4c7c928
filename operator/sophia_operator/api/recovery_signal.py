"""Whom acts are told to: webhooks and Redis Streams."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field, model_validator

from sophia_operator.api.common import ApiModel, DnsLabel, ObjectName, rules
from sophia_operator.api.recovery_values import Severity
from sophia_operator.api.secret_refs import CaRef, SecretKey


class SecretKeyRef(ApiModel):
    """One key of a Secret, in the policy's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: SecretKey = Field(description="Key in it.")


class WebhookFormat(StrEnum):
    """What a webhook understands."""

    CLOUD_EVENTS = "CloudEvents"  # version 1.0, structured JSON
    SLACK = "Slack"  # an incoming webhook of Slack


_ONE_URL: Final = "webhook needs exactly one of url and urlSecretRef"
_CA_NEEDS_TLS: Final = "webhook.caSecretRef goes with an https url"


class Webhook(ApiModel):
    """A POST to an address."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            ("has(self.url) != has(self.urlSecretRef)", _ONE_URL),
            ("!has(self.caSecretRef) || !has(self.url) || self.url.startsWith('https://')", _CA_NEEDS_TLS),
        )
    }

    url: str | None = Field(
        None, pattern=r"^https?://[^\s]+$", max_length=2048, description="Where it is sent to; nothing secret."
    )
    url_secret_ref: SecretKeyRef | None = Field(None, description="Where that is, when the address is a secret.")
    format: WebhookFormat = Field(WebhookFormat.CLOUD_EVENTS, description="What is sent.")
    hmac_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Key of a signature in x-sophia-signature: `t=<unix time>,v1=<hexadecimal HMAC-SHA256>` of that "
        "time, a dot and the body.",
    )
    ca_secret_ref: CaRef | None = Field(
        None, description="Secret with the certificates to verify the receiver with; the public ones when absent."
    )
    timeout_seconds: int = Field(5, ge=1, le=30, description="Time for an answer, in seconds.")

    @model_validator(mode="after")
    def _possible(self) -> Webhook:
        if (self.url is None) == (self.url_secret_ref is None):
            raise ValueError(_ONE_URL)
        if self.ca_secret_ref is not None and not (self.url or "https://").startswith("https://"):
            raise ValueError(_CA_NEEDS_TLS)
        return self


class RedisStream(ApiModel):
    """An XADD to a stream."""

    url_secret_ref: SecretKeyRef = Field(description="Where Redis is, as in `redis://user:password@host:6379/0`.")
    ca_secret_ref: CaRef | None = Field(
        None, description="Secret with the certificates to verify Redis with; those of the system when absent."
    )
    stream: str = Field("sophia:recovery", min_length=1, max_length=256, description="Key of the stream.")
    max_length: int = Field(10_000, ge=1, le=10_000_000, description="About so many entries are kept.")


_ONE_PLACE: Final = "a signal needs exactly one of webhook and redisStream"


class Signal(ApiModel):
    """One receiver."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(("has(self.webhook) != has(self.redisStream)", _ONE_PLACE))
    }

    name: DnsLabel = Field(description="Name of the receiver.")
    min_severity: Severity = Field(Severity.INFO, description="Tell it of acts of this severity and above.")
    webhook: Webhook | None = Field(None, description="A POST to an address.")
    redis_stream: RedisStream | None = Field(None, description="An XADD to a stream.")

    @model_validator(mode="after")
    def _either(self) -> Signal:
        if (self.webhook is None) == (self.redis_stream is None):
            raise ValueError(_ONE_PLACE)
        return self
