"""The body of a daemon: runs a loop until the object is gone or the operator stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import kopf

from sophia_operator.runtime.passes import Passes

#: Time for the pass under way to end when the operator does. It may be cut off anywhere: every order of writes is safe.
_LAST_PASS_SECONDS: Final = 1.5


async def run_loop(loop: Passes, stopped: kopf.DaemonStopped, wake: Callable[[], None]) -> None:
    """Pass after pass. `wake` ends the loop's waiting, so that it sees that it is to stop."""
    passes = asyncio.ensure_future(loop.run(lambda: bool(stopped)))
    stopping = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait({passes, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not passes.done():
            wake()
            await asyncio.wait({passes}, timeout=_LAST_PASS_SECONDS)
    finally:
        for task in (passes, stopping):
            task.cancel()
        await asyncio.gather(passes, stopping, return_exceptions=True)
