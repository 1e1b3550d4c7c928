"""Carries out the requests that a pass needs answered, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sophia_operator.core.findings import Findings, Needs, collect
from sophia_operator.ports import Metrics, Requests

_T = TypeVar("_T")


async def undisturbed(
    asked: Coroutine[Any, Any, _T], *, wake: asyncio.Event, outdated: Callable[[], bool]
) -> _T | None:
    """The answer; None when the question was outdated meanwhile, as when somebody changes the spec.

    Wake-ups that do not outdate the question do not disturb it: they are for the next pass.
    """
    work = asyncio.ensure_future(asked)
    woken = False
    try:
        while not work.done():
            waking = asyncio.ensure_future(wake.wait())
            try:
                await asyncio.wait({work, waking}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waking.cancel()
            if wake.is_set() and not work.done():
                if outdated():
                    return None
                woken = True
                wake.clear()
        return work.result()
    finally:
        if woken:
            wake.set()  # what woke is for the next pass
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def ask(
    needs: Needs,
    namespace: str,
    metrics: Metrics,
    requests: Requests,
    *,
    wake: asyncio.Event,
    outdated: Callable[[], bool],
) -> Findings | None:
    """The answers; None when the question was outdated meanwhile, as when somebody aborts the rollout.

    Each request has its own time limit.
    """
    return await undisturbed(_all(needs, namespace, metrics, requests), wake=wake, outdated=outdated)


async def _all(needs: Needs, namespace: str, metrics: Metrics, requests: Requests) -> Findings:
    async with asyncio.TaskGroup() as group:
        queries = [group.create_task(metrics.query(namespace, request)) for request in needs.metrics]
        smoke = [group.create_task(requests.smoke(request)) for request in needs.smoke]
        probe = group.create_task(requests.probe(needs.probe)) if needs.probe is not None else None
    return collect(
        needs,
        [q.result() for q in queries],
        [s.result() for s in smoke],
        probe.result() if probe is not None else None,
    )
