"""How many server connections clients need, between `size.min` and `size.max`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sophia_operator.api.connection_pool import ConnectionPoolSpec
from sophia_operator.api.connection_pool_status import AutosizeStatus
from sophia_operator.core.pool.findings import Console, Server
from sophia_operator.core.pool.shares import share
from sophia_operator.core.pool.sight import finding_of, server_of, serving
from sophia_operator.core.pool.views import PoolObserved, PoolView

#: Two looks that are so far apart must both say that clients need more.
GROW_SECONDS: Final = 5.0
#: So long clients must have needed less.
SHRINK_SECONDS: Final = 600.0
#: Below this part of the target clients need less, and it takes more than this other one to say that they do not:
#: utilization that goes up and down around one line would be written down at each look.
_LOW: Final = 0.6
_CALM: Final = 0.75
#: Looks that are older say nothing about now.
_FRESH_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What all instances together do, each looked at."""

    at: datetime
    in_use: int
    waiting: int
    size: int
    #: Whether each instance already has the size that it should.
    settled: bool

    @property
    def utilization(self) -> float:
        """Share of the server connections in use, in percent."""
        return 100 * self.in_use / self.size if self.size else 0.0


def resize(
    pool: PoolView, observed: PoolObserved, ceiling: int, now: datetime, *, held: bool = False
) -> AutosizeStatus:
    """The size that clients need, at most `ceiling`, and what is remembered for the next time. While the pool is `held`
    to less, what clients do tells nothing of what they need."""
    spec = pool.spec
    if not spec.autosize.enabled:
        return AutosizeStatus(size=_bounded(spec, spec.size.max, ceiling))
    old = pool.status.autosize
    if old is None:
        return AutosizeStatus(size=_bounded(spec, spec.size.min, ceiling))
    state = old.model_copy(update={"size": _bounded(spec, old.size, ceiling)})
    if held:
        return state.model_copy(update={"high_since": None, "low_since": None})
    load = load_of(pool, observed, now)
    if load is None or not load.settled or _is_disturbed(pool, observed):
        return state.model_copy(update={"high_since": None})
    target = spec.autosize.target_utilization_percent
    if load.waiting > 0 or load.utilization >= target:
        return _grow(spec, state, load, ceiling)
    if load.utilization < _LOW * target:
        return _shrink(spec, state, load)
    low = None if load.utilization >= _CALM * target else state.low_since
    return state.model_copy(update={"high_since": None, "low_since": low})


def load_of(pool: PoolView, observed: PoolObserved, now: datetime) -> Load | None:
    """What the instances do; None unless each was looked at lately and answered."""
    own = share(pool.spec, pool.status.size).size if pool.status.size else None
    looks: list[tuple[datetime, Console]] = []
    for instance in serving(observed):
        finding = finding_of(observed, instance)
        if finding is None or not isinstance(finding.console, Console):
            return None
        looks.append((finding.at, finding.console))
    if not looks or now - min(at for at, _ in looks) > timedelta(seconds=_FRESH_SECONDS):
        return None
    consoles = [c for _, c in looks]
    return Load(
        at=min(at for at, _ in looks),
        in_use=sum(c.servers_active for c in consoles),
        waiting=sum(c.clients_waiting for c in consoles),
        size=sum(c.pool_size for c in consoles),
        settled=own is None or all(c.pool_size == own for c in consoles),
    )


def _is_disturbed(pool: PoolView, observed: PoolObserved) -> bool:
    """Whether clients may wait for another reason than too few connections."""
    ended = pool.status.pause is not None and pool.status.pause.over
    busy = pool.status.reconnect is not None or (pool.spec.paused and not ended)
    return busy or not isinstance(server_of(observed), Server)


def _grow(spec: ConnectionPoolSpec, state: AutosizeStatus, load: Load, ceiling: int) -> AutosizeStatus:
    since = state.high_since or load.at
    step = max(1, spec.instances, -(-state.size // 4))
    size = _bounded(spec, state.size + step, ceiling)
    if size == state.size:
        # There is nothing to wait for, so nothing to write down each time that clients need more or less.
        return state.model_copy(update={"high_since": None, "low_since": None})
    if load.at - since < timedelta(seconds=GROW_SECONDS):
        return state.model_copy(update={"high_since": since, "low_since": None})
    return AutosizeStatus(size=size, resized_at=load.at)


def _shrink(spec: ConnectionPoolSpec, state: AutosizeStatus, load: Load) -> AutosizeStatus:
    floor = max(spec.size.min, spec.instances)
    if state.size <= floor:
        return state.model_copy(update={"high_since": None, "low_since": None})
    since = state.low_since or load.at
    if load.at - since < timedelta(seconds=SHRINK_SECONDS):
        return state.model_copy(update={"high_since": None, "low_since": since})
    size = max(floor, state.size - max(1, state.size // 10))
    return AutosizeStatus(size=size, low_since=load.at, resized_at=load.at)


def _bounded(spec: ConnectionPoolSpec, size: int, ceiling: int) -> int:
    floor = max(1, spec.size.min, spec.instances)
    return max(1, spec.instances, min(max(size, floor), spec.size.max, ceiling))
