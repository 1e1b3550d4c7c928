"""Carries out the looks and the commands of one tier, and keeps what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sophia_operator.api.cache_tier_status import NodeRole
from sophia_operator.core.cache import names
from sophia_operator.core.cache.faults import CacheFailure
from sophia_operator.core.cache.findings import (
    Node,
    NodeCommand,
    NodeCommandResult,
    NodeFinding,
    NodeRequest,
    TaskFinding,
    TierNeeds,
)
from sophia_operator.core.cache.table import Table, TableFinding
from sophia_operator.core.cache.views import Kept, NodeView, TierAccess, TierObserved, TierView
from sophia_operator.core.cache.work.keeping import keep
from sophia_operator.ports import Caches, CacheTables, Clock
from sophia_operator.runtime.caches import introducing
from sophia_operator.runtime.caches.figures import Figures
from sophia_operator.runtime.caches.requests import node_request, table_request

_LATENCIES: Final = 100
_TOTALS: Final = 32
#: A node that answered last time has so long; one that did not, or whose watch broke, must not hold up the others.
_PATIENCE_SECONDS: Final = 2.0
_LESS_PATIENCE_SECONDS: Final = 1.0


class TierProber:
    """Asks, tells, and remembers. A restart of the operator forgets it all."""

    def __init__(self, caches: Caches, tables: CacheTables, figures: Figures, clock: Clock) -> None:
        self._caches = caches
        self._tables = tables
        self._figures = figures
        self._clock = clock
        #: Run of the process that the totals are of.
        self._run: str | None = None
        #: Where the adopted Redis, or the table, is.
        self._place: object = None
        #: What was found so far.
        self.kept = Kept()

    def about(self, tier: TierView, nodes: Iterable[NodeView]) -> None:
        """Forget what speaks of another server, of nodes that are gone, and of namespaces that are not there."""
        redis, kept = tier.spec.redis, self.kept
        place = (redis.external.host, redis.external.port) if redis and redis.external else tier.spec.postgresql
        if place != self._place:
            if self._place is not None:
                kept = Kept(load=kept.load)
            self._place = place
        there = {n.name for n in nodes}
        if any(name not in there for name in (*kept.nodes, *(node for node, _ in kept.commands))):
            kept = replace(
                kept,
                nodes={name: found for name, found in kept.nodes.items() if name in there},
                commands={key: result for key, result in kept.commands.items() if key[0] in there},
            )
        wanted = {n.name for n in tier.spec.namespaces if n.hit_ratio_query is not None}
        if not wanted >= kept.hit_ratios.keys():
            kept = replace(kept, hit_ratios={name: r for name, r in kept.hit_ratios.items() if name in wanted})
        self.kept = replace(kept, load=None) if tier.spec.origin is None else kept

    async def look(self, tier: TierView, observed: TierObserved, needs: TierNeeds) -> bool:
        """Carry out what is due, all at once. What is found is kept when all of it is there."""
        at, access = self._clock.now(), observed.access
        table = table_request(tier, access) if needs.table and access is not None else None
        async with asyncio.TaskGroup() as group:
            looks = [
                (node, full, group.create_task(introducing.look(self._caches, request, access)))
                for node, full, request in self._requests(tier, observed, needs.nodes)
            ]
            row = group.create_task(self._tables.table(table)) if table is not None else None
            load = group.create_task(self._figures.load(tier)) if needs.load else None
            ratios = {name: group.create_task(self._figures.hit_ratio(tier, name)) for name in needs.hit_ratios}
        for node, full, task in looks:
            self._saw(tier, at, node, task.result(), full=full)
        if row is not None:
            self._saw_table(at, row.result())
        if load is not None:
            self.kept = replace(self.kept, load=load.result())
        found = {name: task.result() for name, task in ratios.items()}
        self.kept = replace(self.kept, hit_ratios={**self.kept.hit_ratios, **found})
        return True

    def _requests(
        self, tier: TierView, observed: TierObserved, wanted: Mapping[str, bool]
    ) -> list[tuple[NodeView, bool, NodeRequest]]:
        if observed.access is None:
            return []
        found = []
        for node in observed.nodes:
            if node.name in wanted:
                full = wanted[node.name]
                request = self._request(tier, observed.access, observed, node, full=full)
                if request is not None:
                    found.append((node, full, request))
        return found

    def _request(
        self, tier: TierView, access: TierAccess, observed: TierObserved, node: NodeView, *, full: bool
    ) -> NodeRequest | None:
        before, broke_at = self.kept.nodes.get(node.name), observed.kept.broke_at.get(node.name)
        silent = before is not None and before.uid == node.uid and isinstance(before.answer, CacheFailure)
        broke = before is not None and broke_at is not None and broke_at > before.at
        seconds = _LESS_PATIENCE_SECONDS if silent or broke else _PATIENCE_SECONDS
        return node_request(tier, access, node, full=full, timeout_seconds=seconds)

    def _saw(self, tier: TierView, at: datetime, node: NodeView, answer: Node | CacheFailure, *, full: bool) -> None:
        before = self.kept.nodes.get(node.name)
        if before is not None and before.uid != node.uid:
            before = None
        last, last_at = (before.last, before.last_at) if before is not None else (None, None)
        if before is not None and isinstance(before.answer, Node):
            last, last_at = before.answer, before.at
        if isinstance(answer, Node):
            if not full and isinstance(last, Node) and last.run_id == answer.run_id:
                # A look that makes no check has the result of the last one that did.
                answer = replace(answer, check_ms=last.check_ms, check_failure=last.check_failure)
            last, last_at = answer, at
        full_at = at if full else before.full_at if before is not None else None
        found = NodeFinding(at, node.uid, answer, last, last_at, full_at)
        self.kept = replace(self.kept, nodes={**self.kept.nodes, node.name: found})
        if isinstance(answer, Node) and full and answer.role is NodeRole.PRIMARY and self._counts(tier, node):
            self._totals(at, answer)
            self._latency(answer.check_ms)

    @staticmethod
    def _counts(tier: TierView, node: NodeView) -> bool:
        """Whether what it says is what clients get: of two primaries only one is."""
        return tier.status.primary in (None, node.name)

    def _totals(self, at: datetime, node: Node) -> None:
        before = self.kept.totals if node.run_id == self._run else ()
        self._run = node.run_id
        if before and (node.hits < before[-1][1] or node.misses < before[-1][2]):
            before = ()  # somebody set them back
        self.kept = replace(self.kept, totals=(*before, (at, node.hits, node.misses))[-_TOTALS:])

    def _latency(self, milliseconds: float | None) -> None:
        if milliseconds is not None:
            self.kept = replace(self.kept, latencies_ms=(*self.kept.latencies_ms, milliseconds)[-_LATENCIES:])

    def _saw_table(self, at: datetime, answer: Table | CacheFailure) -> None:
        self.kept = replace(self.kept, table=TableFinding(at, answer))
        if isinstance(answer, Table):
            self._latency(answer.check_ms)

    async def tell(self, tier: TierView, observed: TierObserved, commands: Sequence[NodeCommand]) -> None:
        """Give the commands: those to one node one after the other, in their order, up to the first that fails."""
        access = observed.access
        if access is None:
            return
        by_node: dict[str, list[NodeCommand]] = {}
        for command in commands:
            by_node.setdefault(command.node, []).append(command)
        addresses = {n.name: n.address for n in observed.nodes}
        async with asyncio.TaskGroup() as group:
            for node in observed.nodes:
                request = node_request(tier, access, node, full=False, timeout_seconds=_PATIENCE_SECONDS)
                if node.name in by_node and request is not None:
                    group.create_task(self._commands(request, by_node[node.name], addresses))

    async def _commands(
        self, request: NodeRequest, commands: Iterable[NodeCommand], addresses: Mapping[str, str | None]
    ) -> None:
        for command in commands:
            target: tuple[str, int] | None = None
            if command.target is not None:
                address = addresses.get(command.target)
                if address is None:
                    return  # its pod went meanwhile; without an address it would be told to follow nobody
                target = (address, names.PORT)
            failure = await self._caches.command(request, command, target)
            result = NodeCommandResult(self._clock.now(), failure)
            key = (command.node, command.verb.value)
            self.kept = replace(self.kept, commands={**self.kept.commands, key: result})
            if failure is not None:
                return

    def worked(self, kind: str, finding: TaskFinding) -> None:
        """Keep what came of a part of work."""
        self.kept = keep(self.kept, kind, finding)
