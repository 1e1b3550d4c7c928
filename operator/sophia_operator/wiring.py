"""Joins the adapters, the loops and the framework to one process, and runs it."""

from __future__ import annotations

import asyncio
import base64
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import kopf

from sophia_operator import handlers
from sophia_operator.adapters import kubernetes_access
from sophia_operator.adapters.cache_tables import PostgresCacheTables
from sophia_operator.adapters.http import HttpRequests
from sophia_operator.adapters.kubernetes import KubernetesCluster
from sophia_operator.adapters.models import HttpModels
from sophia_operator.adapters.pools import PostgresPools
from sophia_operator.adapters.prometheus import PrometheusMetrics
from sophia_operator.adapters.redis import RedisCaches
from sophia_operator.adapters.signals import OutsideSignals
from sophia_operator.api.metrics import PrometheusAccess
from sophia_operator.ports import Caches, CacheTables, Clock, Cluster, Models, ObjectRef, Pools, Signals
from sophia_operator.runtime.audit import Audit
from sophia_operator.runtime.caches.fence import FencedCaches, FencedTables
from sophia_operator.runtime.caches.world import CacheWorld
from sophia_operator.runtime.elsewhere import Elsewhere
from sophia_operator.runtime.leader import FencedCluster, Lease, Terms
from sophia_operator.runtime.models.fence import FencedModels
from sophia_operator.runtime.models.world import ModelWorld
from sophia_operator.runtime.pools.fence import FencedPools
from sophia_operator.runtime.pools.world import PoolWorld
from sophia_operator.runtime.prime import prime
from sophia_operator.runtime.recovery.fence import FencedSignals
from sophia_operator.runtime.recovery.signalling import Signalling
from sophia_operator.runtime.recovery.world import Locks, RecoveryWorld
from sophia_operator.runtime.server import Health, Server
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.telemetry import Telemetry
from sophia_operator.runtime.wakeups import Feed, Wakeups
from sophia_operator.runtime.watched import Watched
from sophia_operator.runtime.world import World

logger = logging.getLogger("sophia_operator")


@dataclass(frozen=True, slots=True)
class Options:
    """How to run."""

    namespaces: tuple[str, ...]
    #: Namespace and name of the Lease; None: do not elect.
    lease: tuple[str, str] | None
    lease_seconds: int
    identity: str
    metrics_port: int
    health_port: int
    prometheus_url: str | None
    pgbouncer_image: str
    redis_image: str
    kubeconfig: Path | None
    context: str | None


class SystemClock:
    """Implements ports.Clock."""

    def now(self) -> datetime:
        """The time now, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Outside:
    """What objects are in front of, beside the cluster."""

    pools: Pools
    caches: Caches
    tables: CacheTables
    models: Models
    signals: Signals

    def fenced(self, certain: Callable[[], bool]) -> Outside:
        """The same, for as long as the Lease is certain."""
        return Outside(
            FencedPools(self.pools, certain),
            FencedCaches(self.caches, certain),
            FencedTables(self.tables, certain),
            FencedModels(self.models, certain),
            FencedSignals(self.signals, certain),
        )


def _outside(stack: AsyncExitStack, clock: Clock) -> Outside:
    made = Outside(
        PostgresPools(),
        RedisCaches(),
        PostgresCacheTables(),
        HttpModels(now=clock.now),
        OutsideSignals(now=clock.now),
    )
    for part in (made.pools, made.caches, made.tables, made.models, made.signals):
        stack.push_async_callback(part.close)
    return made


class Operator:
    """The parts, put together."""

    def __init__(
        self, options: Options, access: kubernetes_access.Access, telemetry: Telemetry, health: Health
    ) -> None:
        self._options = options
        self._access = access
        self._telemetry = telemetry
        self._health = health
        self._standby = True

    async def run(self) -> int:
        """Run until told to stop (0), or until the Lease is lost or something fails (1)."""
        options, clock = self._options, SystemClock()
        async with AsyncExitStack() as stack:
            client = self._access.client()
            cluster = KubernetesCluster(client, observer=self._telemetry.api_request, instance=options.identity)
            stack.push_async_callback(cluster.close)
            telemetry, store = self._telemetry, ObjectStore()
            wakeups, of_pools, of_tiers, of_routes = (Wakeups(telemetry.wakeup) for _ in range(4))
            of_policies, of_actions = Wakeups(telemetry.wakeup), Wakeups(telemetry.wakeup)
            feed = Feed(store, wakeups, of_pools, of_tiers, of_routes, policies=of_policies, actions=of_actions)
            audit = Audit(store, feed, cluster, options.namespaces)
            self._health.alive.append(audit.trouble)
            self._health.ready.append(
                lambda: None if self._standby or audit.synced else "the first listing is under way"
            )
            tasks: list[asyncio.Task[None]] = []
            guarded: Cluster = cluster
            outside = _outside(stack, clock)
            if options.lease is not None:
                namespace, name = options.lease
                terms = Terms.of(options.lease_seconds)
                lease = Lease(cluster, clock, namespace=namespace, name=name, identity=options.identity, terms=terms)
                stack.push_async_callback(lease.release)
                if not await _unless_stopped(lease.acquire()):
                    return 0
                guarded, outside = FencedCluster(cluster, lease.is_certain), outside.fenced(lease.is_certain)
                tasks.append(asyncio.create_task(lease.keep(), name="lease"))
            self._standby = False
            self._telemetry.leading(True)
            metrics = PrometheusMetrics(
                default=PrometheusAccess(url=options.prometheus_url) if options.prometheus_url else None,
                read_secret=lambda namespace, name: read_secret(cluster, namespace, name),
            )
            stack.push_async_callback(metrics.close)
            requests = HttpRequests()
            stack.push_async_callback(requests.close)
            elsewhere = Elsewhere(cluster, store, clock, options.namespaces) if options.namespaces else None
            locks = Locks()
            teller = Signalling(
                *(outside.signals, guarded, store, feed.seen, clock),
                telemetry=telemetry,
                policies=of_policies,
                actions=of_actions,
            )
            stack.push_async_callback(teller.close)
            worlds = handlers.Worlds(
                World(guarded, store, metrics, requests, clock, wakeups, telemetry, elsewhere=elsewhere),
                PoolWorld(
                    *(guarded, store, feed, outside.pools, clock, of_pools, telemetry),
                    default_image=options.pgbouncer_image,
                ),
                CacheWorld(
                    *(guarded, store, feed, outside.caches, outside.tables, metrics, requests),
                    *(clock, of_tiers, telemetry),
                    default_image=options.redis_image,
                ),
                ModelWorld(
                    *(guarded, store, feed, outside.models, metrics, clock, of_routes, telemetry), elsewhere=elsewhere
                ),
                RecoveryWorld(guarded, store, feed, clock, of_policies, telemetry, locks, teller),
                RecoveryWorld(guarded, store, feed, clock, of_actions, telemetry, locks, teller),
            )
            forbidden: set[Watched] = set()

            async def fill() -> None:
                forbidden.update(await prime(feed, cluster, options.namespaces))

            if not await _unless_stopped(fill()):
                return 0
            audit.leave_out(forbidden)
            # Before the framework starts: it ends every task that is younger than itself.
            tasks.append(asyncio.create_task(audit.run(), name="audit"))
            handlers.discovery.install(forbidden)
            registry = handlers.registry(worlds, feed, self._reach, forbidden=forbidden)
            return await self._run_framework(registry, tasks)

    async def _run_framework(self, registry: kopf.OperatorRegistry, tasks: list[asyncio.Task[None]]) -> int:
        framework = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=handlers.settings.settings(),
                standalone=True,
                # Else the framework asks for the user's name, and a container's user has none.
                identity=cast("Any", self._options.identity),
                clusterwide=not self._options.namespaces,
                namespaces=self._options.namespaces,
            ),
            name="framework",
        )
        done, rest = await asyncio.wait({framework, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.wait(rest, timeout=10.0)
        code = 0 if done == {framework} else 1
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.critical("%s failed", task.get_name(), exc_info=error)
                code = 1
        return code

    async def _reach(self) -> kopf.ConnectionInfo:
        found = await self._access.connection()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=not found.verify,
            certificate_path=found.certificate_path,
            private_key_path=found.key_path,
            scheme="Bearer" if found.token else None,
            token=found.token,
            proxy_url=found.proxy_url,
        )


async def _unless_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work was done: not when told to stop meanwhile. Until the framework runs, nobody else listens."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (working, stopping):
        task.cancel()
    await asyncio.gather(working, stopping, return_exceptions=True)
    if stopped.is_set():
        return False
    working.result()
    return True


async def read_secret(cluster: Cluster, namespace: str, name: str) -> Mapping[str, bytes]:
    """The content of a Secret. Raises LookupError when it is missing, and ClusterError."""
    found = await cluster.get(ObjectRef("v1", "Secret", namespace, name))
    if found is None:
        raise LookupError(f"Secret {namespace}/{name} does not exist")
    return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}


async def run_operator(options: Options) -> int:
    """Serve health and metrics, and run the operator. Returns the exit code."""
    telemetry, health = Telemetry(), Health()
    try:
        access = await kubernetes_access.load(options.kubeconfig, options.context)
    except kubernetes_access.AccessError as error:
        logger.critical("no access to a cluster: %s", error)
        return 1
    server = Server(telemetry, health)
    await server.start(options.metrics_port, options.health_port)
    try:
        return await Operator(options, access, telemetry, health).run()
    finally:
        await server.stop()
