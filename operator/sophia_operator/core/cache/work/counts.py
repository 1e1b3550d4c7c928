"""Adding up what parts of a scan counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from sophia_operator.core.cache.findings import NamespaceCount, ScanResult

#: As many generations as a part tells.
MOST_GENERATIONS: Final = 64


def merged(parts: Sequence[ScanResult]) -> ScanResult:
    """All parts of a scan as one; where it goes on, and whether it failed, is what the last one said."""
    names = dict.fromkeys(name for part in parts for name in part.namespaces)
    return ScanResult(
        cursor=parts[-1].cursor,
        scanned=sum(p.scanned for p in parts),
        seconds=sum(p.seconds for p in parts),
        namespaces={n: added(p.namespaces[n] for p in parts if n in p.namespaces) for n in names},
        unclaimed=sum(p.unclaimed for p in parts),
        failure=parts[-1].failure,
    )


def added(counts: Iterable[NamespaceCount]) -> NamespaceCount:
    """What was counted of one namespace, in all."""
    known = tuple(counts)
    idle: Counter[int] = Counter()
    generations: Counter[str] = Counter()
    for count in known:
        idle.update(count.idle)
        generations.update(count.generations)
    return NamespaceCount(
        keys=sum(c.keys for c in known),
        without_ttl=sum(c.without_ttl for c in known),
        ttls_given=sum(c.ttls_given for c in known),
        evicted=sum(c.evicted for c in known),
        evicted_bytes=sum(c.evicted_bytes for c in known),
        evicted_share_bytes=sum(c.evicted_share_bytes for c in known),
        sampled=sum(c.sampled for c in known),
        sampled_bytes=sum(c.sampled_bytes for c in known),
        idle=dict(idle),
        generations=dict(generations.most_common(MOST_GENERATIONS)),
    )


def used_bytes(count: NamespaceCount) -> int | None:
    """Memory of a namespace: what a sampled key takes, for all its keys. None when none was sampled."""
    if count.keys == 0:
        return 0
    return round(count.sampled_bytes / count.sampled * count.keys) if count.sampled else None
