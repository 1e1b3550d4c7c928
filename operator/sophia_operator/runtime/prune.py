"""Which ended releases are beyond the history that a service keeps."""

from __future__ import annotations

from sophia_operator.api.release import ReleaseState
from sophia_operator.core.placement import Placement
from sophia_operator.core.roles import Roles
from sophia_operator.core.views import Observed, ReleaseView


def beyond_history(observed: Observed, roles: Roles, placement: Placement, limit: int) -> tuple[ReleaseView, ...]:
    """Ended releases to delete, the oldest first, so that at most `limit` ended ones stay beside those in use.

    Never the stable one, the one before it, the one under way, one that is placed or still has pods, nor the one that
    the spec asks for: its failure would be forgotten, and it would be tried again.
    """
    placed = {name for name in placement.releases.values() if name is not None}
    placed |= {name for name, size in placement.replicas.items() if size > 0}
    placed |= {name for name, d in observed.deployments.items() if d.pods > 0}
    newest_latched = max(
        (r for r in observed.releases if r.status.state.is_latched), key=lambda r: r.spec.revision, default=None
    )
    parts = {r.name for r in (roles.stable, roles.previous, roles.active, roles.target, newest_latched) if r}
    history = [r for r in observed.releases if r.name not in placed | parts and _is_over(r) and not r.status_lost]
    history.sort(key=lambda r: r.spec.revision)
    return tuple(history[: max(0, len(history) - limit)])


def _is_over(release: ReleaseView) -> bool:
    return release.status.state is not ReleaseState.PENDING and not release.status.state.is_active
