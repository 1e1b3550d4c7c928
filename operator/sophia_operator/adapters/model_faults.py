"""Why a request to a model gave nothing: from statuses, and from what breaks on the way."""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from sophia_operator.adapters import http_answers
from sophia_operator.adapters.model_words import message_in, shown
from sophia_operator.core.model.findings import ModelFailure, ModelFault

#: What is raised for what the network or a server does.
FAILURES: Final = (*http_answers.FAILURES, OSError)


def of_status(
    status: int, headers: Mapping[str, str], body: bytes, api_key: str | None, now: datetime
) -> ModelFailure | None:
    """What an answer means by its status; None of 200."""
    if status == 200:
        return None
    if status in (401, 403):
        # The provider's own words often hold a part of the key.
        return ModelFailure(ModelFault.CREDENTIALS_REFUSED, f"answers {status}: {_credentials(status, api_key)}")
    words = message_in(body)
    reason = f": {shown(words, api_key)}" if words else ""
    if status == 429:
        wait = retry_after(headers, now)
        return ModelFailure(ModelFault.RATE_LIMITED, f"answers 429{reason}", wait)
    if 300 <= status < 400:
        message = f"answers {status}: a redirect is not followed; correct the URL"
        return ModelFailure(ModelFault.INVALID_ANSWER, message)
    if status >= 500:
        return ModelFailure(ModelFault.SERVER_ERROR, f"answers {status}{reason}")
    if status >= 400:
        return ModelFailure(ModelFault.REQUEST_REFUSED, f"answers {status}{reason}")
    return ModelFailure(ModelFault.INVALID_ANSWER, f"answers {status} instead of a completion")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a 429 asks to wait; None when it does not say, or says nothing that is a time."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    written = headers.get("retry-after")
    if (seconds := _number(written)) is not None:
        return seconds
    until = _date(written)
    if until is None:
        return None
    # By the server's own clock, when it tells it.
    return max(0.0, (until - (_date(headers.get("date")) or now)).total_seconds())


def of_exception(problem: BaseException, *, answered: bool, url: str) -> ModelFailure:
    """What an exception of FAILURES means, in our words: the library's can hold headers. `answered`: it began to."""
    for cause in _causes(problem):
        if isinstance(cause, ssl.SSLCertVerificationError):
            message = f"its certificate is not trusted: {cause.verify_message}"
            return ModelFailure(ModelFault.TLS_UNTRUSTED, message)
        if isinstance(cause, ssl.SSLError) and not answered:
            reason = cause.reason or "no handshake"
            return ModelFailure(ModelFault.UNREACHABLE, f"cannot be reached by TLS ({reason}): does it speak it?")
    if answered:
        return ModelFailure(ModelFault.TRUNCATED, "the connection broke before the answer was whole")
    match problem:
        case httpx.ConnectError() | OSError():
            return ModelFailure(ModelFault.UNREACHABLE, f"cannot connect: {_errno(problem)}")
        case httpx.RemoteProtocolError() if "disconnected" in str(problem):
            return ModelFailure(ModelFault.UNREACHABLE, "the connection was closed without an answer")
        case httpx.RemoteProtocolError():
            return ModelFailure(ModelFault.INVALID_ANSWER, "it does not answer as HTTP does")
        case httpx.NetworkError():
            return ModelFailure(ModelFault.UNREACHABLE, "the connection broke before an answer")
        case _:
            return ModelFailure(ModelFault.HOST_UNKNOWN, f"the URL {url} cannot be used: check host and port")


def _credentials(status: int, api_key: str | None) -> str:
    if api_key is None:
        return "it wants credentials, and credentialsSecretRef names none"
    return "it does not accept the key" if status == 401 else "the key is not allowed to do this"


def _number(written: str | None) -> float | None:
    try:
        value = float(written or "")
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _date(written: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(written or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _errno(problem: BaseException) -> str:
    for cause in _causes(problem):
        if isinstance(cause, OSError) and cause.errno is not None:
            return os.strerror(cause.errno)
    return "nobody answers there"


def _causes(problem: BaseException | None) -> list[BaseException]:
    """The exception, and those that it came from."""
    found = list[BaseException]()
    waiting = [problem]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or cause in found:
            continue
        found.append(cause)
        waiting += [cause.__cause__, cause.__context__]
        waiting += cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
    return found
