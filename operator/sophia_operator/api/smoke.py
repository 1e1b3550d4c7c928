"""Smoke tests: requests that a new release must answer well before it gets any traffic."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from sophia_operator.api.common import ApiModel, DnsLabel, map_list, rules


class HttpMethod(StrEnum):
    """HTTP methods a smoke test may use."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


class Header(ApiModel):
    """One HTTP header."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$",
        min_length=1,
        max_length=256,
        description="Name of the header.",
    )
    value: str = Field(
        # What HTTP lets a client send: visible characters, with spaces and tabs between them.
        pattern=r"^([!-~]([ \t!-~]*[!-~])?)?$",
        max_length=4096,
        description="Value of the header.",
    )


class JsonPathExpectation(ApiModel):
    """A value that must stand at a path of the JSON body."""

    path: str = Field(
        pattern=r"^\$?(\.[A-Za-z0-9_-]+|\[[0-9]+\])+$",
        max_length=256,
        description="Path from the root of the body: names and list positions, as in `.items[0].status`.",
    )
    equals: str = Field(
        max_length=1024,
        description="The value there, as text; a value that is no string is compared as its JSON.",
    )


class Expectation(ApiModel):
    """What an answer must look like for a smoke test to pass."""

    status: int = Field(200, ge=100, le=599, description="HTTP status code of the answer.")
    body_contains: str | None = Field(
        None, min_length=1, max_length=1024, description="Text that the body must contain."
    )
    json_path: JsonPathExpectation | None = Field(None, description="A value that the JSON body must hold.")
    max_latency_ms: int | None = Field(
        None,
        ge=1,
        le=300_000,
        description="Longest time for the whole answer, in milliseconds; within timeoutSeconds.",
    )


class SmokeVia(StrEnum):
    """The way a smoke test reaches the new release."""

    SERVICE = "Service"
    GATEWAY = "Gateway"


_UNDECIDED = "expect.maxLatencyMs must be within timeoutSeconds: no slower answer is waited for"


class SmokeTest(ApiModel):
    """One request that the new release must answer well before it gets any traffic."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": rules(
            (
                # A time limit that is out of its bounds has a message of its own.
                "!has(self.expect) || !has(self.expect.maxLatencyMs) || self.timeoutSeconds < 1"
                " || self.expect.maxLatencyMs <= self.timeoutSeconds * 1000",
                _UNDECIDED,
            )
        )
    }

    name: DnsLabel = Field(description="Name of the test, unique in its list.")
    path: str = Field(
        # No space, no control character, and no fragment, which is never sent.
        pattern=r"^/[^\x00-\x20\x7f#]*$",
        max_length=2048,
        description="Path and query of the request.",
    )
    method: HttpMethod = Field(HttpMethod.GET, description="HTTP method of the request.")
    headers: list[Header] = Field(
        default_factory=list,
        max_length=32,
        json_schema_extra=map_list("name"),
        description="Headers of the request.",
    )
    body: str | None = Field(None, max_length=65_536, description="Body of the request.")
    port: DnsLabel | None = Field(
        None, description="Name of the port to ask; the port that the traffic uses when absent."
    )
    via: SmokeVia = Field(
        SmokeVia.SERVICE,
        description="Service asks the release directly; Gateway goes the users' way, marked by a header, at weight 0.",
    )
    expect: Expectation = Field(default_factory=Expectation, description="What the answer must look like.")
    attempts: int = Field(3, ge=1, le=20, description="How often the test is tried before it counts as failed.")
    timeout_seconds: int = Field(5, ge=1, le=300, description="Time limit of one try, in seconds.")

    @model_validator(mode="after")
    def _latency_can_be_seen(self) -> Self:
        longest = self.expect.max_latency_ms
        if longest is not None and longest > self.timeout_seconds * 1000:
            raise ValueError(_UNDECIDED)
        return self
