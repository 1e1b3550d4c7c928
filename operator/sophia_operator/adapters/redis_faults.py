"""What an error of Redis, of the network or of TLS means."""

from __future__ import annotations

import errno
import os
import re
import ssl
from typing import Final

from redis import exceptions

from sophia_operator.core.cache.faults import CacheFailure, CacheFault

_LONGEST: Final = 300
_KINDS: Final = (
    (exceptions.AuthenticationError, CacheFault.AUTHENTICATION_FAILED),
    (exceptions.NoPermissionError, CacheFault.NO_PERMISSION),
    (exceptions.BusyLoadingError, CacheFault.LOADING),
    (exceptions.ReadOnlyError, CacheFault.READ_ONLY),
    (exceptions.OutOfMemoryError, CacheFault.OUT_OF_MEMORY),
)
#: What an answer begins with, where the client library has no class for it. DENIED: protected mode lets nobody in.
_CODES: Final = {
    "NOREPLICAS": CacheFault.NO_REPLICAS,
    "MISCONF": CacheFault.PERSISTENCE_FAILED,
    "DENIED": CacheFault.NO_PERMISSION,
}
#: A server repeats words of a command that it does not know, and among them may be something secret.
_REPEATED: Final = re.compile(r",? with args beginning with:.*", re.DOTALL)
_GONE: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


class NoAnswerError(Exception):
    """There is no answer, and `failure` says why."""

    def __init__(self, failure: CacheFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: Exception, *, secret: str | None) -> CacheFailure:
    """What an error means, in its own words without the secret."""
    if isinstance(error, NoAnswerError):
        return error.failure
    cause = _cause(error)
    if cause is not None:
        return CacheFailure(_fault_of_system(cause), _clean(_words(cause), secret))
    return CacheFailure(_fault(error), _clean(str(error) or type(error).__name__, secret))


def timed_out(seconds: float) -> CacheFailure:
    """Nothing came in time."""
    return CacheFailure(CacheFault.TIMEOUT, f"no answer within {seconds:g} s")


def answered(error: Exception) -> bool:
    """Whether the error is the server's answer to a command: the connection can be used further."""
    return isinstance(error, exceptions.ResponseError | exceptions.BusyLoadingError)


def is_plain(error: Exception) -> bool:
    """Whether that is how a handshake of TLS fails where the other side does not speak it, or not in time."""
    cause = _cause(error)
    broke = isinstance(cause, OSError) and cause.errno in _GONE
    return broke or (isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLCertVerificationError))


def is_cut_off(error: Exception) -> bool:
    """Whether the other side ended the connection, or said what is no answer of Redis."""
    cause = _cause(error)
    if isinstance(error, exceptions.InvalidResponse) or cause is not None:
        return cause is None or cause.errno in _GONE
    return type(error) is exceptions.ConnectionError and _fault(error) is CacheFault.UNREACHABLE


def _cause(error: Exception) -> OSError | None:
    """What the system said: the client library wraps it in an error of its own."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, exceptions.ConnectionError) and isinstance(error.__context__, OSError):
        return error.__context__
    return None


def _fault_of_system(error: OSError) -> CacheFault:
    if isinstance(error, ssl.SSLError):
        if isinstance(error, ssl.SSLCertVerificationError):
            return CacheFault.TLS_UNTRUSTED
        # Under TLS 1.3 a client learns that its certificate is wanted only after its own handshake.
        wanted = "CERTIFICATE_REQUIRED" in str(error.reason) or "HANDSHAKE_FAILURE" in str(error.reason)
        return CacheFault.AUTHENTICATION_FAILED if wanted else CacheFault.UNREACHABLE
    if isinstance(error, ConnectionRefusedError):
        return CacheFault.REFUSED
    return CacheFault.TIMEOUT if isinstance(error, TimeoutError) else CacheFault.UNREACHABLE


def _fault(error: Exception) -> CacheFault:
    for kind, fault in _KINDS:
        if isinstance(error, kind):
            return fault
    if isinstance(error, exceptions.ConnectionError):
        # The one answer of a server among these.
        return CacheFault.OTHER if "max number of clients" in str(error) else CacheFault.UNREACHABLE
    if isinstance(error, exceptions.TimeoutError):
        return CacheFault.TIMEOUT
    return _CODES.get(str(error).partition(" ")[0], CacheFault.OTHER)


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate cannot be verified: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error.strerror or type(error).__name__}"
    if error.errno is not None:
        # The event loop has words of its own, which say less.
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def _clean(text: str, secret: str | None) -> str:
    """One line without anything secret."""
    message = " ".join(_REPEATED.sub("", text).split())
    if secret:
        message = message.replace(secret, "***")
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
