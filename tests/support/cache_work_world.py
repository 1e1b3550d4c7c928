"""A tier whose keys are worked on, second by second: the planner decides, parts run, and everything is judged.

What the planner must never do is said here a second time, in other words than its own.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus, FlushPhase, WarmUpPhase
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    NodeFinding,
    ScanResult,
    ScanTask,
    Task,
    TaskFinding,
    TaskResult,
)
from sophia_operator.core.cache.views import (
    BoundRelease,
    Kept,
    Load,
    NodeView,
    TierAccess,
    TierObserved,
    TierView,
)
from sophia_operator.core.cache.work import plan
from sophia_operator.core.cache.work.keeping import keep
from sophia_operator.core.cache.work.plans import WorkPlan
from tests.support.cache_work_keys import Entry, Keys
from tests.support.cache_work_scene import at, generation_of, node, rate_of, spec

MEBIBYTE: Final = 1024 * 1024
STEP: Final = 0.5
#: Of a quota, as an eviction aims at nine tenths, by a sample.
LEFT_AT_LEAST: Final = 0.75
ENDED: Final = frozenset({FlushPhase.DONE, FlushPhase.STOPPED, FlushPhase.REFUSED})


class BrokenError(AssertionError):
    """A rule is broken."""


@dataclass
class Part:
    """A part under way."""

    task: Task
    run: str
    ends: float


@dataclass(frozen=True)
class Truth:
    """What a flush may take away: what was there, and was asked for, as it began."""

    at: float
    keys: frozenset[str]
    spec: CacheTierSpec
    status: CacheTierStatus


@dataclass
class World:
    """A tier, its primary, and the operator."""

    spec: CacheTierSpec = field(default_factory=spec)
    now: float = 0.0
    keys: Keys = field(default_factory=lambda: Keys("run-1"))
    status: CacheTierStatus = field(default_factory=lambda: CacheTierStatus(primary="n-0"))
    kept: Kept = field(default_factory=Kept)
    releases: tuple[BoundRelease, ...] = ()
    #: How busy the origin is, and whether that can be found out.
    load: float | None = 0.0
    up: bool = True
    #: So many parts from now on fail, and writes of the status are refused.
    failing: int = 0
    refused: int = 0
    generation: int = 1
    running: dict[str, Part] = field(default_factory=dict)
    writes: int = 0
    passes: int = 0
    begun: list[tuple[float, str, Task]] = field(default_factory=list)
    truths: dict[str, Truth] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    #: The highest number whose keys a flush made invalid, by prefix.
    flushed: dict[str, int] = field(default_factory=dict)
    warmed: dict[str, frozenset[str]] = field(default_factory=dict)
    last: WorkPlan | None = None

    # What happens to it.

    def wish(self, **changes: Any) -> None:
        """The spec is edited, unless the API server refuses that."""
        values = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        values.update(changes)
        with suppress(ValidationError):
            self.spec = CacheTierSpec.model_validate({k: v for k, v in values.items() if v is not None})
            self.generation += 1

    def flush(self, name: str, **changes: Any) -> None:
        self.wish(flush={"name": name, "keysPerSecond": 50, **changes})

    def write(self, key: str, size: int = 1000, ttl: int | None = None) -> None:
        """A client writes."""
        self.keys.entries[key] = Entry(size, self.now, self.now, ttl)

    def fill(self, prefix: str, number: int, size: int = 1000) -> None:
        for index in range(number):
            self.write(f"{prefix}doc-{index}", size)

    def use(self, part: str) -> None:
        """Clients read all keys with that in their names."""
        for key, entry in self.keys.entries.items():
            if part in key:
                entry.used = self.now

    def another_node(self) -> None:
        """Another process has the same keys, and is the primary."""
        run = f"run-{int(self.keys.run.removeprefix('run-')) + 1}"
        self.keys = replace(self.keys, run=run)

    def restart(self) -> None:
        """The operator starts anew: it remembers nothing, and parts that were under way end unheard."""
        for part in self.running.values():
            self._carry_out(part)
        self.kept, self.running = Kept(), {}

    # How it goes on.

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP
            for kind, part in list(self.running.items()):
                if part.ends <= self.now:
                    del self.running[kind]
                    self._ended(kind, part)
            if self.now == int(self.now):
                self._look()
            self.one_pass()

    def settle(self, seconds: float) -> None:
        """Until nothing is under way, and one more scan found that; no longer than so many seconds."""
        end = self.now + seconds
        self._rest(end)
        self.run(self.spec.scan.interval_seconds + 1)
        self._rest(end)

    def _rest(self, end: float) -> None:
        while self.now < end:
            self.run(2)
            decided = self.last
            assert decided is not None
            # What failed waits for its next try.
            waits = decided.scan_why or decided.flush or any(w.ended_at is None for w in decided.warm_ups)
            if not (self.running or decided.tasks or waits):
                return

    def _look(self) -> None:
        answer = node(self.keys.run, len(self.keys.entries)) if self.up else CacheFailure(CacheFault.REFUSED, "gone")
        load = Load(at(self.now), self.load, "" if self.load is not None else "no answer")
        self.kept = replace(self.kept, nodes={"n-0": NodeFinding(at(self.now), "u", answer)}, load=load)

    def _ended(self, kind: str, part: Part) -> None:
        result = self._carry_out(part)
        self.kept = keep(self.kept, kind, TaskFinding(at(self.now), part.task, result, part.run))

    def _carry_out(self, part: Part) -> TaskResult:
        task, before = part.task, len(self.keys.deleted)
        lost = None
        if self.failing or not self.up or part.run != self.keys.run:
            self.failing = max(0, self.failing - 1)
            lost = CacheFailure(CacheFault.UNREACHABLE, "closed in the middle")
        if isinstance(task, DeleteTask):
            if lost:
                return DeleteResult(task.cursor, 0, 0, 1.0, lost)
            result = self.keys.delete(task)
            self._judge_deleted(task, self.keys.deleted[before:])
            return result
        if isinstance(task, CopyTask):
            return CopyResult(task.cursor, 0, 0, 1.0, 0.0, lost) if lost else self.keys.copy(task, self.now)
        assert isinstance(task, ScanTask)
        return ScanResult(task.cursor, 0, 1.0, failure=lost) if lost else self._scan(task)

    def _scan(self, task: ScanTask) -> ScanResult:
        given, evicted = len(self.keys.given), len(self.keys.evicted)
        result = self.keys.look_over(task, self.now)
        own = tuple(f"{n.prefix}:" for n in self.spec.namespaces) + tuple(r.prefix for r in task.rules)
        for key in self.keys.given[given:] + self.keys.evicted[evicted:]:
            self._rule(key.startswith(own), f"{key} of no namespace was touched")
        for n in self.spec.namespaces:
            gone = [k for k in self.keys.evicted[evicted:] if k.startswith(f"{n.prefix}:")]
            if gone and n.max_memory_megabytes is not None:
                least = LEFT_AT_LEAST * n.max_memory_megabytes * MEBIBYTE
                self._rule(self.used(n.prefix) >= least, f"more of {n.name} was evicted than had to be")
        return result

    def one_pass(self) -> None:
        """The operator looks, decides, writes the status, and begins parts."""
        self.passes += 1
        view = TierView("shop", "tier", "uid", self.generation, "1", at(0), self.spec, self.status)
        nodes = (NodeView("n-0", "u", "10.0.0.1", True, False, True),)
        observed = TierObserved(nodes=nodes, access=TierAccess("c", "p"), releases=self.releases, kept=self.kept)
        decided = plan.plan_work(view, observed, at(self.now))
        self.last = decided
        after = self._status(decided)
        self._judge(decided, after)
        if self.refused:
            self.refused -= 1
            return
        self.writes += after != self.status
        self._note(after)
        self.status = after
        for kind, task in decided.tasks.items():
            if kind not in self.running:
                self._judge_begun(kind, task)
                self.begun.append((self.now, kind, task))
                self.running[kind] = Part(task, self.keys.run, self.now + 1.0)

    def _status(self, decided: WorkPlan) -> CacheTierStatus:
        """As it comes back from the API server."""
        changed = self.status.model_copy(
            update={
                "observed_generation": self.generation,
                "namespaces": list(decided.namespaces),
                "first_generation": decided.first_generation,
                "flush": decided.flush,
                "flushes": list(decided.flushes),
                "warm_ups": list(decided.warm_ups),
                "scanned_at": decided.scanned_at,
                "keys": decided.keys,
                "unclaimed_keys": decided.unclaimed_keys,
            }
        )
        return changed if changed == self.status else CacheTierStatus.model_validate(changed.to_dict())

    # What must hold.

    def used(self, prefix: str) -> int:
        return sum(e.size for k, e in self.keys.entries.items() if k.startswith(f"{prefix}:"))

    def _rule(self, holds: bool, said: str) -> None:
        if not holds:
            raise BrokenError(f"at {self.now} s: {said}")

    def _note(self, after: CacheTierStatus) -> None:
        """Remember what is there as a flush, or a warm-up, begins, and judge those that end."""
        before = {n.name: n.generation for n in self.status.namespaces}
        for n in after.namespaces:
            prefix = next(s.prefix for s in self.spec.namespaces if s.name == n.name)
            was = before.get(n.name, self.status.first_generation)
            self._rule(n.generation > self.flushed.get(prefix, 0), f"{n.name} reads again what was flushed")
            self._rule(0 <= n.generation - was <= 1, f"{n.name} goes from {was} to {n.generation}")
            if n.generation > was:
                self.flushed[prefix] = n.generation - 1
        flush = after.flush
        if flush is not None and flush.patterns and flush.name not in self.truths:
            scope = frozenset(k for k in self.keys.entries if _asked_for(k, self.spec, after))
            self.truths[flush.name] = Truth(self.now, scope, self.spec, after)
        for w in after.warm_ups:
            old = next((x for x in self.status.warm_ups if x.release == w.release), None)
            if w.phase is WarmUpPhase.DONE and (old is None or old.phase is not w.phase):
                self._judge_warmed(w.release)

    def _judge_deleted(self, task: DeleteTask, gone: list[str]) -> None:
        """Also a key that was written since the flush began may go, but only if it was asked for then."""
        truth = self.truths[task.name]
        wrong = [k for k in gone if not _asked_for(k, truth.spec, truth.status)]
        self._rule(not wrong, f"{sorted(wrong)[:3]} were deleted, and nobody asked for it")

    def _judge(self, decided: WorkPlan, after: CacheTierStatus) -> None:
        old, new = self.status.flush, after.flush
        if old is not None and new is not None and old.name == new.name and old.patterns:
            self._rule(old.started_at == new.started_at, f"{old.name} begins again")
        if old is not None and (new is None or new.name != old.name):
            self._rule(old.name in [f.name for f in after.flushes], f"nothing is said of the end of {old.name}")
        for flush in after.flushes:
            if flush.name in self.over or flush.phase not in ENDED:
                continue
            self.over.add(flush.name)
            if flush.phase is FlushPhase.DONE and flush.patterns:
                truth = self.truths[flush.name]
                left = [k for k in truth.keys if k in self.keys.entries and self.keys.entries[k].written <= truth.at]
                self._rule(not left, f"{flush.name} is done, and left {sorted(left)[:3]}")
            if flush.phase is FlushPhase.REFUSED:
                self._rule(bool(flush.message), "no reason is given")
                self._rule(flush.deleted == 0, "a refused flush deleted keys")
        if self.spec.flush is not None and self.spec.flush.stop and decided.flush is None:
            self._rule("flush" not in decided.tasks, "it was not stopped")
        limits = [rate_of(t) / self._limit(k) for k, t in decided.tasks.items()]
        self._rule(sum(limits) <= 1.1, f"all together are too fast: {decided.tasks}")

    def _limit(self, kind: str) -> int:
        if kind == "scan":
            return self.spec.scan.keys_per_second
        if kind == "flush":
            assert self.spec.flush is not None
            return self.spec.flush.keys_per_second
        assert self.spec.warm_up is not None
        return self.spec.warm_up.max_per_second

    def _judge_begun(self, kind: str, task: Task) -> None:
        self._rule(not self.spec.paused, f"{kind} begins in a pause")
        if isinstance(task, DeleteTask):
            flush = self.spec.flush
            self._rule(task.name not in self.over, f"{task.name} is done again")
            self._rule(flush is not None and flush.name == task.name and not flush.stop, f"{task.name} is not stopped")
            if flush is not None and flush.generation is not None:
                used = {f"g{n.generation}" for n in self.status.namespaces}
                used |= {f"g{n.generation}r{r.revision}" for n in self.status.namespaces for r in self.releases}
                self._rule(flush.generation not in used, f"{flush.generation} is in use")
        if kind == "scan" or self.spec.origin is None:
            return
        origin, load = self.spec.origin, self.kept.load
        percent = load.percent if load is not None else None
        limit = self._limit(kind)
        if percent is None:
            self._rule(rate_of(task) <= max(1, limit // 10), f"{kind} goes at more than a tenth at a load not known")
            return
        self._rule(percent <= origin.pause_above_percent, f"{kind} goes on at a load of {percent} %")
        if percent > origin.slow_above_percent:
            way = (percent - origin.slow_above_percent) / (origin.pause_above_percent - origin.slow_above_percent)
            self._rule(rate_of(task) <= max(1, limit * (1 - 0.9 * way)) + 1e-6, f"{kind} is too fast for {percent} %")

    def warm(self, release: BoundRelease, number: int = 1) -> None:
        """A release is to be warmed; what it is to find in the end is what the one before has now."""
        self.releases = (*self.releases, release)
        own = {n.name: f"{n.prefix}:g{number}r" for n in self.spec.namespaces}
        self.warmed[release.name] = frozenset(
            key.replace(f"{start}{release.before}:", f"{start}{release.revision}:", 1)
            for key in self.keys.entries
            for start in own.values()
            if key.startswith(f"{start}{release.before}:")
        )

    def _judge_warmed(self, release: str) -> None:
        missing = [key for key in self.warmed.get(release, ()) if key not in self.keys.entries]
        self._rule(not missing, f"{release} is warm, and misses {sorted(missing)[:3]}")


def _asked_for(key: str, spec: CacheTierSpec, status: CacheTierStatus) -> bool:
    """Whether the flush in the spec, which begins with that status, is of that key."""
    flush = spec.flush
    assert flush is not None
    if flush.flush_all is not None:
        return True
    own = next((n for n in spec.namespaces if key.startswith(f"{n.prefix}:")), None)
    if own is None:
        return False
    number, _, _ = generation_of(key, own.prefix)
    if flush.kind.value == "Generation":
        current = next(n.generation for n in status.namespaces if n.name == own.name)
        if not 1 <= number < current:
            return False
    if flush.pattern is not None:
        # Tests have patterns of the form `prefix:*text*`.
        start, _, text = flush.pattern.partition("*")
        return key.startswith(start) and text.strip("*") in key
    if flush.generation is not None:
        return key.removeprefix(f"{own.prefix}:").partition(":")[0] == flush.generation
    return own.name == flush.namespace_name if flush.namespace_name is not None else flush.tag in own.tags
