"""SCRAM secrets of the users that the operator makes."""

from __future__ import annotations

import base64
import hashlib
import hmac

from sophia_operator.core.pool.scram import secret


def test_a_client_with_the_password_is_let_in() -> None:
    """As RFC 5802 has it: what the client proves, and what the server compares."""
    text = secret("user", "pencil", "key")
    kind, parameters, keys = text.split("$")
    iterations, salt = parameters.split(":")
    stored, server = (base64.b64decode(part) for part in keys.split(":"))
    assert (kind, iterations) == ("SCRAM-SHA-256", "4096")
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode(salt), 4096)
    # As the client does it: proof = client key XOR signature; the server takes the key out of it and hashes it.
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    message = b"n=user,r=nonce,r=nonce+,s=salt,i=4096,c=biws,r=nonce+"
    signature = hmac.digest(stored, message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    seen = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, message, "sha256"), strict=True))
    assert hashlib.sha256(seen).digest() == stored
    assert server == hmac.digest(salted, b"Server Key", "sha256")


def test_it_is_the_same_again_and_another_for_everybody_else() -> None:
    one = secret("user", "pencil", "key")
    assert secret("user", "pencil", "key") == one
    assert (
        len({one, secret("other", "pencil", "key"), secret("user", "pen", "key"), secret("user", "pencil", "k")}) == 4
    )
