"""What a server keeps of a password for SCRAM-SHA-256 (RFC 5802, RFC 7677), in PostgreSQL's form.

Given a password itself, PgBouncer makes this anew at every login, which takes it four times as long.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import Final

#: PostgreSQL's own default.
_ITERATIONS: Final = 4096
_SALT_BYTES: Final = 16


def kept(user: str, password: str, key: str) -> str:
    """What stands in the list of users: the secret or, of a password that somebody chose and that would have to be
    normalised first (SASLprep), the password."""
    return secret(user, password, key) if password.isascii() else password


@lru_cache(maxsize=4096)
def secret(user: str, password: str, key: str) -> str:
    """`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`. The salt follows from `key`, which is random and
    secret, and the user: so the same input gives the same text, and equal passwords of two pools do not.

    `password` is ASCII.
    """
    salt = hmac.digest(key.encode(), user.encode(), "sha256")[:_SALT_BYTES]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
