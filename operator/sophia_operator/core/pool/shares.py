"""How the pool's size is divided among its instances, and what it could take of the server at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec

#: An instance has one connection for checks beside those for clients.
_CHECKS: Final = 1
#: While pods are replaced there are two more with connections: one that starts, and one that drains. A Deployment makes
#: the next pod as soon as it has told the one before to go, and does not wait until that is gone.
_SURGE: Final = 2
#: The operator's own: the one that watches, and the one of a check.
_OPERATORS: Final = 2


@dataclass(frozen=True, slots=True)
class Share:
    """Server connections of one instance."""

    size: int
    minimum: int
    reserve: int


def share(spec: ConnectionPoolSpec, size: int) -> Share:
    """The part of each instance when the pool may have `size` connections: rounded down, but at least one."""
    instances = max(1, spec.instances)
    own = max(1, size // instances)
    return Share(own, min(own, spec.size.min // instances), -(-spec.size.reserve // instances))


def could_open(spec: ConnectionPoolSpec, size: int) -> int:
    """Connections that the pool could take of the server at most, in the middle of a roll."""
    if spec.instances == 0:
        return _OPERATORS
    part = share(spec, size)
    return (part.size + part.reserve + _CHECKS) * (spec.instances + _SURGE) + _OPERATORS


def size_within(spec: ConnectionPoolSpec, granted: int) -> int:
    """The largest size, up to `size.max`, that could open at most `granted` connections; 0 when not even one an
    instance fits."""
    if spec.instances == 0:
        return spec.size.max
    each = (granted - _OPERATORS) // (spec.instances + _SURGE) - _CHECKS - share(spec, spec.size.max).reserve
    return 0 if each < 1 else min(spec.size.max, each * spec.instances)
