"""Models that die and come back at once, a route that says so, and users whose books are written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from hack.demo import chat
from hack.load import Record, Report
from hack.rig import envoys, models, restricted
from sophia_operator.cli.objects import parse_route
from tests.support import objects

Json = dict[str, Any]
READY: Final = objects.condition("Ready", "True", "RouteReady", "primary answers")
NOT_READY: Final = objects.condition("Ready", "False", "AllModelsDown", "no model answers")
ENVOYS: Final = ("192.0.2.31", "192.0.2.32")
SENT: Final = 60


def stamp(at: float) -> str:
    """A time in seconds since the epoch, as the operator writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def route(*conditions: Json, **status: Any) -> Json:
    """The ModelRoute `chat`, as the rig applies it, and what the operator says of it."""
    made = models.route(
        "chat", "sophia-demo", [models.model("primary", "0.9"), models.model("fallback", "0.6")], switch={}
    )
    made["metadata"]["generation"] = 1
    rows = [("primary", 1, "0.91"), ("fallback", 2, "0.64")]
    made["status"] = {
        "observedGeneration": 1,
        "active": "primary",
        "best": "primary",
        "shares": [{"name": "primary", "percent": 100}],
        "revision": 1,
        "provedRevision": 1,
        "models": [
            {"name": name, "state": "Healthy", "eligible": True, "rank": rank, "score": score}
            for name, rank, score in rows
        ],
        "conditions": list(conditions) or [READY],
        **status,
    }
    return made


def failing_back(percent: int) -> Json:
    """The route while so many percent of the requests have gone back."""
    switch = {
        "kind": "Failback",
        "from": "fallback",
        "to": "primary",
        "trigger": "primary is the best again",
        "startedAt": objects.ago(2),
        "phase": "Observing",
        "percent": percent,
        "phaseSince": objects.ago(1),
    }
    shares = [{"name": "primary", "percent": percent}, {"name": "fallback", "percent": 100 - percent}]
    return route(active="fallback", switch=switch, shares=shares)


@dataclass
class Times:
    """What the route takes for it, in seconds."""

    to_act: float = 3.0
    to_prove: float = 0.5
    to_fail_back: float = 18.0


class FakeChatRig:
    """What the demo asks of the models, the route and the users. `api` holds what is said of the route."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.route: Json = route()
        self.times = Times()
        self.stages = [5, 25, 100]
        self.result = "Switched"
        #: Envoys that follow a switch.
        self.followers = list(ENVOYS)
        #: Kinds and aims of switches that nobody asked for.
        self.flaps: list[tuple[str, str]] = []
        #: When requests fail, in seconds after the primary's death, with the model that failed them, if one did.
        self.failed: list[tuple[float, str | None]] = [(0.1, None), (1.0, "primary"), (3.4, "primary")]
        #: Answers to those who look whether the gateway leads to the route.
        self.codes = [200]
        self.died = 0.0
        self.done: list[str] = []
        self.coming: Callable[[], object] = lambda: None
        self.killing: Callable[[], object] = lambda: None

    def switches(self) -> list[Json]:
        """Those that ended, the newest last; one of before the demo too."""
        past = [self.past("First", "primary", -60.0, -59.0)]
        if "kill primary" in self.done:
            past.append(self.past("Failover", "fallback", self.times.to_act, self.times.to_act + self.times.to_prove))
        if "revive primary" in self.done:
            past.append(self.past("Failback", "primary", self.times.to_act + 5, self.times.to_fail_back))
        return [*past, *(self.past(kind, to, 30.0, 31.0) for kind, to in self.flaps)]

    def past(self, kind: str, to: str, began: float, ended: float) -> Json:
        """An entry of the route's status; times are seconds after the primary's death."""
        return {
            "kind": kind,
            "to": to,
            "trigger": "primary is Unhealthy" if kind == "Failover" else "primary is the best again",
            "startedAt": stamp(self.died + began),
            "provedAt": stamp(self.died + began + self.times.to_prove),
            "endedAt": stamp(self.died + ended),
            "result": self.result if kind == "Failback" else "Switched",
        }

    def replicas(self, name: str) -> list[Json]:
        """All of them; those that do not follow serve by the revision before."""
        found = [(address, 1 if address in self.followers else 0) for address in ENVOYS]
        return [{"name": address, "revision": revision, "model": name} for address, revision in found]

    def records(self) -> list[Record]:
        """What users got: a request a second, and those that failed."""
        answered = [self._record(at, "primary" if at % 2 else "fallback", 200) for at in range(SENT)]
        return [*answered, *(self._record(at, name, 503) for at, name in self.failed)]

    def _record(self, at: float, name: str | None, status: int) -> Record:
        due = self.died + at
        return Record(due, due, due + 0.1, status, name, None, None, fresh=False, repeated=False)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put it in the place of the real ones."""
        patch.setattr(chat, "Simulator", lambda _api, _namespace, name: FakeSimulator(self, name))
        patch.setattr(chat, "Route", lambda *_: FakeRoute(self))
        patch.setattr(chat, "Load", FakeUsers(self))
        patch.setattr(envoys, "ensure_second", lambda _api: self.done.append("second Envoy"))
        patch.setattr(envoys, "addresses", lambda _api: list(ENVOYS))
        patch.setattr(
            restricted, "wait_pods", lambda _api, _namespace, name, *_, **__: self.done.append(f"pods of {name}")
        )
        patch.setattr(chat, "_LOOK_SECONDS", 0.0)
        patch.setattr(chat, "_CALM_SECONDS", 0.0)


class FakeSimulator:
    """One of the models of a rig."""

    def __init__(self, rig: FakeChatRig, name: str) -> None:
        self._rig = rig
        self._name = name

    def up(self) -> None:
        self._rig.done.append(f"start {self._name}")

    def wait_ready(self, *, seconds: float) -> None:
        assert seconds > 0
        self._rig.done.append(f"{self._name} answers")

    def service_address(self) -> str:
        return "192.0.2.33"

    def kill(self) -> None:
        self._rig.died = time.time()
        self._rig.done.append(f"kill {self._name}")
        self._rig.killing()

    def revive(self) -> None:
        self._rig.done.append(f"revive {self._name}")


class FakeRoute:
    """The route of a rig, which does at once what is waited for."""

    host = "chat.sophia-demo.example.com"

    def __init__(self, rig: FakeChatRig) -> None:
        self._rig = rig

    def apply(self, found: list[Json], **spec: Any) -> None:
        self._rig.done.append("apply route")
        assert not parse_route(models.route("chat", "sophia-demo", found, **spec)).spec.dry_run
        self._rig.coming()
        self._rig.api.route = self._rig.route

    def object(self) -> Json:
        found: Json = self._rig.api.route
        return {**found, "status": {**found["status"], "switches": self._rig.switches()}}

    def status(self) -> Json:
        found: Json = self.object()["status"]
        return found

    def wait_serves(self, name: str, *, seconds: float) -> Json:
        assert seconds > 0
        self._rig.done.append(f"{name} serves")
        return {**self.status(), "active": name, "replicas": self._rig.replicas(name)}

    def wait_past(self, kind: str, since: float, *, seconds: float) -> Json:
        assert seconds > 0
        found = [past for past in self._rig.switches() if past["kind"] == kind]
        assert found, f"nothing led to a {kind} since {since}"
        return found[0]

    def wait(self, _what: str, look: Callable[[Json], bool], *, seconds: float) -> None:
        assert seconds > 0
        for percent in self._rig.stages:
            assert not look(failing_back(percent))
            assert not look(failing_back(percent))
        assert look(route())

    def ask(self, url: str) -> Any:
        assert url == "http://192.0.2.1/", "not through the gateway"
        codes = self._rig.codes
        return type("Answer", (), {"status_code": codes.pop(0) if len(codes) > 1 else codes[0]})


class FakeUsers:
    """The users of a rig. They come once."""

    def __init__(self, rig: FakeChatRig) -> None:
        self._rig = rig

    def __call__(self, url: str, host: str, rate: float, *, body: bytes, named_by: str, timeout: float) -> FakeUsers:
        assert (url, host) == ("http://192.0.2.1/v1/chat/completions", FakeRoute.host)
        assert (b"chat-1" in body, named_by) == (True, "x-sophia-model")
        assert min(rate, timeout) > 0
        return self

    @property
    def records(self) -> list[Record]:
        return self._rig.records()

    def report(self) -> Report:
        return Report.of(self.records)

    def start(self) -> None:
        self._rig.done.append("users come")

    def stop(self) -> None:
        self._rig.done.append("users go")
