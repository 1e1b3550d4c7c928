"""Generated traces of incidents: when objects of a namespace show a symptom, and what would end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

TARGETS: Final = 20
#: Noise lasts so long on average, with an exponential tail.
NOISE_SECONDS: Final = 6
#: An act that is the right one helps in so many of 100 tries.
_HELPS_PERCENT: Final = 97


@dataclass(frozen=True)
class Fault:
    """One object shows the symptom. Times are seconds since the trace began."""

    target: int
    begins: float
    #: When it goes by itself; infinite when only an act ends it.
    ends: float
    #: Position in the ladder of the first action that helps; None when none does.
    cured_by: int | None = None
    #: How long an act takes to have an effect.
    takes: float = 3.0
    #: Whether it is one of many with one cause elsewhere.
    of_storm: bool = False


@dataclass(frozen=True)
class Trace:
    """What happens in one namespace."""

    name: str
    words: str
    seconds: float
    faults: tuple[Fault, ...]
    #: When objects fail for one cause.
    storms: tuple[tuple[float, float], ...] = field(default=())


def flapping(random: Random, hours: float) -> Trace:
    """Four objects whose symptom comes and goes faster than anybody should answer."""
    faults = []
    for target in range(4):
        at = random.uniform(0, 60)
        while at < hours * 3600:
            lasts = random.uniform(1, 20)
            faults.append(Fault(target, at, at + lasts))
            at += lasts + random.uniform(5, 120)
    return Trace("flapping", "symptoms of 1-20 s, again after 5-120 s", hours * 3600, tuple(faults))


def ambient(random: Random, hours: float) -> Trace:
    """Noise: each object is unwell for some seconds now and then, and once in a while for good. Noise has a tail: some
    of it lasts long enough to be answered, and may go just when it is."""
    faults = []
    for target in range(TARGETS):
        at = random.expovariate(1 / 1800)
        while at < hours * 3600:
            real = random.random() < 0.1
            lasts = float("inf") if real else random.expovariate(1 / NOISE_SECONDS)
            faults.append(Fault(target, at, at + lasts, cured_by=_cured(random) if real else None))
            at += (0 if real else lasts) + 60 + random.expovariate(1 / (7200 if real else 1800))
    return Trace(
        "ambient",
        f"noise of {NOISE_SECONDS} s on average on 20 objects; one in ten needs an act",
        hours * 3600,
        tuple(faults),
    )


def correlated(random: Random, hours: float) -> Trace:
    """A cause elsewhere takes most objects at once, within seconds, for minutes; no act on one of them helps."""
    faults, storms = [], []
    at = random.uniform(600, 1800)
    while at < hours * 3600 - 1200:
        lasts = random.uniform(120, 900)
        hit = random.sample(range(TARGETS), random.randint(12, TARGETS))
        begins = [at + random.uniform(0, 15) for _ in hit]
        ends = [at + lasts + random.uniform(0, 10) for _ in hit]
        faults += [Fault(t, b, e, of_storm=True) for t, b, e in zip(hit, begins, ends, strict=True)]
        storms.append((at, max(ends)))
        at = max(ends) + random.uniform(1200, 5400)
    return Trace("correlated", "12-20 of 20 objects at once, for 2-15 min", hours * 3600, tuple(faults), tuple(storms))


def slow_burn(random: Random, hours: float) -> Trace:
    """One object after the other fails for good, and stays so until the right act is done."""
    faults = []
    at = random.uniform(60, 600)
    while at < hours * 3600 - 1800:
        faults.append(Fault(random.randrange(TARGETS), at, float("inf"), cured_by=_cured(random)))
        at += random.uniform(900, 2700)
    return Trace("slow burn", "one object fails for good, every 15-45 min", hours * 3600, tuple(faults))


def _cured(random: Random) -> int | None:
    """Mostly by the first action of the ladder, sometimes only by the second, and rarely by none."""
    if random.randrange(100) < _HELPS_PERCENT:
        return 0
    return 1 if random.random() < 0.8 else None


TRACES: Final[Mapping[str, Callable[[Random, float], Trace]]] = {
    "flapping": flapping,
    "ambient": ambient,
    "correlated": correlated,
    "slow burn": slow_burn,
}
