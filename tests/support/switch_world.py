"""A ModelRoute in a world: models that fail in every way, replicas of a gateway that lag and forget, and an operator
that is started anew and whose writes get lost. Rules are judged in `tests.support.switch_rules`, pass by pass.

Times are in seconds since the start, and all of them are short: a probe each second, a window of five.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sophia_operator.api.model_route import ModelRouteSpec
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action
from sophia_operator.core.model import plan
from sophia_operator.core.model.evidence import remember
from sophia_operator.core.model.needs import needs
from sophia_operator.core.model.plan_values import Ranking, SwitchPlan
from sophia_operator.core.model.rank import judge
from sophia_operator.core.model.status import project
from sophia_operator.core.model.views import GatewayPod, ModelAccess, ModelKept, ModelRouteObserved, ModelRouteView
from sophia_operator.core.recovery.views import ActRequest
from tests.support.model_scene import START, URL, at, lawful
from tests.support.switch_parts import Endpoint, Mood, Replica, Told, stand_in
from tests.support.switch_rules import Rules

POOL: Final = ("a", "b", "c", "d")
#: Two passes at the same moment are made when the first one changed something; more than these mean that it never ends.
MOST_PASSES: Final = 6
LABELS: Final = {"app": "gateway"}
GATEWAYS: Final[Mapping[str, Any]] = {
    "liteLLM": {"selector": LABELS},
    "portkey": {
        "selector": LABELS,
        "httpRoute": {"parentRefs": [{"name": "gw"}], "hostnames": ["m.example.com"]},
    },
}


class World:
    """Everything, and the operator in it."""

    def __init__(self, names: str = "abc", *, real: bool = False, replicas: int = 2, **spec: Any) -> None:
        self.now = 0.0
        self.real = real
        self.models = {name: Endpoint(quality=0.9 - 0.2 * i) for i, name in enumerate(POOL)}
        self.names = tuple(names)
        self.wish: dict[str, Any] = spec
        self.urls = dict.fromkeys(POOL, 0)
        self.orders: dict[str, list[str]] = {}
        self.kind = "liteLLM"
        self.generation = 1
        self.status = ModelRouteStatus()
        self.kept = ModelKept()
        self.replicas = {f"gw-{i}": Replica(f"gw-{i}") for i in range(replicas)}
        #: RecoveryActions that were claimed and are there, by name.
        self.requests: dict[str, ActRequest] = {}
        self.asked = 0
        self.lost_writes = 0
        self.told: Told | None = None
        self.notices: list[tuple[float, str, str]] = []
        #: What was judged and planned last.
        self.ranking = Ranking({}, {})
        self.rules = Rules()
        self.spec = self._spec()

    # -- what is wished

    def _spec(self) -> ModelRouteSpec:
        models = [
            {
                "name": name,
                "model": f"{name}-1",
                "endpoint": {"url": f"https://{name}{self.urls[name]}.example.com/v1"},
                "quality": f"{self.models[name].quality:.2f}",
                "fallbackOrder": [f for f in self.orders.get(name, []) if f in self.names and f != name],
            }
            for name in self.names
        ]
        usual: dict[str, Any] = {
            "models": models,
            "gateway": {self.kind: GATEWAYS[self.kind]},
            "probe": {"intervalSeconds": 1, "timeoutSeconds": 1},
            "weights": {"latency": "0", "quality": "1", "reliability": "0", "cost": "0"},
            "switch": {"forSeconds": 2, "windowSeconds": 5, "minRequests": 2, "maxP95Ms": 1000, "proveSeconds": 10},
            "failback": {
                "healthySeconds": 12, "stages": [10, 50, 100], "stageSeconds": 4, "holdSeconds": 15,
                "maxHoldSeconds": 40,
            },
        }  # fmt: skip
        for key, value in self.wish.items():
            usual[key] = {**usual.get(key, {}), **value} if isinstance(value, dict) else value
        if usual.get("pin") not in self.names:
            usual.pop("pin", None)
        return ModelRouteSpec.model_validate(usual)

    def change(self, **spec: Any) -> None:
        """The spec changes."""
        self.wish = {**self.wish, **spec}
        self.spec = self._spec()
        self.generation += 1
        self.rules.spec_changed()

    def only(self, *names: str) -> None:
        """Which models there are."""
        self.names = names
        self.kept = replace(self.kept, probes={n: p for n, p in self.kept.probes.items() if n in names})
        self.change()

    def move(self, name: str) -> None:
        """The model has another endpoint."""
        self.urls[name] += 1
        self.change()

    def use(self, kind: str) -> None:
        """Another kind of gateway, of which nothing is known."""
        self.kind = kind
        self.kept = replace(self.kept, replicas={}, asked_at=None)
        self.change()

    def mood(self, **moods: Mood) -> None:
        """How models are from now on."""
        failing = (Mood.DOWN, Mood.FLAKY, Mood.SLOW)
        for name, mood in moods.items():
            endpoint = self.models[name]
            if mood is not endpoint.mood and not {mood, endpoint.mood} <= set(failing):
                endpoint.since = self.now
            endpoint.mood = mood

    def ask(self, model: str | None = None, ago: float | None = None) -> str:
        """A RecoveryAction asks for another model: a person's, or for an incident that began so long ago."""
        self.asked += 1
        name, since = f"act-{self.asked}", None if ago is None else at(self.now - ago)
        request = ActRequest(name, f"uid-{name}", Action.SWITCH_MODEL, Parameters(model=model), at(self.now))
        self.requests[name] = replace(request, may_begin=True, since=since)
        self.rules.act_asked()
        return name

    def phase(self, name: str) -> str | None:
        """Where the act is, as the status says."""
        return next((a.phase.value for a in self.status.acts if a.name == name), None)

    # -- what happens

    def restart(self) -> None:
        """The operator has forgotten everything."""
        self.kept = ModelKept()

    def forgets(self, name: str) -> None:
        """A replica starts anew, with nothing, and is told what there is."""
        replica = self.replicas[name]
        replica.serves, replica.coming = None, []

    @property
    def view(self) -> ModelRouteView:
        """The route as the operator reads it."""
        return ModelRouteView("shop", "answers", "uid", self.generation, "1", START, self.spec, self.status)

    @property
    def observed(self) -> ModelRouteObserved:
        """What the operator sees."""
        pods = tuple(GatewayPod(r.name, "10.0.0.1", ready=r.ready) for r in self.replicas.values())
        access = {name: ModelAccess() for name in self.names}
        acts, url = tuple(self.requests.values()), "http://10.0.0.9"
        return ModelRouteObserved(access=access, pods=pods, kept=self.kept, gateway_url=url, acts=acts)

    def run(self, seconds: float, step: float = 1.0) -> None:
        """Time goes by."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self.tick()

    def tick(self) -> None:
        """Everybody acts, and the operator looks until nothing changes."""
        self._gateways()
        self.look()
        for _ in range(MOST_PASSES + sum(r.may_begin for r in self.requests.values())):
            changed = self.act()
            self._gateways()
            asked = self.look()
            if not changed and not asked:
                return
        self.rules.check(False, "passes at one moment do not end")

    def _gateways(self) -> None:
        for replica in self.replicas.values():
            replica.see(self.told, self.now)

    def look(self) -> bool:
        """Ask what is due; returns whether replicas were asked."""
        now = at(self.now)
        due = needs(self.view, self.observed, now)
        probes = dict(self.kept.probes)
        for name in due.probes:
            rows = (*probes.get(name, ()), self.models[name].answer(now))
            probes[name] = remember(rows, now, float(self.spec.switch.window_seconds))
        self.kept = replace(self.kept, probes=probes)
        if due.replicas:
            found = {r.name: r.ask(self.models, now) for r in self.replicas.values() if r.ready}
            self.kept = replace(self.kept, replicas=found, asked_at=now)
        return due.replicas

    def act(self) -> bool:
        """A pass; returns whether it changed anything."""
        now, view, observed = at(self.now), self.view, self.observed
        self.ranking = judge(view, observed, now) if self.real else stand_in(view, self.models, self.now)
        planned = plan.plan_switch(view, observed, self.ranking, now)
        status = project(view, observed, self.ranking, planned, now, endpoint=lambda _r, _o: URL)
        self.rules.planned(self.now, view, observed, self.ranking, planned)
        if status == self.status:
            self.rules.check(not planned.notices, f"told without a write: {planned.notices}")
            return False
        lawful(status, self.generation)
        if self.lost_writes > 0:
            self.lost_writes -= 1
            return False
        self.status = status
        self._persisted(view, planned)
        return True

    def _persisted(self, view: ModelRouteView, planned: SwitchPlan) -> None:
        self.rules.persisted(self.now, view, self.ranking, planned)
        for act in self.status.acts:
            # The loop of the RecoveryAction sees that its target has begun.
            if act.name in self.requests:
                self.requests[act.name] = replace(self.requests[act.name], may_begin=False)
        self.notices += [(self.now, n.reason, n.message) for n in planned.notices]
        if planned.shares:
            models = tuple((m.name, m.model, m.endpoint.url) for m in self.spec.models)
            self.told = Told(planned.revision, dict(planned.shares), planned.fallbacks, models, self.kind)
            self.rules.rendered(self.told)

    def reasons(self) -> list[str]:
        """Of all Events, in their order."""
        return [reason for _, reason, _ in self.notices]

    @property
    def shares(self) -> dict[str, int]:
        """What the gateway is told."""
        return {s.name: s.percent for s in self.status.shares}

    @property
    def kinds(self) -> list[str]:
        """Of switches that ended: kind, where to, and how they ended."""
        return [f"{s.kind.value} {s.to} {s.result.value}" for s in self.status.switches]

    def judge_rest(self, began: int) -> None:
        """Nothing has gone wrong for long: all is as it should be, and no switch began since there were so many."""
        check, order = self.rules.check, self.ranking.order
        check(self.status.switch is None, f"a switch does not end: {self.status.switch}")
        check(not any(r.may_begin for r in self.requests.values()), "an act is never begun")
        check(all(a.phase.value != "Running" for a in self.status.acts), "an act does not end")
        check(self.rules.began == began, f"{self.kinds[-3:]} in calm")
        if self.spec.pin is not None:
            check(self.status.active == self.spec.pin, "a pin is not followed")
        elif order:
            check(self.status.active in order, f"{self.status.active} serves, and {order} work")
        if self.status.active is None:
            return
        check(self.status.proved_revision == self.status.revision, "what is told is not proved")
        check(all(r.serves == self.told for r in self.replicas.values() if r.ready), "a replica does not serve as told")
        best = self.status.best
        if self.spec.pin is None and not self.spec.failback.manual and best is not None and best != self.status.active:
            lead = self.ranking.scores[best].score - self.ranking.scores[self.status.active].score
            check(best != self.status.preferred or lead == 0, "the model that was left is the best, and does not serve")
            check(lead * 100 < self.spec.switch.margin_percent, f"{best} is far better, and does not serve")


Make = Callable[..., World]


def rest(world: World, seconds: float = 100) -> None:
    """Nothing goes wrong any more."""
    world.run(seconds)
    began = world.rules.began
    world.run(40, step=2)
    world.judge_rest(began)
