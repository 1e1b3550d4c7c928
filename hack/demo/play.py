"""The play: a service under load, a pool beside it, a cache in front of it, two changes, a failover, a hand-over,
models that fail, a fault that heals itself, and the books of it all."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Final

import httpx
from rich.console import Console

from hack.cluster import bringup
from hack.demo import result, shelf, show, show_healing, show_models
from hack.demo.chat import Chat
from hack.demo.healing import Healing
from hack.demo.orders import Orders
from hack.demo.result import Result
from hack.demo.shelf import Shelf
from hack.load import Load
from hack.rig.api import Api, ApiError, Json
from hack.rig.gateway import wait_reachable
from hack.rig.services import Service, rollout
from sophia_operator.api.release import ReleaseState
from sophia_operator.core.situation import Situation

NAME: Final = "shop"
#: Revisions of the good change and of the bad one.
GOOD: Final = 2
BAD: Final = 3
_FIRST_ANSWERS_SECONDS: Final = 30.0
_CHANGE_SECONDS: Final = 240.0
_POOL_SECONDS: Final = 240.0
_FAILOVER_SECONDS: Final = 180.0
_CACHE_SECONDS: Final = 180.0
_MODELS_SECONDS: Final = 240.0
_HEALING_SECONDS: Final = 180.0
#: With its pods and the first look at what it is bound to.
_SETTLE_SECONDS: Final = 120.0
_AFTER_SECONDS: Final = 2.0


@dataclass(frozen=True)
class _Cast:
    """Who plays."""

    service: Service
    load: Load
    orders: Orders
    cache: Shelf
    chat: Chat
    healing: Healing


def play(console: Console, api: Api, namespace: str, rate: float) -> bool:
    """Play all of it and say whether it went well. Figures are shown and written also when something cuts it short."""
    service = Service(api, NAME, namespace)
    with Orders(api, namespace) as orders, Shelf(api, namespace) as cache, Chat(api, namespace) as chat:
        console.rule("A service behind the gateway, its cache, and a pool before a PostgreSQL")
        _apply(service, "1")
        service.wait_settled(1, seconds=_SETTLE_SECONDS)
        url = f"{bringup.gateway_url()}/"
        wait_reachable(url, service.host)
        load = Load(url, service.host, rate=rate, log=result.log())
        cast = _Cast(service, load, orders, cache, chat, Healing(api, namespace, orders))
        try:
            with load:
                api.until("the first answers", lambda: load.report().ok > rate, seconds=_FIRST_ANSWERS_SECONDS)
                show.watch_pool(console, orders, orders.is_up, seconds=_POOL_SECONDS)
                show.watch_cache(console, cache, cache.is_up, seconds=_CACHE_SECONDS)
                cache.prime(url, service.host)
                _change_twice(console, cast)
                _fail_over(console, orders)
                orders.end()
                _hand_over(console, cache)
                _lose_a_model(console, chat, url)
                _heal(console, cast.healing)
                time.sleep(_AFTER_SECONDS)  # all goes on, to see that nothing more comes of the bad release
        except BaseException as error:
            _tell(console, cast, _words(error))
            raise
        return _tell(console, cast, None)


def _apply(service: Service, version: str, *, warm: bool = False, **env: str) -> None:
    plan = rollout()
    if warm:
        first, *rest = plan["stages"]
        plan = rollout(stages=[{**first, "warmPercent": 100}, *rest])
    service.apply(plan=plan, bindings=shelf.BINDINGS, env={"DEMO_VERSION": version, **shelf.ENV, **env})


def _change_twice(console: Console, cast: _Cast) -> None:
    service, load, orders = cast.service, cast.load, cast.orders
    console.rule("A good change: its cache is filled first, then 10, 25, 50, 100 percent")
    _apply(service, "2", warm=True)
    show.watch(console, service, load, orders, lambda s: _ended(s, GOOD), seconds=_CHANGE_SECONDS)
    console.rule("A bad change: its users would see errors")
    _apply(service, "3", DEMO_ERROR_PERCENT="30", DEMO_FAULT_AFTER_SECONDS="3")
    show.watch(console, service, load, orders, lambda s: _ended(s, BAD), seconds=_CHANGE_SECONDS)


def _fail_over(console: Console, orders: Orders) -> None:
    console.rule("The primary dies: its standby is promoted, and the pool finds it")
    if orders.skipped is None:
        orders.fail_over()
        show.watch_pool(console, orders, orders.is_failed_over, seconds=_FAILOVER_SECONDS)
    else:
        console.print(f"  Left out, as nobody could see it: {orders.skipped}.", soft_wrap=True)


def _hand_over(console: Console, cache: Shelf) -> None:
    console.rule("The cache: what it saves, a hand-over under writes, a paced flush")
    if cache.skipped is None:
        cache.begin(f"{NAME}-{GOOD}")
        show.watch_cache(console, cache, cache.is_over, seconds=_CACHE_SECONDS)
    else:
        console.print(f"  Left out, as nobody could see it: {cache.skipped}.", soft_wrap=True)


def _lose_a_model(console: Console, chat: Chat, url: str) -> None:
    console.rule("Models: the better one dies, the other one takes over, and gives back by 5, 25, 100 percent")
    console.print("  Both are simulators that speak the OpenAI API: no model runs here.")
    show_models.watch_models(console, chat, chat.is_up, seconds=_MODELS_SECONDS)
    show_models.scoreboard(console, chat)
    if chat.skipped is None:
        chat.begin(url)
        show_models.watch_models(console, chat, chat.is_over, seconds=_MODELS_SECONDS)
        show_models.scoreboard(console, chat)
    else:
        console.print(f"  Left out, as nobody could see it: {chat.skipped}.", soft_wrap=True)


def _heal(console: Console, healing: Healing) -> None:
    console.rule("A fault that heals itself: a transaction blocks all others, and the operator may end it")
    if healing.skipped is None:
        healing.begin()
        show_healing.watch_healing(console, healing, healing.is_over, seconds=_HEALING_SECONDS)
    else:
        console.print(f"  Left out, as nobody could see it: {healing.skipped}.", soft_wrap=True)


def _ended(situation: Situation, revision: int) -> bool:
    release = next((r for r in situation.releases if r.spec.revision == revision), None)
    return release is not None and (release.status.state is ReleaseState.PROMOTED or release.status.state.is_latched)


def _tell(console: Console, cast: _Cast, failure: str | None) -> bool:
    service, load = cast.service, cast.load
    if not load.records:
        return False
    good, bad = _release(service, GOOD, failure), _release(service, BAD, failure)
    pool, cache = cast.orders.figures(failure), cast.cache.figures(good, failure)
    models, healing = cast.chat.figures(failure), cast.healing.figures(failure)
    outcome = Result.of(good, bad, load, pool=pool, cache=cache, models=models, healing=healing, failure=failure)
    result.tell(console, outcome, bad)
    return outcome.is_good


def _release(service: Service, revision: int, failure: str | None) -> Json | None:
    """A release. After a failure the figures of the load count also where the API server says nothing more."""
    with contextlib.suppress(*((ApiError, httpx.HTTPError) if failure else ())):
        return service.release(revision)
    return None


def _words(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
