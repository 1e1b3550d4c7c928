"""What the demo measured of the cache: what it saves, and what warming, losing and flushing it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from hack.demo.figures import seconds_of
from hack.rig.api import Json
from hack.rig.cache_writes import Books
from hack.rig.told import condition_of

#: Of reads whose values are there, so many must be answered by the cache: an entry may expire, a connection may break.
_LEAST_HITS_PERCENT: Final = 90.0
#: A flush is held to its rate in parts of a second, so the last one may seem quicker than it was.
_RATE_SLACK: Final = 1.5


@dataclass(frozen=True)
class Reads:
    """Reads of the same keys, from the origin, from Redis, and from memory: median times, and what the app counted."""

    origin_ms: float | None
    redis_ms: float | None
    memory_ms: float | None
    empty_hit_percent: float | None
    full_hit_percent: float | None

    @property
    def is_good(self) -> bool:
        """Whether the cache answered, and both levels of it more quickly than the origin."""
        if self.origin_ms is None or self.redis_ms is None or self.memory_ms is None:
            return False
        quicker = self.redis_ms < self.origin_ms and self.memory_ms < self.origin_ms
        return quicker and (self.full_hit_percent or 0) >= _LEAST_HITS_PERCENT


@dataclass(frozen=True)
class HandOver:
    """The primary's pod is evicted while somebody writes."""

    planned: bool
    #: From the beginning to the end of it, as the status of the tier says.
    seconds: float
    acknowledged: int
    refused: int
    #: Acknowledged writes that are not there.
    lost: int
    longest_gap: float

    @classmethod
    def of(cls, past: Mapping[str, Any], books: Books, lost: int) -> HandOver:
        """From the entry in the tier's status, and what the writer knows."""
        took = seconds_of(past["endedAt"]) - seconds_of(past["startedAt"])
        return cls(
            planned=bool(past["planned"]),
            seconds=round(took, 3),
            acknowledged=len(books.acknowledged),
            refused=len(books.refused),
            lost=lost,
            longest_gap=round(books.longest_gap, 3),
        )

    @property
    def is_good(self) -> bool:
        """Whether it was a planned one, which loses nothing."""
        return self.planned and self.lost == 0 and self.acknowledged > 0


@dataclass(frozen=True)
class Flushed:
    """A flush that was held to a rate."""

    phase: str
    deleted: int
    #: Keys that it was to take away, and those that are still there.
    wanted: int
    left: int
    seconds: float
    keys_per_second: int

    @classmethod
    def of(cls, told: Mapping[str, Any], *, wanted: int, left: int, keys_per_second: int) -> Flushed:
        """From the entry in the tier's status."""
        took = seconds_of(told["endedAt"]) - seconds_of(told["startedAt"])
        return cls(str(told["phase"]), int(told.get("deleted", 0)), wanted, left, round(took, 3), keys_per_second)

    @property
    def is_good(self) -> bool:
        """Whether it took away what it was to, and no more quickly than it was to."""
        held = self.deleted <= _RATE_SLACK * self.keys_per_second * self.seconds
        return self.phase == "Done" and self.deleted == self.wanted and self.left == 0 and held


@dataclass(frozen=True)
class Warmth:
    """What the new release found in its own generation, which nobody else writes to."""

    copied: int
    #: From the end of the warm-up to the first weight that the release was given; below 0: it came too early.
    before_traffic_seconds: float
    #: Entries of the release before that it had without its origin; None: nobody could ask it.
    found: int | None
    wanted: int

    @classmethod
    def of(cls, tier: Json | None, release: Json | None, *, found: int | None, wanted: int) -> Warmth | None:
        """From what the tier and the release say of it; None while it has not ended, or has no traffic."""
        name = ((release or {}).get("metadata") or {}).get("name")
        warm_ups = ((tier or {}).get("status") or {}).get("warmUps") or []
        warm = next((w for w in warm_ups if w["release"] == name and w["phase"] == "Done"), None)
        shifts = [t for t in ((release or {}).get("status") or {}).get("transitions", []) if t["state"] == "Shifting"]
        if warm is None or not shifts:
            return None
        before = seconds_of(shifts[0]["time"]) - seconds_of(warm["endedAt"])
        return cls(int(warm.get("warmed", 0)), round(before, 3), found, wanted)

    @property
    def is_good(self) -> bool:
        """Whether it was warm before users came, with entries of its own."""
        share = None if self.found is None else 100 * self.found / self.wanted
        return self.copied > 0 and self.before_traffic_seconds >= 0 and (share is None or share >= _LEAST_HITS_PERCENT)


@dataclass(frozen=True)
class CacheFigures:
    """The figures of the cache. None stands for what was not measured; `skipped` says why nobody could look."""

    ready: bool = False
    #: What its condition Ready says.
    state: str = "it was not looked at"
    warmth: Warmth | None = None
    reads: Reads | None = None
    hand_over: HandOver | None = None
    flushed: Flushed | None = None
    skipped: str | None = None

    @classmethod
    def of(
        cls,
        tier: Json | None,
        *,
        warmth: Warmth | None,
        reads: Reads | None,
        hand_over: HandOver | None,
        flushed: Flushed | None,
        skipped: str | None,
    ) -> CacheFigures:
        """Judge the tier as it is now, None when it is not there, beside what was measured."""
        ready = condition_of(tier or {}, "Ready") or {}
        return cls(
            ready=ready.get("status") == "True",
            state=f"{ready['reason']}: {ready['message']}" if ready else "the operator has not looked at it",
            warmth=warmth,
            reads=reads,
            hand_over=hand_over,
            flushed=flushed,
            skipped=skipped,
        )

    @property
    def is_good(self) -> bool:
        """Whether all was as it should be, as far as this machine can see."""
        parts = [self.warmth] if self.skipped is not None else [self.warmth, self.reads, self.hand_over, self.flushed]
        return self.ready and all(part is not None and part.is_good for part in parts)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        parts = {"warmth": self.warmth, "reads": self.reads, "handOver": self.hand_over, "flushed": self.flushed}
        told = {name: None if part is None else _camel(asdict(part)) for name, part in parts.items()}
        return {**told, "ready": self.ready, "skipped": self.skipped}

    def rows(self) -> list[tuple[str, str]]:
        """Rows of the table at the end, for people."""
        out = [("the cache at the end", self.state), *_warmth_rows(self.warmth)]
        if self.skipped is not None:
            return [*out, ("its reads, hand-over and flush", f"left out: {self.skipped}")]
        return [*out, *_read_rows(self.reads), *_hand_over_rows(self.hand_over), *_flush_rows(self.flushed)]


def _warmth_rows(warmth: Warmth | None) -> list[tuple[str, str]]:
    if warmth is None:
        return [("entries copied for the good release", "-")]
    out = [
        ("entries copied for the good release", str(warmth.copied)),
        ("from the end of that to its first users", f"{warmth.before_traffic_seconds:.1f} s"),
    ]
    if warmth.found is not None:
        out.append(("of the entries before, it had without its origin", f"{warmth.found} of {warmth.wanted}"))
    return out


def _read_rows(reads: Reads | None) -> list[tuple[str, str]]:
    found: Sequence[float | None] = (
        (None,) * 5
        if reads is None
        else (reads.origin_ms, reads.redis_ms, reads.memory_ms, reads.empty_hit_percent, reads.full_hit_percent)
    )
    times = " / ".join("-" if it is None else f"{it:.1f} ms" for it in found[:3])
    hits = " / ".join("-" if it is None else f"{it:.0f} %" for it in found[3:])
    return [("a read from the origin / Redis / memory, median", times), ("hit ratio, cache empty / full", hits)]


def _hand_over_rows(hand_over: HandOver | None) -> list[tuple[str, str]]:
    words = ("the primary handed over in", "writes acknowledged / refused / lost", "longest time without a write")
    if hand_over is None:
        return [(name, "-") for name in words]
    how = "" if hand_over.planned else ", not as planned"
    counts = f"{hand_over.acknowledged} / {hand_over.refused} / {hand_over.lost}"
    values = (f"{hand_over.seconds:.1f} s{how}", counts, f"{hand_over.longest_gap:.1f} s")
    return list(zip(words, values, strict=True))


def _flush_rows(flushed: Flushed | None) -> list[tuple[str, str]]:
    if flushed is None:
        return [("the flush", "-")]
    words = f"{flushed.phase}: {flushed.deleted} of {flushed.wanted} keys in {flushed.seconds:.1f} s"
    return [(f"the flush, held to {flushed.keys_per_second} keys a second", words)]


def _camel(values: Mapping[str, Any]) -> dict[str, Any]:
    def name(key: str) -> str:
        first, *rest = key.split("_")
        return first + "".join(part.title() for part in rest)

    return {name(key): round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
