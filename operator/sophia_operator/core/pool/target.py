"""What the instances connect to: where, as whom, and how it is verified.

A new target reaches the instances only after the operator reached the server with it itself. So a wrong host or a
wrong password changes nothing for clients, and neither does a password that the server does not know yet.
"""

from __future__ import annotations

from sophia_operator.api.connection_pool import Database
from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.core.hashing import versioned_hash
from sophia_operator.core.pool.sight import server_of
from sophia_operator.core.pool.views import Access, PoolObserved


def target_hash(database: Database, access: Access) -> str:
    """Hash of the target. The operator's own password is random and part of it: nobody can guess and compare."""
    return versioned_hash(
        {
            "salt": access.admin_password,
            "database": database.to_dict(),
            "username": access.username,
            "password": access.password,
            "ca": access.ca,
        }
    )


def is_taken_over(status: ConnectionPoolStatus, database: Database, observed: PoolObserved) -> bool:
    """Whether the instances are to use the target that the spec and the Secrets give."""
    if observed.access is None:
        return False
    return status.target in (None, target_hash(database, observed.access))


def next_target(status: ConnectionPoolStatus, database: Database, observed: PoolObserved) -> str | None:
    """The target that the instances are to use from now on: a new one once a server answers there. As long as no
    server ever answered it is used at once, since there is nothing that it could spoil."""
    if observed.access is None:
        return status.target
    if status.server is None or server_of(observed) is not None:
        return target_hash(database, observed.access)
    return status.target
