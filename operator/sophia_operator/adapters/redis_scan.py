"""A part of a scan: gives missing TTLs, evicts what is to be evicted, counts, and measures a sample."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import exceptions

from sophia_operator.adapters.pace import Pace
from sophia_operator.adapters.redis_faults import NoAnswerError
from sophia_operator.adapters.redis_kept import Purpose
from sophia_operator.adapters.redis_keys import Progress, Worker, whole
from sophia_operator.adapters.redis_reads import was_found
from sophia_operator.adapters.redis_session import Session, Word
from sophia_operator.core.cache.faults import CacheFailure, CacheFault
from sophia_operator.core.cache.findings import (
    NamespaceCount,
    NamespaceRule,
    NodeRequest,
    ScanResult,
    ScanTask,
)

_GENERATION: Final = re.compile(rb"g\d{1,10}(?:r\d{1,10})?", re.ASCII)
_GENERATIONS: Final = 64
_NO_TTL: Final = -1
#: So says Redis where an LFU policy is set.
_NOT_TRACKED: Final = "idle time not tracked"
_GONE: Final = "no such key"
_INFINITE: Final = float("inf")


@dataclass(slots=True)
class _Tally:
    """What was counted of one namespace."""

    keys: int = 0
    without_ttl: int = 0
    given: int = 0
    evicted: int = 0
    evicted_bytes: int = 0
    evicted_share_bytes: int = 0
    sampled: int = 0
    sampled_bytes: int = 0
    idle: Counter[int] = field(default_factory=Counter)
    generations: Counter[str] = field(default_factory=Counter)

    def count_generation(self, rule: bytes, key: bytes) -> None:
        name = key[len(rule) :].partition(b":")[0]
        if not _GENERATION.fullmatch(name):
            return
        generation = name.decode()
        if generation in self.generations or len(self.generations) < _GENERATIONS:
            self.generations[generation] += 1

    def count_evicted(self, size: int, keys: int, at_threshold: bool) -> None:
        self.evicted += keys
        self.evicted_bytes += size
        if at_threshold:
            self.evicted_share_bytes += size

    def result(self) -> NamespaceCount:
        return NamespaceCount(
            keys=self.keys,
            without_ttl=self.without_ttl,
            ttls_given=self.given,
            evicted=self.evicted,
            evicted_bytes=self.evicted_bytes,
            evicted_share_bytes=self.evicted_share_bytes,
            sampled=self.sampled,
            sampled_bytes=self.sampled_bytes,
            idle=dict(self.idle),
            generations=dict(self.generations),
        )


@dataclass(slots=True)
class _Room:
    """How many more bytes may be evicted of a namespace: in all, and of what was idle for little longer than it has to
    be, so that what is older finds room, wherever it is."""

    all: float
    share: float

    @classmethod
    def of(cls, rule: NamespaceRule, tally: _Tally) -> _Room:
        if rule.evict_idle_seconds is None:
            return cls(0, 0)
        return cls(
            _INFINITE if rule.evict_bytes is None else rule.evict_bytes - tally.evicted_bytes,
            _INFINITE if rule.evict_share_bytes is None else rule.evict_share_bytes - tally.evicted_share_bytes,
        )

    def takes(self, size: int, at_threshold: bool) -> bool:
        if self.all <= 0 or (at_threshold and self.share <= 0):
            return False
        self.all -= size
        self.share -= size if at_threshold else 0
        return True


class _Scan:
    def __init__(self, task: ScanTask, chance: random.Random, note: Callable[[Sequence[Any]], None]) -> None:
        self._task = task
        #: Is told answers to what Redis counts as reads.
        self._note = note
        self._chance = chance
        # The longest prefix first: it is the one that a key belongs to.
        by_length = sorted(task.rules, key=lambda rule: len(rule.prefix), reverse=True)
        self._rules = [(rule.prefix.encode(), rule) for rule in by_length]
        self.tallies: Mapping[str, _Tally] = {rule.name: _Tally() for rule in task.rules}
        self.unclaimed = 0

    async def work(self, session: Session, keys: Sequence[bytes]) -> int:
        claimed = [(key, *found) for key in keys if (found := self._rule_of(key)) is not None]
        left = await self._evict(session, claimed)
        lacking = await self._without_ttl(session, left)
        # EXPIRE makes a key young, as any use does: what it is given to is measured before, and counts as young.
        given = [each for each in lacking if each[2].gives_ttls]
        await self._measure(session, left, frozenset(key for key, _, _ in given))
        await self._give_ttls(session, given)
        self.unclaimed += len(keys) - len(claimed)
        for key, prefix, rule in left:
            self.tallies[rule.name].keys += 1
            self.tallies[rule.name].count_generation(prefix, key)
        return len(keys)

    def _rule_of(self, key: bytes) -> tuple[bytes, NamespaceRule] | None:
        return next(((prefix, rule) for prefix, rule in self._rules if key.startswith(prefix)), None)

    async def _evict(self, session: Session, claimed: Sequence[_Claimed]) -> list[_Claimed]:
        """Evict what was idle for long enough; returns what is left."""
        asked = [each for each in claimed if _Room.of(each[2], self.tallies[each[2].name]).all > 0]
        idle = await self._idle_seconds(session, [key for key, _, _ in asked])
        old = [each for each, seconds in zip(asked, idle, strict=True) if self._goes(each[2], seconds)]
        at_threshold = frozenset(
            key for (key, _, rule), seconds in zip(asked, idle, strict=True) if _is_at_threshold(rule, seconds)
        )
        room = {rule.name: _Room.of(rule, self.tallies[rule.name]) for _, _, rule in old}
        evicted = [
            (each, size)
            for each, size in zip(old, await self._sizes(session, old), strict=True)
            if size is not None and room[each[2].name].takes(size, each[0] in at_threshold)
        ]
        # One command for each, so that it is known whose key was there still.
        answers = whole(await session.ask_all([("UNLINK", key) for (key, _, _), _ in evicted]))
        for ((key, _, rule), size), gone in zip(evicted, answers, strict=True):
            self.tallies[rule.name].count_evicted(size * gone, gone, key in at_threshold)
        chosen = frozenset(key for (key, _, _), _ in evicted)
        return [each for each in claimed if each[0] not in chosen]

    def _goes(self, rule: NamespaceRule, seconds: int | None) -> bool:
        least = rule.evict_idle_seconds
        if least is None or seconds is None or seconds < least:
            return False
        return not _is_at_threshold(rule, seconds) or self._chance.random() < rule.evict_share

    async def _without_ttl(self, session: Session, keys: Sequence[_Claimed]) -> list[_Claimed]:
        ttls = whole(await session.ask_all([("TTL", key) for key, _, _ in keys]))
        self._note(ttls)
        lacking = [each for each, ttl in zip(keys, ttls, strict=True) if ttl == _NO_TTL]
        for _, _, rule in lacking:
            self.tallies[rule.name].without_ttl += 1
        return lacking

    async def _give_ttls(self, session: Session, keys: Sequence[_Claimed]) -> None:
        commands: list[tuple[Word, ...]] = [("EXPIRE", key, rule.ttl_seconds, "NX") for key, _, rule in keys]
        for (_, _, rule), answer in zip(keys, await session.ask_all(commands), strict=True):
            if isinstance(answer, exceptions.ResponseError) and "wrong number of arguments" in str(answer):
                message = "it cannot give TTLs to keys without one alone: Redis 7.0 or newer is needed"
                raise NoAnswerError(CacheFailure(CacheFault.OTHER, message))
            if isinstance(answer, Exception):
                raise answer
            self.tallies[rule.name].given += answer

    async def _measure(self, session: Session, keys: Sequence[_Claimed], young: frozenset[bytes]) -> None:
        sample = [each for each in keys if self._chance.random() < self._part(each[2])]
        sizes = await self._sizes(session, sample)
        idle = await self._idle_seconds(session, [key for key, _, _ in sample])
        for (key, _, rule), size, seconds in zip(sample, sizes, idle, strict=True):
            if size is None:
                continue
            tally = self.tallies[rule.name]
            tally.sampled += 1
            tally.sampled_bytes += size
            if seconds is not None:
                tally.idle[0 if key in young else _power_of_two(seconds)] += size

    async def _sizes(self, session: Session, keys: Sequence[_Claimed]) -> Sequence[int | None]:
        """Memory of each key; None for one that has gone."""
        return whole(await session.ask_all([("MEMORY", "USAGE", key, "SAMPLES", 5) for key, _, _ in keys]))

    async def _idle_seconds(self, session: Session, keys: Sequence[bytes]) -> list[int | None]:
        """Idle time of each key; None for one that has gone, and where Redis does not tell it."""
        answers = await session.ask_all([("OBJECT", "IDLETIME", key) for key in keys])
        for answer in answers:
            if isinstance(answer, Exception) and _NOT_TRACKED not in str(answer) and _GONE not in str(answer):
                raise answer
        # Where it is not tracked, the key was read all the same.
        self._note([None if _GONE in str(answer) else str(answer) for answer in answers if answer is not None])
        return [None if isinstance(answer, Exception) else answer for answer in answers]

    def _part(self, rule: NamespaceRule) -> float:
        return self._task.sample if rule.sample is None else rule.sample


_Claimed = tuple[bytes, bytes, NamespaceRule]


async def scan(worker: Worker, request: NodeRequest, task: ScanTask, chance: random.Random) -> ScanResult:
    """Do a part of a scan."""
    pace, progress = Pace(worker.time, task.keys_per_second, task.seconds), Progress(task.cursor or "0")

    def note(answers: Sequence[Any]) -> None:
        worker.reads.note(request, [was_found(answer) for answer in answers])

    going = _Scan(task, chance, note)
    await worker.go_over(request, Purpose.SCAN, progress, pace, going.work)
    return ScanResult(
        cursor=progress.next,
        scanned=progress.scanned,
        seconds=pace.seconds,
        namespaces={name: tally.result() for name, tally in going.tallies.items()},
        unclaimed=going.unclaimed,
        failure=progress.failure,
    )


def _is_at_threshold(rule: NamespaceRule, seconds: int | None) -> bool:
    """Whether only a share of such keys goes."""
    least = rule.evict_idle_seconds
    return least is not None and seconds is not None and least <= seconds < max(1, 2 * least)


def _power_of_two(seconds: int) -> int:
    return 1 << (seconds.bit_length() - 1) if seconds > 0 else 0
