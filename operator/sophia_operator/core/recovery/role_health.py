"""Whether a target does what it is there for: asked before an act counts as having helped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sophia_operator.api.conditions import ConditionType
from sophia_operator.api.recovery_values import TargetKind
from sophia_operator.core.recovery.symptoms.sight import holds
from sophia_operator.core.recovery.views import TargetView

#: By the kind: conditions that say it together. That something is slow, or could be better, is not among them: an act
#: is not judged by what it was not about.
ROLE: Final[Mapping[TargetKind, tuple[ConditionType, ...]]] = {
    # Every instance leads to a server of the role, and clients are served.
    TargetKind.CONNECTION_POOL: (ConditionType.READY, ConditionType.ROLE_CORRECT),
    # The primary is one, and takes writes; of a table the same.
    TargetKind.CACHE_TIER: (ConditionType.READY,),
    # A model serves that breaks no limit, and every replica of the gateway was seen to send requests there.
    TargetKind.MODEL_ROUTE: (ConditionType.READY, ConditionType.HEALTHY, ConditionType.TRAFFIC_VERIFIED),
    # The release that serves has ready pods. Whether another one is being rolled out does not matter.
    TargetKind.MANAGED_SERVICE: (ConditionType.AVAILABLE,),
}


def healthy_by_role(target: TargetView) -> bool | None:
    """Whether the target is healthy by its role; None while its status does not say, or speaks of an older spec."""
    said = [holds(target, kind) for kind in ROLE[target.kind]]
    if False in said:
        return False
    return None if None in said else True
