"""A tier whose table is worked on, second by second: the planner decides, parts run, and their findings come back.

The table here does with its rows what the real one does, as far as the planner can tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import TaskFinding
from sophia_operator.core.cache.glob import matches
from sophia_operator.core.cache.table import Table, TableFinding, TableNamespace, TableResult, TableTask, TableWork
from sophia_operator.core.cache.views import Kept, Load, TierAccess, TierObserved, TierView
from sophia_operator.core.cache.work.keeping import keep
from sophia_operator.core.cache.work.plan import plan_work
from sophia_operator.core.cache.work.plans import WorkPlan
from sophia_operator.core.decision import Notice

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
MEBIBYTE: Final = 1024 * 1024
SPEC: Final[dict[str, Any]] = {
    "level": "PostgreSQL",
    "postgresql": {"poolRef": {"name": "orders"}},
    "scan": {"intervalSeconds": 60, "keysPerSecond": 100},
    "namespaces": [
        {"name": "embeddings", "prefix": "emb", "ttlSeconds": 600, "maxMemoryMegabytes": 1, "tags": ["models"]},
        {"name": "sessions", "prefix": "ses", "ttlSeconds": 600},
    ],
}


@dataclass
class Row:
    """An entry."""

    namespace: str
    size: int = 1000
    expires: float | None = 1e9
    used: float = 0.0
    tags: tuple[str, ...] = ()


@dataclass
class World:
    """A tier, its table, and the operator."""

    spec: CacheTierSpec = field(default_factory=lambda: CacheTierSpec.model_validate(SPEC))
    rows: dict[str, Row] = field(default_factory=dict)
    now: float = 0.0
    status: CacheTierStatus = field(default_factory=CacheTierStatus)
    kept: Kept = field(default_factory=Kept)
    up: bool = True
    #: How busy the origin is.
    load: float | None = None
    look_every: float = 30.0
    looked: float | None = None
    #: Parts from now on fail in their middle.
    failing: bool = False
    running: dict[str, tuple[TableTask, float]] = field(default_factory=dict)
    begun: list[tuple[str, TableTask]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    writes: int = 0

    def wish(self, **changes: Any) -> World:
        """The spec is edited."""
        values = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.spec = CacheTierSpec.model_validate({**values, **changes})
        return self

    def fill(self, prefix: str, number: int, **how: Any) -> World:
        """Clients write."""
        self.rows.update({f"{prefix}{index:05}": Row(**how) for index in range(number)})
        return self

    def forget(self) -> None:
        """The operator starts anew; what is under way ends unheard."""
        self.kept, self.looked, self.running = Kept(), None, {}

    def run(self, seconds: float) -> World:
        """Pass after pass, more often than parts end."""
        end = self.now + seconds
        while self.now < end:
            self.one_pass()
            self.now += 0.5
            for kind, (task, due) in list(self.running.items()):
                if self.now >= due:
                    del self.running[kind]
                    # The runtime does not know what a run of a table would be.
                    self.kept = keep(self.kept, kind, TaskFinding(self._at(), task, self._carry_out(task), ""))
        return self

    def one_pass(self) -> WorkPlan:
        """The operator looks, decides, writes the status, and begins parts."""
        if self.looked is None or self.now - self.looked >= self.look_every:
            self.looked = self.now
            self.kept = replace(self.kept, table=TableFinding(self._at(), self._look()))
        if self.load is not None:
            self.kept = replace(self.kept, load=Load(self._at(), self.load))
        view = TierView("shop", "tier", "uid", 1, "1", START, self.spec, self.status)
        observed = TierObserved(access=TierAccess("app", "secret"), kept=self.kept)
        plan = plan_work(view, observed, self._at())
        after = self.status.model_copy(
            update={
                "namespaces": list(plan.namespaces),
                "first_generation": plan.first_generation,
                "flush": plan.flush,
                "flushes": list(plan.flushes),
                "scanned_at": plan.scanned_at,
                "keys": plan.keys,
                "unclaimed_keys": plan.unclaimed_keys,
            }
        )
        if after != self.status:
            self.writes += 1
            self.status = CacheTierStatus.model_validate(after.to_dict())
        self.notices += plan.notices
        for kind, task in plan.tasks.items():
            assert isinstance(task, TableTask)
            if kind not in self.running:
                self.running[kind] = (task, self.now + task.seconds)
                self.begun.append((kind, task))
        return plan

    def _at(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def _look(self) -> Table | CacheFailure:
        if not self.up:
            return CacheFailure(CacheFault.UNREACHABLE, "refused")
        live = {k: r for k, r in self.rows.items() if not self._expired(r)}
        of = {r.namespace: [x for x in live.values() if x.namespace == r.namespace] for r in live.values()}
        counted = {
            n: TableNamespace(len(rows), sum(r.size for r in rows), sum(r.expires is None for r in rows))
            for n, rows in of.items()
        }
        return Table(1, len(live), sum(r.size for r in live.values()), len(self.rows) - len(live), True, counted)

    def _expired(self, row: Row) -> bool:
        return row.expires is not None and row.expires <= self.now

    def _carry_out(self, task: TableTask) -> TableResult:
        if not self.up:
            return TableResult(task.cursor, 0, 0, 0, 0, 1.0, CacheFailure(CacheFault.UNREACHABLE, "refused"))
        works = {TableWork.SWEEP: self._sweep, TableWork.EVICT: self._evict, TableWork.DELETE: self._delete}
        budget = max(1, task.rows_per_second // (2 if self.failing else 1))
        result = works[task.work](task, budget)
        if self.failing:
            failure = CacheFailure(CacheFault.UNREACHABLE, "closed in the middle")
            return replace(result, cursor=result.cursor or task.cursor, failure=failure)
        return result

    def _take(self, keys: list[str]) -> int:
        return sum(self.rows.pop(key).size for key in keys)

    def _sweep(self, task: TableTask, budget: int) -> TableResult:
        gone = [k for k, r in self.rows.items() if self._expired(r)][:budget]
        size = self._take(gone)
        bare = [k for k, r in self.rows.items() if r.expires is None and r.namespace in task.ttls]
        given = bare[: budget - len(gone)]
        counts: dict[str, int] = {}
        for key in given:
            row = self.rows[key]
            row.expires = self.now + task.ttls[row.namespace]
            counts[row.namespace] = counts.get(row.namespace, 0) + 1
        through = len(gone) + len(given) < budget
        cursor = None if through else ""
        return TableResult(cursor, budget, len(gone), len(given), size, 1.0, namespaces=counts)

    def _evict(self, task: TableTask, budget: int) -> TableResult:
        (name,) = task.namespaces
        oldest = sorted((k for k, r in self.rows.items() if r.namespace == name), key=lambda k: self.rows[k].used)
        gone: list[str] = []
        size = 0
        for key in oldest[:budget]:
            if size >= task.evict_bytes:
                break
            size += self.rows[key].size
            gone.append(key)
        self._take(gone)
        cursor = None if size >= task.evict_bytes or len(gone) == len(oldest) else ""
        return TableResult(cursor, len(gone), len(gone), 0, size, 1.0, namespaces={name: len(gone)})

    def _delete(self, task: TableTask, budget: int) -> TableResult:
        if task.everything:
            count = len(self.rows)
            self.rows.clear()
            return TableResult(None, count, count, 0, 0, 1.0)
        number, _, after = task.cursor.partition(":")
        seen = [k for k in sorted(self.rows) if k > after][:budget]
        doomed = [k for k in seen if self._is_of(task, k)]
        self._take(doomed)
        cursor = f"{int(number or 0) + 1}:{seen[-1]}" if len(seen) == budget else None
        return TableResult(cursor, len(seen), len(doomed), 0, 0, 1.0)

    def _is_of(self, task: TableTask, key: str) -> bool:
        tagged = task.tag is not None and task.tag in self.rows[key].tags
        return key.startswith(task.allowed) and (tagged or any(matches(p, key) for p in task.patterns))
