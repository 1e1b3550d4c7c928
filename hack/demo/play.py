"""The play: a service under load, a good change, a bad change, and the books of it all."""

from __future__ import annotations

import contextlib
import time
from typing import Final

import httpx
from rich.console import Console

from hack.cluster import bringup
from hack.demo import result, show
from hack.demo.result import Result
from hack.load import Load
from hack.rig.api import Api, ApiError, Json
from hack.rig.gateway import wait_reachable
from hack.rig.services import Service
from sophia_operator.api.release import ReleaseState
from sophia_operator.core.situation import Situation

NAME: Final = "shop"
_FIRST_ANSWERS_SECONDS: Final = 30.0
_CHANGE_SECONDS: Final = 240.0
_AFTER_SECONDS: Final = 2.0


def play(console: Console, api: Api, namespace: str, rate: float) -> bool:
    """Play all of it and say whether it went well. Figures are shown and written also when something cuts it short."""
    service = Service(api, NAME, namespace)
    console.rule("A service behind the gateway")
    service.apply(env={"DEMO_VERSION": "1"})
    service.wait_settled(1)
    url = f"{bringup.gateway_url()}/"
    wait_reachable(url, service.host)
    load = Load(url, service.host, rate=rate, log=result.log())
    try:
        with load:
            api.until("the first answers", lambda: load.report().ok > rate, seconds=_FIRST_ANSWERS_SECONDS)
            _change_twice(console, service, load)
    except BaseException as error:
        _tell(console, service, load, _words(error))
        raise
    return _tell(console, service, load, None)


def _change_twice(console: Console, service: Service, load: Load) -> None:
    console.rule("A good change: 10, 25, 50, 100 percent")
    service.apply(env={"DEMO_VERSION": "2"})
    show.watch(console, service, load, lambda s: _ended(s, 2), seconds=_CHANGE_SECONDS)
    console.rule("A bad change: its users would see errors")
    service.apply(env={"DEMO_VERSION": "3", "DEMO_ERROR_PERCENT": "30", "DEMO_FAULT_AFTER_SECONDS": "3"})
    show.watch(console, service, load, lambda s: _ended(s, 3), seconds=_CHANGE_SECONDS)
    time.sleep(_AFTER_SECONDS)  # the load goes on for a moment, to see that nothing more comes of the bad release


def _ended(situation: Situation, revision: int) -> bool:
    release = next((r for r in situation.releases if r.spec.revision == revision), None)
    return release is not None and (release.status.state is ReleaseState.PROMOTED or release.status.state.is_latched)


def _tell(console: Console, service: Service, load: Load, failure: str | None) -> bool:
    if not load.records:
        return False
    good, bad = _release(service, 2, failure), _release(service, 3, failure)
    outcome = Result.of(good, bad, load, failure)
    result.tell(console, outcome, bad)
    return outcome.is_good


def _release(service: Service, revision: int, failure: str | None) -> Json | None:
    """A release. After a failure the figures of the load count also where the API server says nothing more."""
    with contextlib.suppress(*((ApiError, httpx.HTTPError) if failure else ())):
        return service.release(revision)
    return None


def _words(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
