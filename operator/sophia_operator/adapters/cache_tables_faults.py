"""What an error of the server behind a table means."""

from __future__ import annotations

from typing import Final

import psycopg

from sophia_operator.adapters.postgres_faults import NoAnswerError, failure_of
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.pool.findings import Fault

_FAULTS: Final = {
    Fault.HOST_UNKNOWN: CacheFault.HOST_UNKNOWN,
    Fault.UNREACHABLE: CacheFault.UNREACHABLE,
    Fault.TIMEOUT: CacheFault.TIMEOUT,
    Fault.AUTHENTICATION_FAILED: CacheFault.AUTHENTICATION_FAILED,
    Fault.TLS_REQUIRED: CacheFault.TLS_REQUIRED,
    Fault.TLS_UNAVAILABLE: CacheFault.TLS_UNAVAILABLE,
    Fault.TLS_UNTRUSTED: CacheFault.TLS_UNTRUSTED,
    Fault.STARTING: CacheFault.LOADING,
}
_SQLSTATES: Final = {
    "42501": CacheFault.NO_PERMISSION,
    "42P01": CacheFault.TABLE_MISSING,
    "25006": CacheFault.READ_ONLY,
    "53100": CacheFault.PERSISTENCE_FAILED,  # no room on its disk
    "53200": CacheFault.OUT_OF_MEMORY,
    "55P03": CacheFault.TIMEOUT,  # a lock was not to be had in time
}

#: What there may be instead of an answer. A ValueError comes from an answer that is not what was asked for.
FAILURES: Final = (psycopg.Error, OSError, ValueError, NoAnswerError)


class TableError(Exception):
    """There is nothing to be done with the table, and `failure` says why."""

    def __init__(self, fault: CacheFault, message: str) -> None:
        super().__init__(message)
        self.failure = CacheFailure(fault, message)


def cache_failure_of(error: Exception, *, secret: str) -> CacheFailure:
    """What an error means, in its own words without the secret."""
    if isinstance(error, TableError):
        return error.failure
    failure = failure_of(error, secret=secret)
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    fault = _SQLSTATES.get(state or "") or _FAULTS.get(failure.fault, CacheFault.OTHER)
    return CacheFailure(fault, failure.message)
