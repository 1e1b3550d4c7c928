"""What is asked of models, of gateways and of Prometheus for a route, and what they answer. Times are UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ModelFault(StrEnum):
    """Why a request to a model gave nothing."""

    HOST_UNKNOWN = "HostUnknown"  # the name does not resolve
    UNREACHABLE = "Unreachable"  # refused, no route, or closed before an answer
    TIMEOUT = "Timeout"  # no answer, or none that ended, in time: a stream that goes on for ever too
    TLS_UNTRUSTED = "TlsUntrusted"  # the certificate cannot be verified
    RATE_LIMITED = "RateLimited"  # 429
    CREDENTIALS_REFUSED = "CredentialsRefused"  # 401, 403
    SERVER_ERROR = "ServerError"  # 5xx
    REQUEST_REFUSED = "RequestRefused"  # another 4xx: the model's name is wrong, say
    INVALID_ANSWER = "InvalidAnswer"  # 200 with an error in it, or with something else than a completion
    TRUNCATED = "Truncated"  # a stream that broke before its end
    UNEXPECTED_ANSWER = "UnexpectedAnswer"  # without the text of probe.expect


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """A request that gave nothing. The message has no credentials in it."""

    fault: ModelFault
    message: str
    #: Of a 429: how long the provider asks to wait; None when it does not say.
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelProbeRequest:
    """One streamed chat completion, straight to the endpoint."""

    #: Name of the model in the route.
    name: str
    #: Where the API begins, without a slash at its end.
    base_url: str
    #: Name of the model at the endpoint.
    model: str
    prompt: str
    max_tokens: int
    timeout_seconds: float
    expect: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ca: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    first_token_ms: float
    total_ms: float
    #: As the usage says, else the number of pieces.
    tokens: int
    #: After the first one; None for an answer of one token.
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True)
class ModelFinding:
    """How a probe ended, and when."""

    at: datetime
    answer: Completion | ModelFailure


@dataclass(frozen=True, slots=True)
class PassiveTally:
    """What Prometheus counted of users' requests to one model in the window, before retries and fallbacks."""

    requests: float
    failures: float
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class PassiveFinding:
    """Tallies by the name of the model; a string says why there are none, and what to do."""

    at: datetime
    answer: Mapping[str, PassiveTally] | str


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """What `qualityQuery` of a model gave: from 0 to 1, or why nothing."""

    at: datetime
    answer: float | str


@dataclass(frozen=True, slots=True)
class ReplicaTarget:
    """One process of a gateway, and how a marked request is sent to it."""

    #: Name of the pod, or `host` of a data plane: then every address that it resolves to is a replica of its own.
    name: str
    #: Where it listens, as in `http://10.0.0.7:4000`; of a data plane with the host's name in it.
    base_url: str
    #: Host header, when it differs from the URL's.
    host: str | None
    #: Of the API, as in `/v1`.
    path: str
    #: Name of the model in the body of the request.
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    api_key: str | None = field(default=None, repr=False)
    #: Whether the host's name stands for several replicas.
    resolve: bool = False
    #: The revision that the gateway is told. A Portkey serves by it when it follows what the request itself says.
    revision: int | None = None
    #: Whether answers say their revision; those of a Portkey that is asked past its HTTPRoute do not.
    says_revision: bool = True
    #: Models of the route by what Portkey says of an answer that is by `revision`; empty when answers name the model.
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplicaRequest:
    """A marked request to every replica."""

    targets: tuple[ReplicaTarget, ...]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class ReplicaFinding:
    """What a marked request to one replica showed, and when it was sent."""

    at: datetime
    name: str
    #: By which revision it was answered, and by which model of the route; None when the answer does not say.
    revision: int | None
    model: str | None
    failure: ModelFailure | None = None


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """Requests that are due now. They go on beside passes, each model's one at a time."""

    #: Names of models.
    probes: tuple[str, ...] = ()
    passive: bool = False
    #: Names of models whose quality is asked for.
    qualities: tuple[str, ...] = ()
    replicas: bool = False

    def __bool__(self) -> bool:
        return bool(self.probes or self.passive or self.qualities or self.replicas)
