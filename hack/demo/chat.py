"""The models of the demo: two that are simulated, a ModelRoute over them, users, and the death of the better one."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import Final

import httpx

from hack.demo import ways
from hack.demo.beside import Beside, has_ended
from hack.demo.figures import seconds_of
from hack.demo.model_figures import FailedBack, FailedOver, ModelFigures
from hack.load import Load, Report
from hack.rig import envoys, restricted
from hack.rig.api import Api, ApiError, Json
from hack.rig.models import MODEL_HEADER, Route, completion, model, shares_of
from hack.rig.simulators import PORT, Simulator
from hack.rig.waiting import until
from sophia_operator.cli.model_words import explain
from sophia_operator.cli.objects import parse_route

NAME: Final = "chat"
#: The better one of the models, and the other one.
PRIMARY: Final = "primary"
FALLBACK: Final = "fallback"
#: So far apart that nothing but a failure changes their order.
_QUALITIES: Final = {PRIMARY: "0.9", FALLBACK: "0.6"}
#: Requests a second.
RATE: Final = 20.0
#: Shorter than that of tests: as many good probes as fit into it end a failure.
_SWITCH: Final = {"windowSeconds": 6}
_TIMEOUT_SECONDS: Final = 5.0
_PODS_SECONDS: Final = 120.0
_SERVES_SECONDS: Final = 60.0
_ANSWERS_SECONDS: Final = 30.0
_SWITCHED_SECONDS: Final = 60.0
_BACK_SECONDS: Final = 120.0
#: Each thread of the gateway's listener learns of a new host by itself.
_IN_A_ROW: Final = 5
#: So long is it looked on while the other model serves, and at the end, to see that nothing moves by itself.
_LOOK_SECONDS = 2.0
_CALM_SECONDS = 3.0


class Chat:
    """In its block models and route come up beside whatever else goes on; users come with `begin`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.name = NAME
        self._api = api
        self._namespace = namespace
        self._route = Route(api, namespace, NAME)
        self._models = {name: Simulator(api, namespace, name) for name in _QUALITIES}
        self._coming: Beside[None] | None = None
        self._playing: Beside[None] | None = None
        self._load: Load | None = None
        self._steps: list[tuple[float, str]] = []
        self._failed_over: FailedOver | None = None
        self._failed_back: FailedBack | None = None
        self._switches: list[tuple[str, str]] | None = None
        self._over = False
        #: Why this machine cannot end and start models; None: it can, or it is not known yet.
        self.skipped: str | None = None

    def __enter__(self) -> Chat:
        self._coming = Beside(self._come_up, "chat-come-up")
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        if self._load is not None:
            self._load.stop()

    def is_up(self) -> bool:
        """Whether the better model serves, proved at every replica. Raises what kept it from it."""
        return has_ended(self._coming)

    def object(self) -> Json | None:
        """The ModelRoute, None while there is none."""
        return self._api.get("ModelRoute", self._namespace, self.name)

    def report(self) -> Report | None:
        """What users got up to now, None while there are none."""
        return None if self._load is None else self._load.report()

    def steps(self) -> list[tuple[float, str]]:
        """What was done and seen up to now, with the time, in seconds since the epoch."""
        return self._steps[:]

    def begin(self, url: str) -> None:
        """Let users come through the gateway at `url`, end the model that serves and bring it back, beside the main
        thread."""
        self._playing = Beside(lambda: self._play(url), "chat-play")

    def is_over(self) -> bool:
        """Whether that is over, and the better model serves again. Raises what kept it from it."""
        return has_ended(self._playing)

    def figures(self, failure: str | None) -> ModelFigures:
        """The figures. After a failure they count also where the API server says nothing more."""
        route = None
        with contextlib.suppress(*((ApiError, httpx.HTTPError) if failure else ())):
            route = self.object()
        return ModelFigures.of(
            route,
            records=None if self._load is None else self._load.records[:],
            failed_over=self._failed_over,
            failed_back=self._failed_back,
            switches=self._switches,
            skipped=self.skipped,
        )

    def _come_up(self) -> None:
        envoys.ensure_second(self._api)
        self.skipped = ways.why_no_pods(self._api)
        for simulator in self._models.values():
            simulator.up()
        for name in self._models:
            self._wait_answers(name)
        # Not before: the first model that answers would be the first one to serve.
        self._route.apply([model(name, quality) for name, quality in _QUALITIES.items()], switch=_SWITCH)
        self._route.wait_serves(PRIMARY, seconds=_SERVES_SECONDS)

    def _wait_answers(self, name: str) -> None:
        if self.skipped is None:
            # Why it does not answer by its Service is found out below.
            with contextlib.suppress(TimeoutError):
                self._models[name].wait_ready(seconds=_PODS_SECONDS)
            self.skipped = ways.why_no_service(self._models[name].service_address(), PORT)
        if self.skipped is not None:
            restricted.wait_pods(self._api, self._namespace, name, 1, seconds=_PODS_SECONDS)

    def _play(self, url: str) -> None:
        self._route.wait_serves(PRIMARY, seconds=_SERVES_SECONDS)
        load = self._use(url)
        began = time.time()
        self._fail_over()
        time.sleep(_LOOK_SECONDS)
        self._fail_back()
        time.sleep(_CALM_SECONDS)
        past = self._route.status().get("switches") or []
        self._switches = [(each["kind"], each["to"]) for each in past if seconds_of(each["startedAt"]) >= began]
        load.stop()

    def _use(self, url: str) -> Load:
        until(
            f"the gateway at {url} to lead to {self._route.host}",
            lambda: all(self._route.ask(url).status_code == 200 for _ in range(_IN_A_ROW)),
            seconds=_ANSWERS_SECONDS,
            every=0.2,
        )
        load = self._load = Load(
            f"{url.rstrip('/')}/v1/chat/completions",
            self._route.host,
            RATE,
            timeout=_TIMEOUT_SECONDS,
            body=completion(),
            named_by=MODEL_HEADER,
        )
        load.start()
        if self._over:
            load.stop()
        until("a second's answers", lambda: load.report().ok >= RATE, seconds=_ANSWERS_SECONDS, every=0.1)
        self._say(f"users ask for {RATE:.0f} completions a second, and {PRIMARY} answers")
        return load

    def _fail_over(self) -> None:
        died = time.time()
        self._models[PRIMARY].kill()
        self._say(f"{PRIMARY} is killed; nobody tells the route", at=died)
        past = self._route.wait_past("Failover", died, seconds=_SWITCHED_SECONDS)
        status = self._route.wait_serves(FALLBACK, seconds=_SERVES_SECONDS)
        found = FailedOver.of(past, status, died=died, envoys=envoys.addresses(self._api))
        self._failed_over = found
        self._say(f"traffic goes to {past['to']}, {found.acted:.1f} s after that", at=died + found.acted)
        words = f"every replica was seen to follow, {found.proved:.1f} s later: {', '.join(found.replicas)}"
        self._say(words, at=died + found.acted + found.proved)
        self._explain()

    def _fail_back(self) -> None:
        self._say(f"{PRIMARY} is started again")
        self._models[PRIMARY].revive()
        revived = time.time()
        self._say(f"{PRIMARY} answers again; it has to show that it lasts")
        stages = self._follow()
        past = self._route.wait_past("Failback", revived, seconds=_SWITCHED_SECONDS)
        status = self._route.wait_serves(PRIMARY, seconds=_SERVES_SECONDS)
        addresses = envoys.addresses(self._api)
        found = FailedBack.of(past, status, revived=revived, stages=stages, envoys=addresses)
        self._failed_back = found
        self._say(f"{PRIMARY} has all of the traffic again, at every replica, {found.took:.1f} s after it answered")
        self._explain()

    def _follow(self) -> list[int]:
        """Shares of the better model, one after the other, until no failback goes on any more."""
        seen: list[int] = []

        def look(found: Json) -> bool:
            going: Json = (found.get("status") or {}).get("switch") or {}
            share = shares_of(found).get(PRIMARY, 0)
            if going.get("kind") == "Failback" and share not in seen:
                seen.append(share)
                self._say(f"{share} % of the requests go back to {PRIMARY}")
            return bool(seen) and not going

        self._route.wait(f"to go back to {PRIMARY}", look, seconds=_BACK_SECONDS)
        return seen

    def _explain(self) -> None:
        """What `kubectl sophia model explain` says."""
        for line in explain(parse_route(self._route.object()), datetime.now(UTC)):
            self._say(f"  {line}")

    def _say(self, words: str, *, at: float | None = None) -> None:
        self._steps.append((time.time() if at is None else at, words))
