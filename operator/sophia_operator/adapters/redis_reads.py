"""Reads of the operator's own, which Redis counts as hits and misses of the cache.

Redis has no way to ask for a TTL or an idle time that does not count: a scan would look like a cache that always hits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from sophia_operator.core.cache.findings import Node, NodeRequest

#: Pods come and go, with ever new addresses.
_NODES: Final = 10_000


@dataclass(slots=True)
class _Reads:
    run_id: str = ""
    #: Since the run was first looked at.
    hits: int = 0
    misses: int = 0
    #: As told before: neither ever falls in one run, though a batch may be under way while the node is asked.
    told_hits: int = 0
    told_misses: int = 0


class OwnReads:
    """Counts them for each node, and takes them out of what the node tells."""

    def __init__(self) -> None:
        self._reads: dict[tuple[str, int], _Reads] = {}

    def run_of(self, request: NodeRequest) -> str | None:
        """The run that was last looked at there; None when none was."""
        found = self._reads.get((request.host, request.port))
        return found.run_id if found is not None else None

    def note(self, request: NodeRequest, found: list[bool]) -> None:
        """Keys were read, each of which was found or not."""
        reads = self._reads.get((request.host, request.port))
        if reads is not None:
            hits = sum(found)
            reads.hits += hits
            reads.misses += len(found) - hits

    def without(self, request: NodeRequest, node: Node) -> Node:
        """What a look found, without them."""
        where = (request.host, request.port)
        reads = self._reads.get(where)
        if reads is None or reads.run_id != node.run_id:
            reads = self._reads[where] = _Reads(node.run_id)
            if len(self._reads) > _NODES:
                del self._reads[next(iter(self._reads))]
        reads.told_hits = max(reads.told_hits, node.hits - reads.hits)
        reads.told_misses = max(reads.told_misses, node.misses - reads.misses)
        return replace(node, hits=reads.told_hits, misses=reads.told_misses)


def was_found(answer: Any) -> bool:
    """Whether a key was found, by the answer to TTL, OBJECT, MEMORY or GET."""
    return answer is not None and answer != -2 and not isinstance(answer, Exception)
