"""What an error of PostgreSQL, PgBouncer or libpq means."""

from __future__ import annotations

import re
from typing import Final

import psycopg

from sophia_operator.core.pool.findings import Failure, Fault

_LONGEST: Final = 300
_SQLSTATES: Final = {
    "28000": Fault.AUTHENTICATION_FAILED,
    "28P01": Fault.AUTHENTICATION_FAILED,
    "3D000": Fault.DATABASE_NOT_FOUND,
    "53300": Fault.TOO_MANY_CONNECTIONS,
    "57P01": Fault.UNREACHABLE,  # an administrator, or a shutdown, ended the session
    "57P02": Fault.UNREACHABLE,
    "57P03": Fault.STARTING,
    "57014": Fault.TIMEOUT,
}
#: libpq gives no SQLSTATE while it connects, and PgBouncer has one for everything. The first that fits counts.
_WORDS: Final = tuple(
    (re.compile(words, re.IGNORECASE), fault)
    for words, fault in (
        # A server that lists the client for neither way of connecting does not ask for TLS.
        ("no pg_hba.conf entry .*ssl encryption", Fault.AUTHENTICATION_FAILED),
        ("no pg_hba.conf entry .*no encryption", Fault.TLS_REQUIRED),
        ("no pg_hba.conf entry|pg_hba.conf rejects", Fault.AUTHENTICATION_FAILED),
        ("authentication failed|client certificate|no such user|not permitted to log in", Fault.AUTHENTICATION_FAILED),
        (r"no password supplied|role .* does not exist|fatal:\s+not allowed", Fault.AUTHENTICATION_FAILED),
        ("database .* does not exist|no such database|database removed", Fault.DATABASE_NOT_FOUND),
        ("too many clients|too many connections|remaining connection slots", Fault.TOO_MANY_CONNECTIONS),
        ("no more connections allowed", Fault.TOO_MANY_CONNECTIONS),
        ("the database system is (starting|shutting|in recovery|not )", Fault.STARTING),
        ("does not support ssl", Fault.TLS_UNAVAILABLE),
        ("ssl required|ssl connection is required|tls required", Fault.TLS_REQUIRED),
        ("certificate verify failed|certificates of the ca|does not match host name", Fault.TLS_UNTRUSTED),
        ("host name from server certificate", Fault.TLS_UNTRUSTED),
        ("query_wait_timeout|query_timeout|login_timeout|connect timeout|timeout expired", Fault.TIMEOUT),
        ("could not translate host name|failed to resolve host|dns lookup failed", Fault.HOST_UNKNOWN),
        ("refused|unreachable|no route to host|reset by peer|broken pipe|network is down", Fault.UNREACHABLE),
        ("closed the connection|connection .*(closed|lost)|server conn crashed|eof detected", Fault.UNREACHABLE),
        ("cannot connect to server|server login has been failing|server_login_retry", Fault.UNREACHABLE),
    )
)
#: Where our copy of the CA's certificates lies tells nobody anything.
_CA_FILE: Final = re.compile(r'root certificate file "[^"]*"')
_HINTS: Final = ("is the server running on", "either provide the file,")


class NoAnswerError(Exception):
    """There is no answer, and `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: Exception, *, secret: str) -> Failure:
    """What an error means, in its own words without the secret."""
    if isinstance(error, NoAnswerError):
        return error.failure
    message = _message(error, secret)
    return Failure(_fault(error, message), message)


def timed_out(seconds: float) -> Failure:
    """Nothing came in time."""
    return Failure(Fault.TIMEOUT, f"no answer within {seconds:g} s")


def _fault(error: Exception, message: str) -> Fault:
    if isinstance(error, TimeoutError | psycopg.errors.ConnectionTimeout):
        return Fault.TIMEOUT
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state in _SQLSTATES:
        return _SQLSTATES[state]
    for words, fault in _WORDS:
        if words.search(message):
            return fault
    return Fault.UNREACHABLE if isinstance(error, OSError) else Fault.OTHER


def _message(error: Exception, secret: str) -> str:
    """One line. With sslmode Prefer libpq tries twice, and often says the same twice."""
    text = str(error).removeprefix("connection failed: ").removeprefix("connection is bad: ")
    if secret:
        text = text.replace(secret, "***")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    telling = [line for line in lines if line and not line.lower().startswith(_HINTS)]
    message = "; ".join(dict.fromkeys(telling)) or type(error).__name__
    message = _CA_FILE.sub("the certificates of the CA", message)
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
