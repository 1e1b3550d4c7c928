"""Who may do what on a node: the ACL file. Passwords are in it as hashes alone.

`default` is off, so whoever connects says who he is.

The applications' user may do everything to every key, but nothing that concerns the whole server: no CONFIG, FLUSHALL,
KEYS, MONITOR, SHUTDOWN, REPLICAOF or DEBUG. INFO and ROLE, which are among those, he may: clients look at them when
they connect. All keys, and not only those of the namespaces: a namespace that is added must not need another ACL file
before it can be written to. The operator's own keys are not kept from him: an ACL can name what is allowed, not what is
excepted; and what they hold for some milliseconds matters to nobody but the check that wrote them.
"""

from __future__ import annotations

import hashlib
from typing import Final

from sophia_operator.core.cache import names

_ALL_KEYS: Final = "~* &*"
_CLIENT: Final = f"{_ALL_KEYS} +@all -@admin -@dangerous +info +role"
_ADMIN: Final = f"{_ALL_KEYS} +@all"
#: What a replica says to its primary; with FAILOVER also the primary to the one that takes over.
_REPLICATOR: Final = "resetchannels -@all +psync +replconf +ping"
_PROBER: Final = "resetchannels -@all +ping"


def users_file(tier: str, *, client: str, admin: str, replicator: str, prober: str) -> str:
    """The ACL file, for users with these passwords."""
    users = (
        (names.ADMIN, admin, _ADMIN),
        (names.PROBER, prober, _PROBER),
        (names.REPLICATOR, replicator, _REPLICATOR),
        (names.client_user(tier), client, _CLIENT),
    )
    lines = [f"user {name} on #{password_hash(password)} {rights}" for name, password, rights in users]
    return "\n".join(["user default off resetchannels -@all", *lines, ""])


def password_hash(password: str) -> str:
    """As an ACL has it."""
    return hashlib.sha256(password.encode()).hexdigest()
