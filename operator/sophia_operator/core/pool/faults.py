"""Why a server does not answer, as a reason, and what to do about it."""

from __future__ import annotations

from typing import Final

from sophia_operator.api.conditions import Reason
from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.core.pool.findings import Failure, Fault

#: What only a change by a person mends: waiting does not.
MISTAKES: Final = frozenset(
    {
        Fault.HOST_UNKNOWN,
        Fault.AUTHENTICATION_FAILED,
        Fault.DATABASE_NOT_FOUND,
        Fault.TLS_REQUIRED,
        Fault.TLS_UNAVAILABLE,
        Fault.TLS_UNTRUSTED,
    }
)
_REASONS: Final = {
    Fault.HOST_UNKNOWN: Reason.HOST_UNKNOWN,
    Fault.AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    Fault.DATABASE_NOT_FOUND: Reason.DATABASE_NOT_FOUND,
    Fault.TLS_REQUIRED: Reason.TLS_REQUIRED,
    Fault.TLS_UNAVAILABLE: Reason.TLS_UNAVAILABLE,
    Fault.TLS_UNTRUSTED: Reason.TLS_UNTRUSTED,
    Fault.TOO_MANY_CONNECTIONS: Reason.TOO_MANY_CONNECTIONS,
}


def explain(spec: ConnectionPoolSpec, failure: Failure) -> tuple[Reason, str]:
    """The reason, and a message that names the server, says what is wrong and what to do."""
    database = spec.database
    where, secret = f"{database.host}:{database.port}", database.credentials_secret_ref.name
    said = f" ({failure.message})" if failure.message else ""
    words = {
        Fault.HOST_UNKNOWN: f"host {database.host} is not known: correct database.host, or make the name resolvable",
        Fault.AUTHENTICATION_FAILED: f"{where} refuses the user: correct the user's name and password in Secret "
        f"{secret}, or what the server's pg_hba.conf allows",
        Fault.DATABASE_NOT_FOUND: f"{where} has no database {database.name}: create it, or correct database.name",
        Fault.TLS_REQUIRED: f"{where} takes only connections with TLS: set database.sslMode to Require, or stricter",
        Fault.TLS_UNAVAILABLE: f"{where} has no TLS, and database.sslMode {database.ssl_mode.value} needs it: "
        "switch it on at the server, or set database.sslMode to Prefer",
        Fault.TLS_UNTRUSTED: f"the certificate of {where} cannot be verified: correct the certificates in the Secret "
        "of database.caSecretRef, or the name in database.host",
        Fault.TOO_MANY_CONNECTIONS: f"{where} has no connection left: raise max_connections at the server, or take "
        "connections from whoever holds them (status.budget.holders)",
        Fault.STARTING: f"{where} is starting up or shutting down: it is tried again",
    }
    plain = f"{where} does not answer: see whether the server runs, and whether the network lets the operator reach it"
    return _REASONS.get(failure.fault, Reason.SERVER_UNREACHABLE), words.get(failure.fault, plain) + said
