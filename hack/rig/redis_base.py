"""What Redis servers of a rig start from: programs, certificates, and users."""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import Final

from hack.rig import debian_programs
from hack.rig.debian_programs import Program

ADMIN: Final = "sophia-admin"
ADMIN_PASSWORD: Final = "rig-admin-password"
REPLICATOR: Final = "sophia-replica"
REPLICATOR_PASSWORD: Final = "rig-replica-password"
CLIENT: Final = "rig-client"
CLIENT_PASSWORD: Final = "rig-client-password"

_LIBRARIES: Final = ("libatomic1", "libjemalloc2", "liblzf1", "libssl3", "libsystemd0")


class Flavor(StrEnum):
    """Which server."""

    REDIS = "redis"
    VALKEY = "valkey"


@functools.cache
def program(flavor: Flavor) -> Program:
    """The server: Redis 7 as Debian has it, or Valkey, which Debian 12 has in its backports."""
    return debian_programs.program(
        f"{flavor.value}-tools", f"usr/bin/{flavor.value}-check-rdb", libraries=_LIBRARIES, backports=True
    )


#: The operator's user, that of replicas, and that of applications, as a managed node has them.
USERS: Final = (
    "user default off",
    f"user {ADMIN} on >{ADMIN_PASSWORD} ~* &* +@all",
    f"user {REPLICATOR} on >{REPLICATOR_PASSWORD} +psync +replconf +ping",
    f"user {CLIENT} on >{CLIENT_PASSWORD} ~* &* +@all -@admin -@dangerous +info",
)
