"""Which release plays which part, told from the objects alone: what people's tools start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sophia_operator.api.conditions import ConditionType, is_true
from sophia_operator.api.managed_service import ManagedService
from sophia_operator.api.release import Release, ReleaseState, StageStatus
from sophia_operator.api.rollout_plan import Stage

#: States from which a rollout still goes forward.
GOING = frozenset({ReleaseState.PENDING, ReleaseState.PROVISIONING, ReleaseState.SMOKE_TESTING, ReleaseState.SHIFTING})


@dataclass(frozen=True, slots=True)
class Situation:
    """A service and its releases, each part None when no release plays it."""

    service: ManagedService
    #: All that are there, by revision.
    releases: tuple[Release, ...]
    #: Serves users.
    stable: Release | None
    #: Being rolled out, or latched after it failed.
    rollout: Release | None
    #: Kept at full size, so that going back to it is one write.
    previous: Release | None
    #: End of that.
    kept_until: datetime | None

    @property
    def name(self) -> str:
        """Name of the service."""
        return name_of(self.service)

    @property
    def is_seen(self) -> bool:
        """Whether the operator has seen the newest spec."""
        return self.service.status.observed_generation >= int(self.service.metadata.get("generation", 0))

    @property
    def is_healthy(self) -> bool:
        """Whether users are served and nothing waits for a person. A rollout under way is no illness."""
        conditions = self.service.status.conditions
        if self.rollout is not None and self.rollout.status.state.is_latched:
            return False
        if is_true(conditions, ConditionType.STALLED) or is_true(conditions, ConditionType.PAUSED):
            return False
        return not conditions or is_true(conditions, ConditionType.AVAILABLE) or self.stable is None


def name_of(thing: ManagedService | Release) -> str:
    """Name of the object."""
    return str(thing.metadata.get("name", ""))


def situate(service: ManagedService, releases: Sequence[Release], now: datetime) -> Situation:
    """Tell the parts. The releases' own states win over the service's status, which is written after them."""
    ordered = tuple(sorted(releases, key=lambda r: r.spec.revision))
    stable = _stable(ordered)
    previous, kept_until = _previous(service, ordered, stable, now)
    return Situation(service, ordered, stable, _rollout(service, ordered), previous, kept_until)


def stage_of(release: Release) -> tuple[StageStatus, Stage] | None:
    """The stage that the release is at, and what its plan says about it."""
    at, stages = release.status.stage, release.spec.snapshot.plan.stages
    if at is None or at.index >= len(stages):
        return None
    return at, stages[at.index]


def time_left(release: Release, now: datetime) -> timedelta | None:
    """Time until the stage's own time is over, at least 0; None before the weight was observed."""
    found = stage_of(release)
    if found is None or found[0].effective_at is None:
        return None
    at, stage = found
    assert at.effective_at is not None
    return max(timedelta(0), at.effective_at + timedelta(seconds=stage.observe_seconds) - now)


def _stable(releases: Sequence[Release]) -> Release | None:
    promoted = [r for r in releases if r.status.state is ReleaseState.PROMOTED and r.status.promoted_at is not None]
    return max(promoted, key=lambda r: (r.status.promoted_at, r.spec.revision), default=None)


def _rollout(service: ManagedService, releases: Sequence[Release]) -> Release | None:
    active = [r for r in releases if r.status.state.is_active]
    if active:
        return active[-1]
    told = service.status.rollout
    named = next((r for r in releases if told is not None and name_of(r) == told.name), None)
    if named is not None and (named.status.state is ReleaseState.PENDING or named.status.state.is_latched):
        return named
    pending = [r for r in releases if r.status.state is ReleaseState.PENDING]
    return pending[-1] if pending else None


def _previous(
    service: ManagedService, releases: Sequence[Release], stable: Release | None, now: datetime
) -> tuple[Release | None, datetime | None]:
    told = service.status.previous
    if told is None or stable is None or stable.status.promoted_at is None:
        return None, None
    until = stable.status.promoted_at + timedelta(seconds=stable.spec.snapshot.plan.keep_previous_seconds)
    kept = next((r for r in releases if name_of(r) == told.name and r is not stable), None)
    return (kept, until) if kept is not None and now < until else (None, None)
