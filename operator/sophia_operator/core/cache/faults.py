"""Why a node or a table gives no answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CacheFault(StrEnum):
    """Why there is no answer."""

    HOST_UNKNOWN = "HostUnknown"  # the name does not resolve
    REFUSED = "Refused"  # the machine answers, and nothing listens: the process is not there
    UNREACHABLE = "Unreachable"  # no route, or closed in the middle
    TIMEOUT = "Timeout"
    AUTHENTICATION_FAILED = "AuthenticationFailed"  # WRONGPASS, NOAUTH
    NO_PERMISSION = "NoPermission"  # NOPERM
    TLS_REQUIRED = "TlsRequired"  # it speaks TLS, and the client was told not to
    TLS_UNAVAILABLE = "TlsUnavailable"  # it does not speak TLS
    TLS_UNTRUSTED = "TlsUntrusted"  # the certificate cannot be verified
    LOADING = "Loading"  # it reads its data from disk
    READ_ONLY = "ReadOnly"  # a write was refused: it is a replica
    OUT_OF_MEMORY = "OutOfMemory"  # a write was refused: OOM with noeviction
    NO_REPLICAS = "NoReplicas"  # a write was refused: min-replicas-to-write
    PERSISTENCE_FAILED = "PersistenceFailed"  # a write was refused: MISCONF, it cannot write to disk
    TABLE_MISSING = "TableMissing"
    NOT_OURS = "NotOurs"  # a table of that name is there, and was not made by the operator
    NEWER_LAYOUT = "NewerLayout"  # the table was brought to a layout that only a newer operator knows
    OTHER = "Other"


@dataclass(frozen=True, slots=True)
class CacheFailure:
    """No answer. The message is the server's or the client library's, without anything secret."""

    fault: CacheFault
    message: str
