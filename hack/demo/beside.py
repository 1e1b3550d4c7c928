"""Work that goes on beside the main thread, which looks on meanwhile and is the one that signals reach."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """Does the work in a thread of its own, which keeps no process from ending."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, daemon=True, name=name).start()

    @property
    def is_done(self) -> bool:
        """Whether it ended, well or not."""
        return self._future.done()

    def result(self) -> T:
        """What came of it, once it ended; raises what it raised."""
        return self._future.result()

    def _run(self) -> None:
        try:
            self._future.set_result(self._work())
        except BaseException as error:
            # It is raised again where somebody asks for the result.
            self._future.set_exception(error)


def has_ended(work: Beside[None] | None) -> bool:
    """Whether it was begun and ended. Raises what kept it from ending well."""
    if work is None or not work.is_done:
        return False
    work.result()
    return True
