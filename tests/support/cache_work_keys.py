"""Keys of a Redis node in tests: SCAN as Redis promises it, and what paced parts of work do with keys.

A key that is there from the beginning of a SCAN to its end is returned at least once; a cursor is of one run of the
process, and means another place to any other.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sophia_operator.core.cache.findings import (
    CopyResult,
    CopyTask,
    DeleteResult,
    DeleteTask,
    NamespaceCount,
    NamespaceRule,
    ScanResult,
    ScanTask,
)
from sophia_operator.core.cache.glob import matches

PLACES = 2**32


@dataclass
class Entry:
    """What is known of a key."""

    size: int
    written: float
    used: float
    ttl: int | None = None


@dataclass
class Keys:
    """The keys of one node."""

    run: str
    entries: dict[str, Entry] = field(default_factory=dict)
    #: Whether the node tells idle times: not with an LFU policy.
    tells_idle: bool = True
    #: Keys that a part deleted, and that a scan evicted and gave a TTL to.
    deleted: list[str] = field(default_factory=list)
    evicted: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    def place(self, key: str) -> int:
        return zlib.crc32(f"{self.run}/{key}".encode())

    def scan(self, cursor: str, most: int) -> tuple[str | None, list[str]]:
        """So many keys from the cursor on, and where it goes on."""
        start = int(cursor)
        rest = sorted((self.place(key), key) for key in self.entries if self.place(key) >= start)
        chosen, following = rest[:most], rest[most : most + 1]
        keys = [key for _, key in chosen]
        return (str(following[0][0]) if following else None), keys

    def delete(self, task: DeleteTask) -> DeleteResult:
        if task.everything:
            gone = list(self.entries)
            self.deleted += gone
            self.entries.clear()
            return DeleteResult(None, len(gone), len(gone), task.seconds)
        following, keys = self.scan(task.cursor, _most(task))
        gone = [k for k in keys if k.startswith(task.allowed) and any(matches(p, k) for p in task.patterns)]
        for key in gone:
            del self.entries[key]
        self.deleted += gone
        return DeleteResult(following, len(keys), len(gone), task.seconds)

    def copy(self, task: CopyTask, now: float) -> CopyResult:
        following, keys = self.scan(task.cursor, _most(task))
        copied = 0
        for key, (source, target) in ((k, p) for k in keys for p in task.prefixes if k.startswith(p[0])):
            name = target + key.removeprefix(source)
            if name not in self.entries:
                # Redis takes that for a use of both.
                self.entries[key].used = now
                self.entries[name] = replace(self.entries[key], written=now)
                copied += 1
        position = int(following) / PLACES if following else 1.0
        return CopyResult(following, len(keys), copied, task.seconds, position)

    def look_over(self, task: ScanTask, now: float) -> ScanResult:
        """What a part of a scan does."""
        following, keys = self.scan(task.cursor, _most(task))
        tallies: dict[str, Counter[str]] = {rule.name: Counter() for rule in task.rules}
        idle: dict[str, Counter[int]] = defaultdict(Counter)
        unclaimed = 0
        for key, rule in self._claimed(task, keys):
            if rule is None:
                unclaimed += 1
                continue
            self._one(key, rule, tallies[rule.name], idle[rule.name], now)
        told: dict[str, Any] = tallies
        counts = {name: NamespaceCount(**told[name], idle=dict(idle[name])) for name in told}
        return ScanResult(following, len(keys), task.seconds, counts, unclaimed)

    def _claimed(self, task: ScanTask, keys: list[str]) -> Iterator[tuple[str, NamespaceRule | None]]:
        for key in keys:
            yield key, next((rule for rule in task.rules if key.startswith(rule.prefix)), None)

    def _one(self, key: str, rule: NamespaceRule, tally: Counter[str], idle: Counter[int], now: float) -> None:
        entry = self.entries[key]
        seconds = int(now - entry.used)
        some = rule.evict_idle_seconds is not None and seconds < max(1, 2 * rule.evict_idle_seconds)
        if self.tells_idle and _has_room(rule, tally, some) and self._goes(key, rule, seconds, now):
            tally["evicted"] += 1
            tally["evicted_bytes"] += entry.size
            tally["evicted_share_bytes"] += entry.size if some else 0
            del self.entries[key]
            self.evicted.append(key)
            return
        tally["keys"] += 1
        if entry.ttl is None:
            tally["without_ttl"] += 1
            if rule.gives_ttls:
                # Redis takes that for a use of the key.
                entry.ttl, entry.used, seconds = rule.ttl_seconds, now, 0
                self.given.append(key)
                tally["ttls_given"] += 1
        assert rule.sample is not None
        if _chance("sample", key, now) < rule.sample:
            tally["sampled"] += 1
            tally["sampled_bytes"] += entry.size
            if self.tells_idle:
                idle[1 << (seconds.bit_length() - 1) if seconds else 0] += entry.size

    def _goes(self, key: str, rule: NamespaceRule, seconds: int, now: float) -> bool:
        least = rule.evict_idle_seconds
        if least is None or seconds < least:
            return False
        return seconds >= max(1, 2 * least) or _chance("evict", key, now) < rule.evict_share


def _has_room(rule: NamespaceRule, tally: Counter[str], some: bool) -> bool:
    if rule.evict_bytes is not None and tally["evicted_bytes"] >= rule.evict_bytes:
        return False
    return not some or rule.evict_share_bytes is None or tally["evicted_share_bytes"] < rule.evict_share_bytes


def _chance(what: str, key: str, now: float) -> float:
    """From 0 to 1, and the same each time."""
    return zlib.crc32(f"{what} {now} {key}".encode()) / PLACES


def _most(task: ScanTask | DeleteTask | CopyTask) -> int:
    return max(1, round(task.keys_per_second * task.seconds))
