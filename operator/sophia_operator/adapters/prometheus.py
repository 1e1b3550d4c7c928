"""Prometheus over HTTP: instant queries in threads, each with a hard time limit."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import requests
import urllib3.exceptions

from sophia_operator.adapters.prometheus_answer import answer_of, failure, is_usable, refusal_or_outage, strange, where
from sophia_operator.adapters.prometheus_session import (
    Credentials,
    CredentialsError,
    HttpStatusError,
    PrometheusSession,
)
from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, MetricsRequest
from sophia_operator.ports import ClusterError

#: Reads a Secret: (namespace, name) to its data. Raises ClusterError, or LookupError when it is missing.
SecretReader = Callable[[str, str], Awaitable[Mapping[str, bytes]]]

_THREADS: Final = 32
#: A server that answers by drips can hold a thread beyond every time limit; so no namespace gets all of them.
_THREADS_A_NAMESPACE: Final = 8
_SESSIONS: Final = 64
_SECRET_SECONDS: Final = 30.0
#: What a thread may take longer than Prometheus before it is given up.
_GRACE_SECONDS: Final = 2.0

_NOT_CONFIGURED: Final = (
    "no Prometheus is configured: set rollout.metrics.prometheus.url of the service, or the operator's default"
)


@dataclass(frozen=True, slots=True)
class _Known:
    data: Mapping[str, bytes]
    until: float


_K = TypeVar("_K", bound=Hashable)
_T = TypeVar("_T")


class _Shared(Generic[_K, _T]):
    """One thing for each key, kept only while somebody uses it: namespaces and Secrets come and go."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._kept: dict[_K, tuple[_T, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: _K) -> _T:
        """The thing, the same for all who use it at once. Each gives it back once."""
        thing, users = self._kept.get(key) or (self._make(), 0)
        self._kept[key] = (thing, users + 1)
        return thing

    def give_back(self, key: _K) -> None:
        """One user less."""
        thing, users = self._kept.pop(key)
        if users > 1:
            self._kept[key] = (thing, users - 1)


class PrometheusMetrics:
    """Implements `ports.Metrics`.

    `default` is asked when a service names no Prometheus; its Secret is read from `default_namespace`. Secrets are read
    again after 30 s, and after Prometheus rejected what they hold. Close it to end its threads and remove its files.
    """

    def __init__(
        self,
        *,
        default: PrometheusAccess | None,
        read_secret: SecretReader,
        default_namespace: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._default = default
        self._default_namespace = default_namespace
        self._read_secret = read_secret
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="prometheus")
        self._lanes: _Shared[str, asyncio.Semaphore] = _Shared(lambda: asyncio.Semaphore(_THREADS_A_NAMESPACE))
        self._secrets: dict[tuple[str, str], _Known] = {}
        self._reading: _Shared[tuple[str, str], asyncio.Lock] = _Shared(asyncio.Lock)
        self._sessions: OrderedDict[tuple[str, bytes], PrometheusSession] = OrderedDict()

    async def query(self, namespace: str, request: MetricsRequest) -> MetricsAnswer:
        """One instant query, within its time limit. Never raises for what the network or Prometheus does."""
        access, home = (request.access, namespace) if request.access else (self._default, self._default_namespace)
        if access is None:
            return MetricsOutage(_NOT_CONFIGURED)
        if not is_usable(access.url):
            return MetricsOutage("the URL of Prometheus cannot be used: host or port is no host or port")
        try:
            async with asyncio.timeout(access.timeout_seconds + _GRACE_SECONDS):
                session = await self._session(access, home)
                return await self._ask(namespace, session, request.query, access)
        except TimeoutError:
            return MetricsOutage(f"{where(access.url)} did not answer within {access.timeout_seconds} s")
        except CredentialsError as problem:
            return MetricsOutage(f"Secret {home}/{access.secret_name} for {where(access.url)}: {problem}")

    async def close(self) -> None:
        """End idle threads, close connections and remove the files of keys and certificates."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._sessions:
            _, session = self._sessions.popitem()
            session.close()

    async def _ask(
        self, namespace: str, session: PrometheusSession, query: str, access: PrometheusAccess
    ) -> MetricsAnswer:
        lane = self._lanes.take(namespace)
        try:
            await lane.acquire()
        except BaseException:  # the time limit ran out while waiting
            self._lanes.give_back(namespace)
            raise

        def leave() -> None:
            lane.release()
            self._lanes.give_back(namespace)

        try:
            running = self._threads.submit(_answer, session, query, access)
        except RuntimeError:  # closed meanwhile
            leave()
            return MetricsOutage("the operator is stopping")
        loop = asyncio.get_running_loop()

        def give_back(_: Future[Any]) -> None:
            # A thread that outlives its time limit keeps its place until it ends.
            if not loop.is_closed():
                loop.call_soon_threadsafe(leave)

        running.add_done_callback(give_back)
        answer, rejected = await asyncio.wrap_future(running)
        if rejected:
            self._secrets.clear()
        return answer

    async def _session(self, access: PrometheusAccess, home: str) -> PrometheusSession:
        credentials = None
        if access.secret_name is not None:
            credentials = Credentials.parse(await self._secret(home, access.secret_name))
        key = (access.url, credentials.fingerprint if credentials is not None else b"")
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = PrometheusSession(access.url, credentials)
            if len(self._sessions) > _SESSIONS:
                _, oldest = self._sessions.popitem(last=False)
                oldest.retire()
        self._sessions.move_to_end(key)
        return session

    async def _secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        key = (namespace, name)
        lock = self._reading.take(key)
        try:
            async with lock:
                return await self._read_unless_known(key)
        finally:
            self._reading.give_back(key)

    async def _read_unless_known(self, key: tuple[str, str]) -> Mapping[str, bytes]:
        now = self._clock()
        self._secrets = {k: known for k, known in self._secrets.items() if known.until > now}
        if key not in self._secrets:
            try:
                data = await self._read_secret(*key)
            except LookupError as missing:
                raise CredentialsError("it is missing") from missing
            except ClusterError as problem:
                raise CredentialsError(f"it cannot be read ({problem.refusal.value})") from problem
            self._secrets[key] = _Known(data, now + _SECRET_SECONDS)
        return self._secrets[key].data


def _answer(session: PrometheusSession, query: str, access: PrometheusAccess) -> tuple[MetricsAnswer, bool]:
    """Runs in a thread. The answer, and whether Prometheus rejected the credentials."""
    try:
        return answer_of(session.query(query, access.timeout_seconds), access.url), False
    except HttpStatusError as answered:
        return refusal_or_outage(answered.status, answered.body, access.url), answered.status in (401, 403)
    except requests.exceptions.JSONDecodeError:
        return strange(access.url), False
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as problem:
        return failure(problem, access.url, access.timeout_seconds), False
    except (KeyError, TypeError, ValueError):
        return strange(access.url), False
