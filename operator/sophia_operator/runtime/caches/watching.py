"""An idle connection to each node of a tier: its end says at once that the node may be gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from sophia_operator.core.cache.findings import Node, NodeFinding, NodeRequest
from sophia_operator.ports import Caches, Clock
from sophia_operator.runtime.watching import IdleWatch


class NodeWatches:
    """At most one connection to each node, by the name of its pod."""

    def __init__(self, caches: Caches, clock: Clock, wake: Callable[[], None]) -> None:
        self._caches = caches
        self._clock = clock
        self._wake = wake
        self._watches: dict[str, IdleWatch[NodeRequest]] = {}

    @property
    def broke_at(self) -> Mapping[str, datetime]:
        """When the connection to a node broke, where it does not stand."""
        return {name: watch.broke_at for name, watch in self._watches.items() if watch.broke_at is not None}

    async def keep(self, requests: Mapping[str, NodeRequest], found: Mapping[str, NodeFinding]) -> None:
        """Watch the nodes that these requests name, each once it answered its newest look; and no others."""
        for name in self._watches.keys() - requests.keys():
            await self._watches.pop(name).close()
        for name, request in requests.items():
            watch = self._watches.get(name)
            if watch is None:
                watch = self._watches[name] = IdleWatch(self._caches.watch, self._clock, self._wake)
            finding = found.get(name)
            answered = finding is not None and isinstance(finding.answer, Node)
            # What is asked for at a look does not matter to a connection that asks for nothing.
            plain = replace(request, settings=(), full=False)
            await watch.keep(plain, finding.at if finding is not None and answered else None)

    async def close(self) -> None:
        """End all of them."""
        await self.keep({}, {})
