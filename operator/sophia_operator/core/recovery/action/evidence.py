"""What is written down of a target before and after an act."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sophia_operator.api.recovery_action_status import Evidence
from sophia_operator.core.recovery.track import value_of
from sophia_operator.core.recovery.views import Sign, TargetView

_MOST: Final = 16


def evidence(target: TargetView, sign: Sign | None, now: datetime) -> Evidence:
    """The symptom, and the target's conditions."""
    lines = [f"{c.type}={c.status.value} {c.reason}"[:512] for c in target.status.conditions]
    return Evidence(
        at=now,
        present=sign is not None and sign.present is True,
        value=value_of(sign) if sign is not None else None,
        message=sign.message[:4096] if sign is not None else "",
        conditions=lines[:_MOST],
    )
