"""What must hold of the statuses that the operator writes: rules I3, I4, I6 and I8, and a part of I2."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sophia_operator.api.conditions import Reason, violations
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import MAX_TRANSITIONS, Intent, ReleaseSpec, ReleaseState, ReleaseStatus
from sophia_operator.core.decision import NewRelease
from sophia_operator.core.views import ReleaseView
from tests.support.rollout_model_api import RELEASE, SERVICE
from tests.support.rollout_model_operator import Pass
from tests.support.rollout_model_parts import Parts
from tests.support.rollout_model_world import APP, HERE, World

MAX_STATUS_BYTES = 64 * 1024
_SERVING = frozenset({ReleaseState.SHIFTING, ReleaseState.PROMOTED})


class InvariantError(AssertionError):
    """A rule was broken."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


class StatusRules(Parts):
    """Judges every status that the operator writes."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        #: Releases whose status was lost: what they had proved is not known any more.
        self.forgotten: set[str] = set()
        #: Services whose selector somebody else changed.
        self.misdirected: set[str] = set()
        #: When somebody last pointed a Service at a release.
        self.misled_at: dict[str, datetime] = {}
        #: Until then the weights were not only the operator's.
        self.meddled = False
        self._shape: Any = None
        self._moves = 0
        self._pass: Pass | None = None
        self.broken = False

    def _is_unseen(self, about: Pass) -> bool:
        """Whether somebody did something that the operator could not see when it decided."""
        return not about.fresh or about.changes != self._world.changes

    def broke(self, invariant: str, message: str) -> InvariantError:
        """The error to raise."""
        self.broken = True
        return InvariantError(invariant, message)

    # -- statuses

    def release_status(self, about: Pass, name: str, before: ReleaseStatus | None, after: ReleaseStatus) -> None:
        """Before and after a status of a Release was written. `before` is None when it had none."""
        stored = self._world.api.get(RELEASE, name)
        assert stored is not None
        spec: ReleaseSpec = stored.body
        self._well_formed(f"status of {name}", after, after.conditions, stored.generation)
        if len(after.transitions) > MAX_TRANSITIONS:
            raise self.broke("I8", f"{name} has {len(after.transitions)} transitions")
        view = next(r for r in about.observed.releases if r.name == name)
        if before is None:
            self.forgotten.add(name) if after.state is not ReleaseState.PENDING else None
            return
        self._one_move(about, before, after)
        self._held_by_recovery(about, name, before, after)
        self._unlatched(view, before, after)
        self._proved(about, name, spec, before, after)
        self._advanced(about, name, spec, before, after)
        self._still_stable(about, name, before, after)

    def service_status(self, after: ManagedServiceStatus) -> None:
        """The status of the service was written."""
        stored = self._world.api.get(SERVICE, APP)
        assert stored is not None
        self._well_formed("status of the service", after, after.conditions, stored.generation)

    def _well_formed(self, what: str, status: Any, conditions: Any, generation: int) -> None:
        wrong = violations(conditions, generation)
        if wrong:
            raise self.broke("I8", f"{what}: {'; '.join(wrong)}")
        if len(status.model_dump_json(by_alias=True, exclude_none=True)) > MAX_STATUS_BYTES:
            raise self.broke("I8", f"{what} is too large")
        try:
            same = type(status).model_validate(status.to_dict()) == status
        except ValueError as error:
            raise self.broke("I8", f"{what} cannot be read back: {error}") from error
        if not same:
            raise self.broke("I8", f"{what} does not read back as it was written")

    def _one_move(self, about: Pass, before: ReleaseStatus, after: ReleaseStatus) -> None:
        if self._pass is not about:
            self._pass, self._moves = about, 0
        known = before.transitions[-1:]
        kept = next((n for n in range(len(after.transitions), 0, -1) if after.transitions[n - 1 : n] == known), 0)
        self._moves += len(after.transitions) - kept
        if self._moves > 1:
            raise self.broke("I8", "two transitions in one pass")

    def _unlatched(self, view: ReleaseView, before: ReleaseStatus, after: ReleaseStatus) -> None:
        if not before.state.is_latched or after.state is before.state or after.state is ReleaseState.SUPERSEDED:
            return
        asked = view.spec.intent is Intent.RETRY and view.generation > before.handled_generation
        if after.state is not ReleaseState.PENDING or not asked:
            raise self.broke("I6", f"{view.name} was {before.state.value} and is {after.state.value}")

    def created(self, new: NewRelease) -> None:
        """A Release was made."""
        for name in self._world.api.names(RELEASE):
            status, spec = self._status(name), self._spec(name)
            if name == new.name or spec.hash != new.spec.hash or status is None or name in self.forgotten:
                continue
            if status.state.is_latched:
                raise self.broke("I6", f"{new.name} is made, but {name} is the same and is {status.state.value}")

    def _proved(self, about: Pass, name: str, spec: ReleaseSpec, before: ReleaseStatus, after: ReleaseStatus) -> None:
        """Weight only after it was ready and its smoke tests passed."""
        if before.state in _SERVING or after.state not in _SERVING or name in self.forgotten:
            return
        size = max(about.service.spec.replicas, before.base_replicas or 0)
        if size == 0:
            return
        started = before.started_at
        unavailable = spec.snapshot.plan.max_unavailable
        assert started is not None
        assert isinstance(unavailable, int)
        needed = max(1, size - unavailable)
        if all(self._world.ready_at.get((name, n), started) <= started for n in range(needed, 100)):
            raise self.broke("I3", f"{name} goes to {after.state.value}, and never had {needed} ready endpoints")
        for test in spec.snapshot.plan.smoke_tests:
            passed = self._world.smoke_passed_at.get((name, test.name))
            if passed is None or passed < started:
                raise self.broke("I3", f"{name} goes to {after.state.value}, and never passed {test.name}")

    def _advanced(self, about: Pass, name: str, spec: ReleaseSpec, before: ReleaseStatus, after: ReleaseStatus) -> None:
        if before.state is not ReleaseState.SHIFTING or before.stage is None or name in self.forgotten:
            return
        view = next(r for r in about.observed.releases if r.name == name)
        if after.stage is not None and before.stage.effective_at is None and after.stage.effective_at is not None:
            self._in_effect(view, after)
        passed = after.state is ReleaseState.PROMOTED or (
            after.state is ReleaseState.SHIFTING and after.stage is not None and after.stage.index > before.stage.index
        )
        if not passed or view.spec.intent is Intent.PROMOTE or self._is_adopted(about, after):
            return
        since = before.stage.effective_at
        observe = spec.snapshot.plan.stages[before.stage.index].observe_seconds
        if since is None or self._world.now - since < timedelta(seconds=observe):
            raise self.broke("I4", f"stage {before.stage.index} of {name} passed before its time")
        share = self._world.shares().get(name, 0.0)
        known = about.fresh and about.changes == self._world.changes and self._world.promised_at is None
        if known and abs(share - before.stage.weight_percent / 100) > 0.001:
            raise self.broke("I4", f"stage {before.stage.index} of {name} passed, and its share is {share}")
        for gate in spec.snapshot.plan.gates:
            look = self._world.looks.get((name, gate.name))
            if gate.dry_run:
                continue
            if look is None or look.time < since or not look.good:
                raise self.broke("I4", f"a stage of {name} passed, gate {gate.name} last found {look}")
            if gate.min_requests and look.time - timedelta(seconds=look.window_seconds) < since:
                raise self.broke("I4", f"gate {gate.name} looked back beyond the stage: {look}")

    def _in_effect(self, view: ReleaseView, after: ReleaseStatus) -> None:
        """A stage's clock starts: its weight must be there, as it was measured. Where nothing can be seen, and somebody
        wants the release promoted, the gateway's word is enough."""
        assert after.stage is not None
        share, world = after.stage.weight_percent / 100, self._world
        blind = view.spec.intent is Intent.PROMOTE and world.faults.metrics != "ok"
        if self.meddled or (blind and world.promised_at is not None):
            return
        there = world.share_when_asked if world.gateway and not blind else world.shares()
        if abs(there.get(view.name, 0.0) - share) > 0.001:
            raise self.broke("I4", f"the clock of {share} starts, the data plane gives {there}")

    def _is_adopted(self, about: Pass, after: ReleaseStatus) -> bool:
        """Whether it became stable since it has traffic, and what was stable is forgotten for good."""
        known = any(r.status.state is ReleaseState.PROMOTED for r in about.observed.releases)
        return after.transitions[-1].reason == Reason.REBUILT.value and bool(self.forgotten) and not known

    def _held_by_recovery(self, about: Pass, name: str, before: ReleaseStatus, after: ReleaseStatus) -> None:
        """No first users, and no more of them, in a storm, or while an act changes what the release stands on: also
        when somebody wants it promoted. The way back is open."""
        seen = about.observed.recovery
        if not seen.storm and all(act.target != HERE for act in seen.acts):
            return
        if _share(after) <= _share(before) or name in self.forgotten or self._is_adopted(about, after):
            return
        raise self.broke("I11", f"{name} goes from {_share(before)} to {_share(after)} % while recovery holds it")

    def _still_stable(self, about: Pass, name: str, before: ReleaseStatus, after: ReleaseStatus) -> None:
        if before.state is not ReleaseState.PROMOTED or after.state is ReleaseState.PROMOTED:
            return
        if self._seems_replaced(about, name):
            return
        if self.stable() is None:
            raise self.broke("I2", f"{name} is {after.state.value}, and no other release is Promoted")

    def _seems_replaced(self, about: Pass, name: str) -> bool:
        """Whether another release is Promoted as far as the operator can know, which has lost its status since."""
        seen = {r.name for r in about.observed.releases if r.status.state is ReleaseState.PROMOTED}
        return self._is_unseen(about) and bool((seen - {name}) & self.forgotten)


def _share(status: ReleaseStatus) -> int:
    """What part of the users it is to have, in percent."""
    if status.state is ReleaseState.PROMOTED:
        return 100
    return status.stage.weight_percent if status.state is ReleaseState.SHIFTING and status.stage is not None else 0
