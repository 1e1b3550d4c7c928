"""Sees to it that one operator acts at a time: a Lease, and a fence that stops acting once the Lease is not certain."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from sophia_operator.core.decision import Notice
from sophia_operator.ports import Clock, Cluster, ClusterError, Object, ObjectRef, Refusal

logger = logging.getLogger(__name__)

_API: Final = "coordination.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a Lease holds. A standby takes over so long after the last renewal."""

    duration_seconds: float = 15.0
    #: Without a renewal for so long the holder stops, well before a standby may begin.
    deadline_seconds: float = 10.0
    renew_seconds: float = 3.0
    retry_seconds: float = 2.0

    @classmethod
    def of(cls, duration_seconds: float) -> Terms:
        """Terms in the same proportions as the default ones."""
        usual = cls()
        share = duration_seconds / usual.duration_seconds
        return cls(
            duration_seconds, usual.deadline_seconds * share, usual.renew_seconds * share, usual.retry_seconds * share
        )


class Lease:
    """One candidate for a Lease. Times of other candidates are never compared with our clock, only watched."""

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        *,
        namespace: str,
        name: str,
        identity: str,
        terms: Terms = Terms(),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._ref = ObjectRef(_API, "Lease", namespace, name)
        self._identity = identity
        self._terms = terms
        self._monotonic = monotonic
        self._sleep = sleep
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._held: Object | None = None
        self._renewed_at = float("-inf")

    def is_certain(self) -> bool:
        """Whether nobody else can hold the Lease now."""
        return self._held is not None and self._monotonic() - self._renewed_at < self._terms.duration_seconds

    async def acquire(self) -> None:
        """Wait until this candidate holds the Lease."""
        while True:
            try:
                if await self._try():
                    logger.info("holds the lease %s as %s", self._ref.name, self._identity)
                    return
            except ClusterError as error:
                logger.warning("lease %s: %s", self._ref.name, error)
            await self._sleep(self._terms.retry_seconds)

    async def keep(self) -> None:
        """Renew the Lease until it is lost, and return then."""
        while True:
            await self._sleep(self._terms.renew_seconds)
            while not await self._renew():
                if self._held is None or self._monotonic() - self._renewed_at >= self._terms.deadline_seconds:
                    self._held = None
                    logger.error("lost the lease %s", self._ref.name)
                    return
                await self._sleep(self._terms.retry_seconds)

    async def release(self) -> None:
        """Let a standby take over at once. Best effort."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            await self._give_back(held)
        except ClusterError as error:
            logger.warning("lease %s not released: %s", self._ref.name, error)

    async def _give_back(self, held: Object) -> None:
        try:
            await self._cluster.apply(self._object(held, holder=""))
        except ClusterError as error:
            if error.refusal is not Refusal.CONFLICT:
                raise
            # A renewal that was cut off by the end may have been written all the same.
            found = await self._cluster.get(self._ref)
            if found is not None and found["spec"].get("holderIdentity") == self._identity:
                await self._cluster.apply(self._object(found, holder=""))

    async def _try(self) -> bool:
        started = self._monotonic()
        found = await self._cluster.get(self._ref)
        try:
            if found is None:
                self._take(await self._cluster.create(self._object(None, self._identity)), started)
                return True
            if not self._is_free(found):
                return False
            self._take(await self._cluster.apply(self._object(found, self._identity)), started)
        except ClusterError as error:
            if error.refusal in (Refusal.CONFLICT, Refusal.ALREADY_EXISTS):
                return False  # another one was faster
            raise
        return True

    async def _renew(self) -> bool:
        assert self._held is not None
        started = self._monotonic()
        try:
            self._take(await self._cluster.apply(self._object(self._held, self._identity)), started)
        except ClusterError as error:
            logger.warning("lease %s not renewed: %s", self._ref.name, error)
            if error.refusal in (Refusal.CONFLICT, Refusal.NOT_FOUND):
                await self._look_who_holds()
            return False
        return True

    async def _look_who_holds(self) -> None:
        """After a conflict: an answer to our own write may have been lost, or another one holds the Lease."""
        try:
            found = await self._cluster.get(self._ref)
        except ClusterError:
            return
        if found is not None and found["spec"].get("holderIdentity") == self._identity:
            self._held = found
        else:
            self._held = None

    def _take(self, lease: Object, started: float) -> None:
        self._held = lease
        self._renewed_at = started

    def _is_free(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        # The same identity: this container's predecessor in the same pod, which is dead.
        if holder in ("", self._identity):
            return True
        seen = (holder, lease["metadata"]["resourceVersion"])
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._monotonic()
        duration = float(spec.get("leaseDurationSeconds") or self._terms.duration_seconds)
        return self._monotonic() - self._seen_at >= duration

    def _object(self, before: Object | None, holder: str) -> dict[str, Any]:
        spec = (before or {}).get("spec") or {}
        now = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = spec.get("holderIdentity") == holder
        metadata: dict[str, Any] = {"namespace": self._ref.namespace, "name": self._ref.name}
        if before is not None:
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        return {
            "apiVersion": _API,
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": int(self._terms.duration_seconds),
                "acquireTime": spec["acquireTime"] if same and spec.get("acquireTime") else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if same or before is None else 1),
            },
        }


class FencedCluster:
    """A Cluster that writes only while the Lease is certain: a process that was frozen must not act when it thaws."""

    def __init__(self, cluster: Cluster, certain: Callable[[], bool]) -> None:
        self._cluster = cluster
        self._certain = certain

    async def apply(self, obj: Object, *, dry_run: bool = False) -> Object:
        """As in Cluster."""
        self._check()
        return await self._cluster.apply(obj, dry_run=dry_run)

    async def create(self, obj: Object) -> Object:
        """As in Cluster."""
        self._check()
        return await self._cluster.create(obj)

    async def apply_status(self, obj: Object) -> Object:
        """As in Cluster."""
        self._check()
        return await self._cluster.apply_status(obj)

    async def get(self, ref: ObjectRef) -> Object | None:
        """As in Cluster."""
        return await self._cluster.get(ref)

    async def delete(self, ref: ObjectRef) -> None:
        """As in Cluster."""
        self._check()
        await self._cluster.delete(ref)

    async def emit(self, about: ObjectRef, notice: Notice) -> None:
        """As in Cluster."""
        if self._certain():
            await self._cluster.emit(about, notice)

    def _check(self) -> None:
        if not self._certain():
            raise ClusterError(Refusal.UNAVAILABLE, "this process does not hold the lease any more")
