"""Kinds that are installed while the operator runs.

The framework asks the API server which kinds there are once for each event of a CustomResourceDefinition, and never for
those that it lists first. But the server's discovery may follow some time after a CRD says `Established`, and a CRD may
come between the framework's first question and its list: then the kind would not be served until the next start. So
for kinds that the operator works with the question is asked again until the answer has them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final

# The framework has no public place for this; its version is pinned to those with these names.
from kopf._core.reactor import observation

from sophia_operator.runtime.watched import ALL, Watched

logger = logging.getLogger(__name__)

#: Seconds between one question and the next.
WAITS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_ask = observation.process_discovered_resource_event


def install(forbidden: Collection[Watched] = ()) -> None:
    """Ask again from now on, in this process, for all kinds that the operator works with and may watch."""
    names = frozenset(f"{w.plural}.{w.group}" for w in ALL if w not in forbidden)
    observation.process_discovered_resource_event = partial(ask_until_known, names)


async def ask_until_known(names: Collection[str], *, raw_event: Any, insights: Any, **rest: Any) -> None:
    """In the place of the framework's own answer to an event of a CustomResourceDefinition: the same, and for those
    with these names once more until the kind is known, or it is clear that it will not be."""
    await _ask(raw_event=raw_event, insights=insights, **rest)
    crd = raw_event["object"]
    if crd["metadata"]["name"] not in names or raw_event["type"] == "DELETED" or not _is_established(crd):
        return
    for seconds in WAITS:
        if _is_known(crd, insights):
            return
        await asyncio.sleep(seconds)
        # Those that are listed first have no type, and are not asked for without one.
        await _ask(raw_event={"type": "MODIFIED", "object": crd}, insights=insights, **rest)
    if not _is_known(crd, insights):
        logger.warning("%s is installed, but the API server does not serve it", crd["metadata"]["name"])


def _is_established(crd: Mapping[str, Any]) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or ()  # null at first
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _is_known(crd: Mapping[str, Any], insights: Any) -> bool:
    group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
    return any((r.group, r.plural) == (group, plural) for r in insights.watched_resources)
