"""What must hold in every world, judged by what the data plane does and by what the world answered.

Each rule has a name, I1 to I11; docs/design/model-test.md says them in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sophia_operator.api.release import Color, Intent, ReleaseState
from sophia_operator.core import names
from tests.support.rollout_model_api import DEPLOYMENT, K8S_SERVICE, RELEASE, ROUTE
from tests.support.rollout_model_judge_statuses import StatusRules
from tests.support.rollout_model_operator import Pass
from tests.support.rollout_model_world import APP, DATA_PLANE_LAG_SECONDS, LONGEST_PASS_SECONDS, weights_of

_SERVING = frozenset({ReleaseState.SHIFTING, ReleaseState.PROMOTED})


class Rules(StatusRules):
    """Judges every write of the operator, and the world after each undisturbed pass."""

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
        if kind == DEPLOYMENT and self._world.api.get(RELEASE, name) is not None:
            self._scaled(about, name, before["spec"]["replicas"], 0)
        elif kind == DEPLOYMENT and self._world.shares().get(name):
            raise self.broke("I2", f"the Deployment {name} was deleted, and it serves")
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
        overtaken = self._seems_replaced(about, name)
        if name in (stable, active) and new < full and not replaced and not overtaken:
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
        if status is None or new >= asked or stable is None or name in self.forgotten or overtaken:
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
        # Nobody knows the drain time of a release that is gone.
        drained = occupant if self._world.api.get(RELEASE, occupant) is not None else self.stable()
        if drained is None or self._is_word_broken(self._drain(drained)):
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
