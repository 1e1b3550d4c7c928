"""A fault that heals itself: one transaction blocks all others, a policy allows the operator to end it, and it does."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Final

import httpx
import psycopg

from hack.demo.beside import Beside, has_ended
from hack.demo.healing_figures import HealingFigures
from hack.demo.orders import Orders
from hack.rig.api import Api, ApiError, Json
from hack.rig.pools import Pool
from hack.rig.recoveries import Policy, rule
from hack.rig.waiting import until

NAME: Final = "self-healing"
USERS: Final = 5
_THRESHOLD_SECONDS: Final = 5
_HELPED_SECONDS: Final = 90.0
_FREE_SECONDS: Final = 30.0
#: Until the row is held.
_HEAD_START_SECONDS: Final = 1.0
_TABLE: Final = "CREATE TABLE IF NOT EXISTS till (id int PRIMARY KEY, sum int NOT NULL)"
_ROW: Final = "INSERT INTO till VALUES (1, 0) ON CONFLICT DO NOTHING"
_BLOCK: Final = ("UPDATE till SET sum = -1 WHERE id = 1", "SELECT pg_sleep(600)")
_SELL: Final = ("UPDATE till SET sum = sum + 10 WHERE id = 1",)


@dataclass(frozen=True)
class Ended:
    """How a transaction ended: None or the words of the server, and when, in seconds since the epoch."""

    words: str | None
    at: float


class Healing:
    """What is done to the pool of the demo, and what the operator does about it."""

    def __init__(self, api: Api, namespace: str, orders: Orders) -> None:
        self.name = NAME
        self._orders = orders
        self._policy = Policy(api, namespace, NAME)
        self._healing: Beside[None] | None = None
        self._steps: list[tuple[float, str]] = []
        #: When the transaction began to block, and when the last of its victims was served, since the epoch.
        self._blocked_at: float | None = None
        self._freed_at: float | None = None
        #: How the blocking transaction ended.
        self._ended: str | None = None

    @property
    def skipped(self) -> str | None:
        """Why this machine cannot play it; None: it can."""
        return self._orders.skipped

    def begin(self) -> None:
        """Make the policy and the fault, and wait for the cure, beside the main thread."""
        self._healing = Beside(self._heal, "self-healing")

    def is_over(self) -> bool:
        """Whether everybody was served. Raises what kept them from it."""
        return has_ended(self._healing)

    def policy(self) -> Json | None:
        """The RecoveryPolicy, None while there is none."""
        return self._policy.api.get(Policy.kind, self._policy.namespace, NAME)

    def action(self) -> Json | None:
        """The newest act, None while there is none."""
        found = self._policy.actions()
        return found[-1] if found else None

    def steps(self) -> list[tuple[float, str]]:
        """What was done up to now, each with its time in seconds since the epoch."""
        return list(self._steps)

    def figures(self, failure: str | None) -> HealingFigures:
        """The figures. After a failure they count also where the API server says nothing more."""
        actions: list[Json] = []
        with contextlib.suppress(*((ApiError, httpx.HTTPError) if failure else ())):
            actions = self._policy.actions()
        return HealingFigures.of(
            actions, blocked_at=self._blocked_at, freed_at=self._freed_at, ended=self._ended, skipped=self.skipped
        )

    def _say(self, words: str) -> None:
        self._steps.append((time.time(), words))

    def _heal(self) -> None:
        pool = self._orders.pool
        assert pool is not None, "the pool is not up"
        slow = rule("SlowQueries", "CancelStatement", thresholdSeconds=_THRESHOLD_SECONDS)
        self._policy.apply(["ConnectionPool"], [slow])
        self._policy.wait_watching(1)
        self._say(f"A policy allows: a statement that takes {_THRESHOLD_SECONDS} s may be ended, once in a while.")
        with pool.connect() as connection:
            for statement in (_TABLE, _ROW):
                connection.execute(statement.encode())
        blocking = Beside(lambda: _run(pool, *_BLOCK), "till-blocked")
        time.sleep(_HEAD_START_SECONDS)
        self._blocked_at = time.time()
        self._say(f"One transaction holds a row and sleeps; {USERS} users want to write to that row, and wait.")
        users = [Beside(lambda: _run(pool, *_SELL), "till") for _ in range(USERS)]
        self._policy.wait_helped("CancelStatement", seconds=_HELPED_SECONDS)
        everybody = [blocking, *users]
        until("everybody to be served", lambda: all(one.is_done for one in everybody), seconds=_FREE_SECONDS)
        self._ended = blocking.result().words
        served = [user.result() for user in users]
        failed = [one.words for one in served if one.words is not None]
        assert not failed, f"users who waited were not served: {failed[0]}"
        self._freed_at = max(one.at for one in served)
        self._say(f"All {USERS} users were served; nobody had to be woken.")


def _run(pool: Pool, *statements: str) -> Ended:
    """Run statements in one transaction."""
    try:
        with pool.connect() as connection, connection.transaction():
            for statement in statements:
                connection.execute(statement.encode())
    except psycopg.Error as error:
        return Ended(str(error), time.time())
    return Ended(None, time.time())
