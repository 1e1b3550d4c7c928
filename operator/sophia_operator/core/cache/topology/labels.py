"""Role labels of pods: what nodes said, and never two primaries."""

from __future__ import annotations

from typing import Final

from sophia_operator.core.cache import names
from sophia_operator.core.cache.topology.outcome import Outcome
from sophia_operator.core.cache.topology.sight import Seen, Sight, follows, synced

#: A replica that was in sync keeps its label for so long after its link went down.
_STALE_SECONDS: Final = 30


def plan_labels(sight: Sight, outcome: Outcome) -> dict[str, str | None]:
    """The labels to change."""
    labelled = [n for n in sight.nodes if n.view.role_label == names.ROLE_PRIMARY]
    out: dict[str, str | None] = {}
    for seen in sight.nodes:
        label = seen.view.role_label
        if outcome.primary == seen.name:
            wanted = _of_primary(seen, label, outcome, others=any(n.name != seen.name for n in labelled))
        else:
            wanted = _of_other(sight, seen, label, outcome)
        if wanted != label:
            out[seen.name] = wanted
    return out


def _of_primary(seen: Seen, label: str | None, outcome: Outcome, *, others: bool) -> str | None:
    if seen.is_primary and seen.node is not None and seen.node.run_id == outcome.run_id:
        # Given only once the other's is seen to be gone.
        return names.ROLE_PRIMARY if not others else (None if label == names.ROLE_REPLICA else label)
    if seen.node is not None and not seen.handing_over:
        return None  # it says that it is none
    return label


def _of_other(sight: Sight, seen: Seen, label: str | None, outcome: Outcome) -> str | None:
    primary = sight.get(outcome.primary)
    if primary is not None and primary.is_primary and synced(seen, primary):
        # First it loses the one label, before anything else is done.
        return names.ROLE_REPLICA if label != names.ROLE_PRIMARY else None
    if label == names.ROLE_PRIMARY:
        # Nobody is known to be the primary instead, and nothing is under way: it may well be it.
        return label if outcome.primary is None and outcome.failover is None else None
    if label is None or seen.node is None:
        return label  # whether a pod that does not answer gets requests, its readiness says
    return label if _may_read(seen, primary, outcome) else None


def _may_read(seen: Seen, primary: Seen | None, outcome: Outcome) -> bool:
    node = seen.node
    if node is None or not seen.is_replica or node.loading:
        return False
    if outcome.failover is not None:
        return True
    if primary is None or not follows(seen, primary):
        return False
    return node.link_up or (node.link_down_seconds or 0) <= _STALE_SECONDS
