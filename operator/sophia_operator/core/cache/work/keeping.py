"""What is remembered of parts of work, after each: for the runtime, which holds it in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sophia_operator.core.cache.findings import RequestsResult, ScanResult, TaskFinding, TaskResult
from sophia_operator.core.cache.views import Kept
from sophia_operator.core.cache.work.counts import merged
from sophia_operator.core.cache.work.plans import SCAN

#: Findings that are remembered: those of the newest releases' warm-ups beside the scan, the flush and the sweep.
MOST: Final = 16
START: Final = "0"


def keep(kept: Kept, kind: str, finding: TaskFinding) -> Kept:
    """With what came of a part. Parts of one scan are added up to one, so that a scan of many keys takes no room."""
    before = kept.tasks.get(kind)
    failed = before.failures if before is not None else 0
    finding = replace(finding, failures=failed + 1 if in_vain(finding.result) else 0)
    others = sorted(((k, f) for k, f in kept.tasks.items() if k != kind), key=lambda pair: pair[1].at)
    kept = replace(kept, tasks={**dict(others[-(MOST - 1) :]), kind: finding})
    return _scanned(kept, finding) if kind == SCAN and isinstance(finding.result, ScanResult) else kept


def in_vain(result: TaskResult) -> bool:
    """Whether the part failed."""
    if isinstance(result, RequestsResult) and result.answered == 0 and result.failed > 0:
        return True
    return result.failure is not None


def _scanned(kept: Kept, finding: TaskFinding) -> Kept:
    assert isinstance(finding.result, ScanResult)
    if getattr(finding.task, "cursor", START) == START or finding.node != kept.scan_node:
        return replace(kept, scan=(finding.result,), scan_began_at=finding.at, scan_node=finding.node)
    return replace(kept, scan=(merged((*kept.scan, finding.result)),))
