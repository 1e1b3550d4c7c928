"""Who plays which part in the model, by the statuses as they are stored."""

from __future__ import annotations

from sophia_operator.api.release import Intent, ReleaseSpec, ReleaseState, ReleaseStatus
from tests.support.rollout_model_api import RELEASE
from tests.support.rollout_model_world import World


class Parts:
    """Reads the parts from the truth, whatever the operator has seen of it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _status(self, name: str) -> ReleaseStatus | None:
        found = self._world.api.get(RELEASE, name)
        status: ReleaseStatus | None = found.status if found is not None else None
        return status

    def _spec(self, name: str) -> ReleaseSpec:
        found = self._world.api.get(RELEASE, name)
        assert found is not None
        spec: ReleaseSpec = found.body
        return spec

    def _intent(self, name: str) -> Intent:
        return self._spec(name).intent

    def promoted(self) -> list[str]:
        """Releases that are Promoted, the last one last."""
        known = [(s, n) for n in self._world.api.names(RELEASE) if (s := self._status(n)) is not None]
        ranked = [(s.promoted_at, self._spec(n).revision, n) for s, n in known if s.state is ReleaseState.PROMOTED]
        return [n for _, _, n in sorted(r for r in ranked if r[0] is not None)]

    def stable(self) -> str | None:
        """Release promoted last."""
        return next(reversed(self.promoted()), None)

    def previous(self) -> str | None:
        """Release promoted before it."""
        promoted = self.promoted()
        return promoted[-2] if len(promoted) > 1 else None

    def active(self) -> str | None:
        """Release under way."""
        found = [n for n in self._world.api.names(RELEASE) if (s := self._status(n)) is not None and s.state.is_active]
        return max(found, key=lambda n: self._spec(n).revision, default=None)
