"""What Prometheus's answers, refusals and silences mean. No I/O."""

from __future__ import annotations

import json
import math
import os
import ssl
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, QueryRefused, Samples

#: The label that tells the samples of one answer apart.
LABEL: Final = "sophia"
#: Of Prometheus's own words, only so much goes into a message.
_LONGEST: Final = 1_000


def is_usable(url: str) -> bool:
    """Whether the URL has a host, and a port that can be."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def where(url: str) -> str:
    """The Prometheus in words, without the user name, password and query that a URL can hold."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"Prometheus at {parts.scheme}://{host}{parts.path.rstrip('/')}"


def answer_of(result: Any, url: str) -> MetricsAnswer:
    """Samples of a query's `data.result`; a refusal when it is not one number for each label value."""
    if isinstance(result, list) and len(result) == 2 and isinstance(result[1], str):
        return _scalar(result[1])
    if not isinstance(result, list) or not all(isinstance(sample, dict) for sample in result):
        return strange(url)
    values: dict[str, float] = {}
    seen: set[str] = set()
    for sample in result:
        if "values" in sample or "histogram" in sample:
            return QueryRefused("the query yields ranges or histograms, not numbers")
        try:
            name, value = str(sample["metric"].get(LABEL, "")), float(sample["value"][1])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return strange(url)
        if name in seen:
            what = f"the sample {name!r}" if name else "one number"
            return QueryRefused(f"the query yields several series for {what}: aggregate them, as with sum()")
        seen.add(name)
        if math.isfinite(value):
            values[name] = value
    return Samples(values)


def strange(url: str) -> MetricsOutage:
    """Something answered, but not as Prometheus does."""
    return MetricsOutage(f"{where(url)} does not answer as Prometheus does: is the URL right?")


def refusal_or_outage(status: int, body: bytes, url: str) -> MetricsAnswer:
    """What an answer other than 200 means: QueryRefused for a query that can never be carried out."""
    kind, words = _error(body)
    if status in (400, 422) and kind == "bad_data":
        return QueryRefused(words)
    if status in (401, 403):
        return MetricsOutage(f"{where(url)} answers {status}: it is not allowed to ask with these credentials")
    if 300 <= status < 400:
        return MetricsOutage(f"{where(url)} answers {status}: it redirects, which is not followed; is the URL right?")
    reason = f": {words}" if words else ""
    return MetricsOutage(f"{where(url)} answers {status}{reason}")


def failure(problem: Exception, url: str, timeout_seconds: int) -> MetricsOutage:
    """Why there was no answer. The words are ours: what libraries say can hold headers, and so secrets."""
    return MetricsOutage(f"{where(url)} {_why(problem, timeout_seconds)}")


def _scalar(written: str) -> MetricsAnswer:
    try:
        value = float(written)
    except ValueError:
        return QueryRefused("the query yields text, not a number")
    return Samples({"": value} if math.isfinite(value) else {})


def _error(body: bytes) -> tuple[str, str]:
    """Type and words of an error as Prometheus reports it; empty for anybody else's."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(parsed, dict) or parsed.get("status") != "error":
        return "", ""
    return str(parsed.get("errorType", "")), str(parsed.get("error", ""))[:_LONGEST]


def _why(problem: Exception, timeout_seconds: int) -> str:
    if isinstance(problem, requests.ConnectTimeout):
        return "cannot be reached: no connection in time"
    if isinstance(problem, requests.Timeout):
        return f"did not answer within {timeout_seconds} s"
    for cause in _causes(problem):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or "no handshake"
            return f"cannot be reached by TLS ({reason}): do ca.crt, tls.crt and tls.key of the Secret fit?"
        if isinstance(cause, urllib3.exceptions.NameResolutionError):
            return "cannot be reached: its name is not known"
        if isinstance(cause, OSError) and cause.errno is not None and not isinstance(cause, requests.RequestException):
            return f"cannot be reached: {os.strerror(cause.errno)}"
    if isinstance(problem, requests.ConnectionError):
        return "broke the connection"
    return f"cannot be asked ({type(problem).__name__})"


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """The exception and those inside it: libraries hide causes in arguments and in `reason`."""
    waiting, seen = [problem], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
        waiting += [e for e in inner if isinstance(e, BaseException)]
