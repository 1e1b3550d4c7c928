"""Kubernetes Events: one for each thing that happened; what repeats is counted, not told again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sophia_operator.core.decision import Notice
from sophia_operator.core.names import MANAGER
from sophia_operator.ports import ClusterError, Object, ObjectRef

logger = logging.getLogger(__name__)

EVENTS_API: Final = "events.k8s.io/v1"
SAME_WITHIN: Final = timedelta(minutes=10)
_REMEMBERED: Final = 4096
_LONGEST_NOTE: Final = 1024
_LONGEST_REASON: Final = 128

_Key = tuple[str, str, str, str | None, str, str]


@dataclass(slots=True)
class _Told:
    """An Event that was recorded."""

    name: str
    count: int
    last: datetime


class EventLog:
    """Records Events about objects. Nothing that goes wrong here is the caller's trouble."""

    def __init__(
        self,
        post: Callable[[Object], Awaitable[Object]],
        patch: Callable[[ObjectRef, Mapping[str, Any]], Awaitable[Object]],
        instance: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._post = post
        self._patch = patch
        self._instance = instance[:128]
        self._now = now
        self._told: OrderedDict[_Key, _Told] = OrderedDict()

    async def emit(self, about: ObjectRef, notice: Notice) -> None:
        """Record the notice, or count it when the same was told within the last ten minutes."""
        try:
            await self._emit(about, notice)
        except ClusterError as error:
            logger.warning("event %s about %s %s not recorded: %s", notice.reason, about.kind, about.name, error)

    async def _emit(self, about: ObjectRef, notice: Notice) -> None:
        now = self._now()
        key = (about.kind, about.namespace, about.name, about.uid, notice.reason, notice.message)
        told = self._told.get(key)
        if told is not None and now - told.last < SAME_WITHIN:
            told.count, told.last = told.count + 1, now
            self._told.move_to_end(key)
            series = {"count": told.count, "lastObservedTime": _micro_time(now)}
            await self._patch(ObjectRef(EVENTS_API, "Event", about.namespace, told.name), {"series": series})
            return
        event = self._event(about, notice, now)
        self._told[key] = _Told(event["metadata"]["name"], 1, now)
        self._told.move_to_end(key)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        try:
            await self._post(event)
        except ClusterError:
            del self._told[key]
            raise

    def _event(self, about: ObjectRef, notice: Notice, now: datetime) -> dict[str, Any]:
        regarding = {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
        }
        if about.uid is not None:
            regarding["uid"] = about.uid
        return {
            "apiVersion": EVENTS_API,
            "kind": "Event",
            "metadata": {"name": f"{about.name[:200]}.{uuid4().hex[:16]}", "namespace": about.namespace},
            "eventTime": _micro_time(now),
            "reportingController": f"sophia.ai/{MANAGER}",
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "type": notice.type.value,
            "reason": notice.reason[:_LONGEST_REASON],
            "note": _cut(notice.message),
            "regarding": regarding,
        }


def _cut(message: str) -> str:
    """At most as many bytes as an Event's note may have."""
    if len(message.encode()) <= _LONGEST_NOTE:
        return message
    return message.encode()[: _LONGEST_NOTE - 3].decode(errors="ignore") + "..."


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
