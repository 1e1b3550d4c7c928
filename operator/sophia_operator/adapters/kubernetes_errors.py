"""What an answer of the API server means."""

from __future__ import annotations

import json
from typing import Final

from sophia_operator.ports import ClusterError, Refusal

_BY_CODE: Final = {
    400: Refusal.INVALID,
    401: Refusal.FORBIDDEN,
    403: Refusal.FORBIDDEN,
    404: Refusal.NOT_FOUND,
    405: Refusal.INVALID,
    406: Refusal.INVALID,
    409: Refusal.CONFLICT,
    413: Refusal.INVALID,
    415: Refusal.INVALID,
    422: Refusal.INVALID,
}
#: The API server says 500 to an applied field that its schema does not know, though asking again is of no use.
_UNKNOWN_FIELD: Final = ("field not declared in schema", "failed to create typed patch object")
_LONGEST: Final = 2048


def refusal_of(status: int, body: bytes) -> ClusterError:
    """The error that an answer with that HTTP status stands for."""
    reason, message = "", ""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if isinstance(said, dict):
        reason, message = str(said.get("reason") or ""), str(said.get("message") or "")
    if not message:
        message = f"HTTP status {status}: {body.decode(errors='replace').strip()}".rstrip(": ")
    message = message[:_LONGEST]
    if status == 409 and reason == "AlreadyExists":
        return ClusterError(Refusal.ALREADY_EXISTS, message)
    if status == 500 and any(words in message for words in _UNKNOWN_FIELD):
        return ClusterError(Refusal.INVALID, message)
    return ClusterError(_BY_CODE.get(status, Refusal.UNAVAILABLE), message)
