"""Whether a statement of a pool's database takes too long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sophia_operator.api.connection_pool_status import RunningStatement
from sophia_operator.core.recovery.symptoms.sight import absent
from sophia_operator.core.recovery.views import Sign
from sophia_operator.core.words import clock, count

#: A statement may run, and block others, for so long where the rule says nothing.
THRESHOLD_SECONDS: Final = 30


def slowest(statements: Iterable[RunningStatement], threshold: int | None, now: datetime) -> Sign:
    """Whether one of them takes too long, from all that run. The value is the time that the longest one took, in
    seconds; one that blocks others is named before one that does not."""
    limit = threshold or THRESHOLD_SECONDS
    late = [s for s in statements if (now - s.since).total_seconds() >= limit]
    if not late:
        return absent(f"no statement takes {limit} s or more")
    worst = max(late, key=lambda s: (s.blocks, now - s.since))
    seconds = max((now - s.since).total_seconds() for s in late)
    blocks = f" and blocks {count(worst.blocks, 'other')}" if worst.blocks else ""
    more = f"; {count(len(late), 'statement')} in all take too long" if len(late) > 1 else ""
    # The time of its beginning, and not how long it runs: that would be something new at each look.
    began = clock(worst.since, now)
    return Sign(True, round(seconds, 1), f"process {worst.pid} runs a statement since {began}{blocks}{more}", ages=True)
