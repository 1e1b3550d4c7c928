"""What errors of PostgreSQL, PgBouncer and libpq mean: those that tests with real servers cannot all make."""

from __future__ import annotations

import psycopg
import pytest

from sophia_operator.adapters.postgres_faults import failure_of
from sophia_operator.core.pool.findings import Fault

_AT = 'connection failed: connection to server at "10.0.0.7", port 5432 failed: '


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ('FATAL:  password authentication failed for user "app"', Fault.AUTHENTICATION_FAILED),
        ("FATAL:  SASL authentication failed", Fault.AUTHENTICATION_FAILED),
        ("FATAL:  no such user: app", Fault.AUTHENTICATION_FAILED),
        ("fe_sendauth: no password supplied", Fault.AUTHENTICATION_FAILED),
        ('FATAL:  role "app" does not exist', Fault.AUTHENTICATION_FAILED),
        ('FATAL:  role "app" is not permitted to log in', Fault.AUTHENTICATION_FAILED),
        ("FATAL:  connection requires a valid client certificate", Fault.AUTHENTICATION_FAILED),
        ('FATAL:  pg_hba.conf rejects connection for host "10.0.0.9"', Fault.AUTHENTICATION_FAILED),
        ("FATAL:  not allowed", Fault.AUTHENTICATION_FAILED),
        ('FATAL:  database "shop" does not exist', Fault.DATABASE_NOT_FOUND),
        ("FATAL:  no such database: shop", Fault.DATABASE_NOT_FOUND),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "app", no encryption', Fault.TLS_REQUIRED),
        ("FATAL:  SSL required", Fault.TLS_REQUIRED),
        ("FATAL:  SSL connection is required. Please specify SSL options and retry.", Fault.TLS_REQUIRED),
        ("server does not support SSL, but SSL was required", Fault.TLS_UNAVAILABLE),
        ("SSL error: certificate verify failed", Fault.TLS_UNTRUSTED),
        ('server certificate for "db" does not match host name "db.example"', Fault.TLS_UNTRUSTED),
        ("FATAL:  sorry, too many clients already", Fault.TOO_MANY_CONNECTIONS),
        ("FATAL:  remaining connection slots are reserved for roles with SUPERUSER", Fault.TOO_MANY_CONNECTIONS),
        ("FATAL:  no more connections allowed (max_client_conn)", Fault.TOO_MANY_CONNECTIONS),
        ("FATAL:  the database system is starting up", Fault.STARTING),
        ("FATAL:  the database system is in recovery mode", Fault.STARTING),
        ("FATAL:  the database system is not yet accepting connections", Fault.STARTING),
        ('FATAL:  database "shop" is not currently accepting connections', Fault.OTHER),
        ("FATAL:  query_wait_timeout", Fault.TIMEOUT),
        ("FATAL:  client_login_timeout (server down)", Fault.TIMEOUT),
        ("Connection refused\n\tIs the server running on that host?", Fault.UNREACHABLE),
        ("No route to host", Fault.UNREACHABLE),
        ("Network is unreachable", Fault.UNREACHABLE),
        ("server closed the connection unexpectedly", Fault.UNREACHABLE),
        ("FATAL:  server login has been failing, try again later (server_login_retry)", Fault.UNREACHABLE),
        ("FATAL:  server login has been failing, cached error: password authentication failed for user",
         Fault.AUTHENTICATION_FAILED),
        ("FATAL:  server DNS lookup failed", Fault.HOST_UNKNOWN),
        ("received invalid response to SSL negotiation: H", Fault.OTHER),
    ],
)  # fmt: skip
def test_words_where_there_is_no_state(words: str, fault: Fault) -> None:
    failure = failure_of(psycopg.OperationalError(_AT + words), secret="")
    assert failure.fault is fault
    assert failure.message.startswith('connection to server at "10.0.0.7", port 5432 failed: ')
    assert "\n" not in failure.message


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.errors.InvalidPassword("Passwort falsch"), Fault.AUTHENTICATION_FAILED),
        (psycopg.errors.InvalidAuthorizationSpecification("x"), Fault.AUTHENTICATION_FAILED),
        (psycopg.errors.InvalidCatalogName("x"), Fault.DATABASE_NOT_FOUND),
        (psycopg.errors.TooManyConnections("x"), Fault.TOO_MANY_CONNECTIONS),
        (psycopg.errors.CannotConnectNow("x"), Fault.STARTING),
        (psycopg.errors.AdminShutdown("x"), Fault.UNREACHABLE),
        (psycopg.errors.CrashShutdown("x"), Fault.UNREACHABLE),
        (psycopg.errors.QueryCanceled("x"), Fault.TIMEOUT),
        (psycopg.errors.ConnectionTimeout("x"), Fault.TIMEOUT),
        (psycopg.errors.ProtocolViolation("no such database: x"), Fault.DATABASE_NOT_FOUND),
        (psycopg.errors.SyntaxError("x"), Fault.OTHER),
        (ConnectionResetError(104, "x"), Fault.UNREACHABLE),
        (TimeoutError(), Fault.TIMEOUT),
    ],
)
def test_the_state_or_the_kind_of_error(error: Exception, fault: Fault) -> None:
    assert failure_of(error, secret="").fault is fault


def test_a_server_that_lists_the_client_for_neither_way_does_not_ask_for_tls() -> None:
    entry = 'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "app", database "shop", '
    error = psycopg.OperationalError(f"{_AT}{entry}SSL encryption\n{_AT}{entry}no encryption")
    assert failure_of(error, secret="").fault is Fault.AUTHENTICATION_FAILED


def test_the_secret_is_in_no_message() -> None:
    error = psycopg.ProgrammingError("missing = after s3cret in the connection info string s3cret")
    assert failure_of(error, secret="s3cret").message == "missing = after *** in the connection info string ***"


def test_a_secret_is_taken_out_before_the_message_is_cut() -> None:
    error = psycopg.OperationalError("x" * 295 + "s3cret" + "y" * 20)
    message = failure_of(error, secret="s3cret").message
    assert len(message) == 300
    assert "s3" not in message


def test_hints_and_repetitions_are_left_out() -> None:
    refused = "failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n"
    error = psycopg.OperationalError(f"connection failed: {refused}{refused}")
    assert failure_of(error, secret="").message == "failed: Connection refused"


def test_an_error_without_words() -> None:
    assert failure_of(psycopg.OperationalError(), secret="").message == "OperationalError"


def test_a_secret_with_white_space_in_it_is_taken_out_before_the_message_becomes_one_line() -> None:
    error = psycopg.OperationalError('FATAL:  no "two  words\nand a line" here')
    assert failure_of(error, secret="two  words\nand a line").message == 'FATAL: no "***" here'
