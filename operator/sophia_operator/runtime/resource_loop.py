"""What loops share whose object is a custom resource with all of its state in its own status."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from sophia_operator.api.common import API_VERSION
from sophia_operator.api.conditions import Condition
from sophia_operator.core.decision import Notice
from sophia_operator.ports import Clock, Cluster, Object, ObjectRef
from sophia_operator.runtime import invalid
from sophia_operator.runtime.passes import Gone, Passes, Surroundings
from sophia_operator.runtime.statuses import Statuses, target_of
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Feed, Key

logger = logging.getLogger(__name__)


class Place(Surroundings, Protocol):
    """What such a loop works with."""

    @property
    def cluster(self) -> Cluster:
        """The API server."""

    @property
    def store(self) -> ObjectStore:
        """Objects as last seen."""

    @property
    def feed(self) -> Feed:
        """Takes what the API server answers to writes."""

    @property
    def clock(self) -> Clock:
        """Time."""


class Status(Protocol):
    """The status of such an object."""

    @property
    def conditions(self) -> list[Condition]:
        """Its conditions."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Any:
        """Another one, with these fields."""

    def to_dict(self) -> dict[str, Any]:
        """As in an object."""


class ResourceLoop(Passes):
    """Reads the object from the store, and writes its status."""

    def __init__(self, key: Key, place: Place) -> None:
        super().__init__(key, place)
        self._place = place
        self._statuses = Statuses(place.cluster, place.feed.seen)
        #: What was written last, onto what, and the version that it made.
        self._last_write: tuple[Status, Status, str] | None = None

    @staticmethod
    @abstractmethod
    def _status_of(obj: Object) -> Status:
        """The status in the object, in order."""

    @staticmethod
    @abstractmethod
    def _in_order(status: Any) -> Status:
        """The status with its lists in the order in which they are read."""

    def _object(self) -> Object:
        """Raises Gone."""
        obj = self._place.store.get(self.kind, *self._key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            raise Gone
        return obj

    def _is_outdated(self, generation: int) -> bool:
        """Whether somebody changed the spec since, or deleted the object."""
        obj = self._place.store.get(self.kind, *self._key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return True
        return int(obj["metadata"].get("generation", 0)) != generation

    async def _say_unreadable(self, obj: Object, error: ValidationError) -> int:
        """What serves goes on serving; nothing is done that would take a spec."""
        status, generation = self._status_of(obj), int(obj["metadata"].get("generation", 0))
        now: datetime = self._place.clock.now()
        conditions = invalid.stalled(status.conditions, invalid.blocker(error), generation, now)
        changed = status.model_copy(update={"conditions": conditions, "observed_generation": generation})
        return await self._write_status(obj, status, changed)

    async def _write_status(self, obj: Object, before: Status, after: Status) -> int:
        """Write the status if it says something else; returns how many writes that took. Raises ClusterError."""
        ordered, version = self._in_order(after), obj["metadata"]["resourceVersion"]
        if before == ordered or self._last_write == (before, ordered, version):
            return 0
        target = target_of(obj, lambda found: self._status_of(found) == before)
        made = await self._statuses.write(API_VERSION, self.kind, target, after.to_dict())
        if made == version:
            # A field that the CRD lacks is dropped without a word: writing it in each pass would change nothing.
            message = "%s %s/%s: the API server does not keep all of its status; update the CRD"
            logger.warning(message, self.kind, *self._key)
        self._last_write = (before, ordered, made)
        return 1

    async def _tell(self, uid: str, notice: Notice) -> None:
        namespace, name = self._key
        await self._place.cluster.emit(ObjectRef(API_VERSION, self.kind, namespace, name, uid), notice)


async def cancel(tasks: Sequence[asyncio.Future[None]]) -> None:
    """End those that still run."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.gather(*running, return_exceptions=True)
