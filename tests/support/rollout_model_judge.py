"""What must hold in every world, judged by what the data plane does and by what the world answered.

Each rule has a name, I1 to I10; docs/design/model-test.md says them in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sophia_operator.api.conditions import Reason, violations
from sophia_operator.api.managed_service import ManagedServiceStatus
from sophia_operator.api.release import MAX_TRANSITIONS, Color, Intent, ReleaseSpec, ReleaseState, ReleaseStatus
from sophia_operator.core import names
from sophia_operator.core.decision import NewRelease
from sophia_operator.core.views import ReleaseView
from tests.support.rollout_model_api import DEPLOYMENT, K8S_SERVICE, RELEASE, ROUTE, SERVICE
from tests.support.rollout_model_operator import Pass
from tests.support.rollout_model_parts import Parts
from tests.support.rollout_model_world import APP, DATA_PLANE_LAG_SECONDS, LONGEST_PASS_SECONDS, World, weights_of

MAX_STATUS_BYTES = 64 * 1024
_SERVING = frozenset({ReleaseState.SHIFTING, ReleaseState.PROMOTED})


class InvariantError(AssertionError):
    """A rule was broken."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


class Rules(Parts):
    """Judges every write of the operator, and the world after each undisturbed pass."""

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
        if after.stage is not None and before.stage.effective_at is None and after.stage.effective_at is not None:
            share, world = after.stage.weight_percent / 100, self._world
            there = world.share_when_asked if world.gateway else world.shares()
            if abs(there.get(name, 0.0) - share) > 0.001 and not self.meddled:
                raise self.broke("I4", f"the clock of {share} starts, the data plane gives {there}")
        passed = after.state is ReleaseState.PROMOTED or (
            after.state is ReleaseState.SHIFTING and after.stage is not None and after.stage.index > before.stage.index
        )
        view = next(r for r in about.observed.releases if r.name == name)
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

    def _is_adopted(self, about: Pass, after: ReleaseStatus) -> bool:
        """Whether it became stable since it has traffic, and what was stable is forgotten for good."""
        known = any(r.status.state is ReleaseState.PROMOTED for r in about.observed.releases)
        return after.transitions[-1].reason == Reason.REBUILT.value and bool(self.forgotten) and not known

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

    # -- children

    def applied(self, about: Pass, kind: str, name: str, before: Any, after: Any) -> None:
        """A child was written."""
        if kind == DEPLOYMENT and before is not None:
            self._scaled(about, name, before["spec"]["replicas"], after["spec"]["replicas"])
        if kind == K8S_SERVICE and self._world.gateway:
            self._pointed(about, name, before, after)
        if kind == K8S_SERVICE and name == APP:
            old, new = ({_selected(b): 100} if b is not None else {} for b in (before, after))
            self._spread(about, old, new)
        if kind == ROUTE:
            self._routed(about, before, after)

    def deleted(self, about: Pass, kind: str, name: str, before: Any) -> None:
        """A child, or a Release, was deleted."""
        if kind == DEPLOYMENT:
            self._scaled(about, name, before["spec"]["replicas"], 0)
        if kind == ROUTE or name in [names.color_service(APP, c) for c in Color]:
            raise self.broke("I7", f"{kind} {name} was deleted")
        if kind == RELEASE and (self._world.shares().get(name) or name in (self.stable(), self.active())):
            raise self.broke("I2", f"{name} was deleted, and it serves")

    def _scaled(self, about: Pass, name: str, old: int, new: int) -> None:
        if new >= old:
            return
        asked, stable, active = about.service.spec.replicas, self.stable(), self.active()
        status = self._status(name)
        under_way = self._status(active) if active is not None else None
        full = max(asked, (under_way.base_replicas or 0) if under_way is not None else 0)
        shares = self._world.shares()
        # What is stable by the statuses that are left may have been that only once.
        replaced = not shares.get(name) and any(shares.get(n) for n in self.forgotten)
        if name in (stable, active) and new < full and not replaced and not self._seems_replaced(about, name):
            raise self.broke("I2", f"{name} goes from {old} to {new} pods, {full} are its full size")
        # The drain is counted from the gateway's word, and it may have trailed behind that.
        drain = self._drain(name)
        trailing = timedelta(seconds=DATA_PLANE_LAG_SECONDS if self._world.trailed else 0)
        last = self._world.last_share_at.get(name)
        carries = shares.get(name, 0) > 0 and not self._is_word_broken(drain)
        if self.meddled and (self._is_unseen(about) or name in self.forgotten or self._was_a_moment(name, last)):
            return  # somebody gave it traffic, and the operator cannot know it yet, has forgotten it, or never saw it
        if new < asked and (carries or (last is not None and self._world.now - last < drain - trailing)):
            raise self.broke("I2", f"{name} goes from {old} to {new} pods, it had traffic at {last}")
        if status is None or new >= asked or stable is None or name in self.forgotten:
            return
        leader = self._status(stable)
        assert leader is not None
        assert leader.promoted_at is not None
        keep = timedelta(seconds=self._spec(stable).snapshot.plan.keep_previous_seconds)
        if name == self.previous() and self._world.now < leader.promoted_at + keep and status.color is not leader.color:
            raise self.broke("I2", f"{name} goes from {old} to {new} pods, and it is to be kept")

    def _was_a_moment(self, name: str, last: datetime | None) -> bool:
        """Whether all the traffic it had since somebody pointed a Service at it came and went within one pass."""
        since = self.misled_at.get(name)
        return since is not None and last is not None and last - since <= timedelta(seconds=LONGEST_PASS_SECONDS)

    def _drain(self, name: str) -> timedelta:
        return timedelta(seconds=self._spec(name).snapshot.plan.drain_seconds)

    def _is_word_broken(self, drain: timedelta) -> bool:
        """Whether the gateway said a whole drain time ago that it took up the route, and has not: nobody can tell."""
        promised = self._world.promised_at
        return promised is not None and self._world.now - promised >= drain

    def _pointed(self, about: Pass, name: str, before: Any, after: Any) -> None:
        color = next((c for c in Color if names.color_service(APP, c) == name), None)
        if color is None or before is None or _selected(before) in (None, _selected(after)):
            return
        if name in self.misdirected:
            self.misdirected.discard(name)
            return
        route = about.observed.route
        if self.meddled and self._is_unseen(about) and route is not None and not route.weights.get(color):
            return  # somebody gave the colour traffic, and the operator cannot know it yet
        has_traffic = (self._world.data_weights or {}).get(color, 0) > 0
        occupant = str(_selected(before))
        if self._world.api.get(RELEASE, occupant) is None or self._is_word_broken(self._drain(occupant)):
            return
        if has_traffic:
            raise self.broke(
                "I10", f"{name} goes from {_selected(before)} to {_selected(after)}, and {color.value} has traffic"
            )

    def _routed(self, about: Pass, before: Any, after: Any) -> None:
        weights = weights_of(after)
        if sum(weights.values()) != 100:
            raise self.broke("I7", f"the weights are {weights}")
        shape = _without_weights(after)
        if self._shape is not None and shape != self._shape:
            raise self.broke("I7", f"the route was {self._shape} and is {shape}")
        self._shape = shape
        old = self._by_release(weights_of(before), about) if before is not None else {}
        self._spread(about, old, self._by_release(weights, about))

    def _by_release(self, weights: Mapping[Color, int], about: Pass) -> dict[str | None, int]:
        out: dict[str | None, int] = {}
        for color, weight in weights.items():
            service = names.color_service(APP, color)
            release = self._world.selected(service)
            if service in self.misdirected and self._is_unseen(about) and color in about.observed.endpoints:
                release = about.observed.endpoints[color].release  # as far as the operator can know
            out[release] = out.get(release, 0) + weight
        return out

    def _spread(self, about: Pass, before: Mapping[str | None, int], after: Mapping[str | None, int]) -> None:
        """Shares of releases were written: who may get some, and more than before."""
        stable = self.stable()
        if stable is not None and self._seems_replaced(about, stable):
            return
        seen = self._ready(about)
        stable_ready = seen.get(stable, 0) > 0
        for release, share in after.items():
            if share == 0 or release is None:
                continue
            status, risen = self._status(release), share > before.get(release, 0)
            others = [n for r, n in seen.items() if r != release]
            if risen and not seen.get(release) and any(others) and release != stable:
                raise self.broke("I1", f"{release} gets {share} %, and it has no ready endpoints")
            if release == stable or status is None:
                continue
            intent = next((r.spec.intent for r in about.observed.releases if r.name == release), None)
            if status.state not in _SERVING or (intent is Intent.ABORT and not _is_repairing(about)):
                if risen or stable_ready:
                    raise self.broke("I5", f"{release} ({status.state.value}, {intent}) gets {share} %")
            elif status.state is ReleaseState.SHIFTING and status.stage is not None:
                if share > status.stage.weight_percent:
                    raise self.broke("I4", f"{release} gets {share} %, its stage gives {status.stage}")
            elif status.state is ReleaseState.PROMOTED:
                raise self.broke("I5", f"{release} gets {share} %, and {stable} is stable")

    # -- the world after a pass

    def pass_ended(self, about: Pass) -> None:
        """A pass came to its end. If nobody else did anything meanwhile, what it left must be right."""
        if self._is_unseen(about):
            return
        stable = self.stable()
        if stable is None:
            return
        self._sized(about, stable)
        written = self._written(about)
        for release, share in written.items():
            if release in (None, stable) or share == 0 or release is None:
                continue
            ready = self._ready(about)
            if not ready.get(stable):
                continue
            if not ready.get(release):
                raise self.broke("I1", f"{release} has {share} % and no ready endpoints, after a pass")
            if _is_repairing(about):
                continue
            if self._intent(release) is Intent.ABORT:
                raise self.broke("I5", f"{release} has {share} % after a pass, and it is to be aborted")
            status = self._status(release)
            if status is not None and status.state not in _SERVING:
                raise self.broke("I5", f"{release} has {share} % after a pass, and is {status.state.value}")

    def _ready(self, about: Pass) -> dict[str | None, int]:
        """Ready endpoints of each release behind its own colour, or, without one, any, as the operator saw them."""
        out: dict[str | None, int] = {}
        for release in about.observed.releases:
            stored = self._status(release.name)
            own = release.status.color or (stored.color if stored is not None else None)
            out[release.name] = max(about.observed.ready(c, release.name) for c in Color if own in (None, c))
        return out

    def _sized(self, about: Pass, stable: str) -> None:
        found, active = self._world.api.get(DEPLOYMENT, stable), self.active()
        status = self._status(active) if active is not None else None
        full = max(about.service.spec.replicas, (status.base_replicas or 0) if status is not None else 0)
        if found is None or found.body["spec"]["replicas"] < full:
            raise self.broke("I2", f"{stable} is stable and does not have its {full} pods after a pass")

    def _written(self, about: Pass) -> dict[str | None, int]:
        if not self._world.gateway:
            return {self._world.selected(APP): 100}
        route = self._world.api.get(ROUTE, APP)
        return self._by_release(weights_of(route.body), about) if route is not None else {}


def _is_repairing(about: Pass) -> bool:
    """Whether the pass had lost statuses to mend: that comes first, and is all that the pass does."""
    return any(r.status_lost for r in about.observed.releases)


def _selected(service: Any) -> str | None:
    release: str | None = service["spec"]["selector"].get(names.LABEL_RELEASE)
    return None if release == "none" else release


def _without_weights(route: Any) -> Any:
    """The rules for users' requests, and everything around them, but no weights."""
    spec = route["spec"]
    rules = [
        [(b["name"], b["port"]) for b in rule["backendRefs"]]
        for rule in spec["rules"]
        if not any(h["name"] == names.PROBE_HEADER for m in rule.get("matches", ()) for h in m.get("headers", ()))
    ]
    return spec["parentRefs"], spec.get("hostnames"), rules
