"""What is written down about each request, and how it is judged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

RELEASE_HEADER = "x-sophia-release"
FAULT_HEADER = "x-demo-fault"
_FIRST_ERROR_STATUS = 400


class Outcome(Enum):
    """How one request ended."""

    OK = "ok"
    APP_ERROR = "appError"
    """An error status that the app itself gave: it carries the header that names the release."""
    LOST = "lost"
    """No answer, none in time, or an error status that nobody but the gateway can have made."""


@dataclass(frozen=True, slots=True)
class Record:
    """One request. Times are seconds since the epoch; ``scheduled`` is when it should have been sent.

    ``status`` is 0 and ``error`` says why when there was no answer. ``release`` is None when the answer had no such
    header. ``fresh`` tells whether it had a connection of its own, ``repeated`` whether it was sent a second time,
    because a kept connection turned out to be closed before it answered anything; the outcome is that of the second.
    """

    scheduled: float
    started: float
    ended: float
    status: int
    release: str | None
    fault: str | None
    error: str | None
    fresh: bool
    repeated: bool

    @property
    def outcome(self) -> Outcome:
        """The verdict."""
        if self.status == 0:
            return Outcome.LOST
        if self.status < _FIRST_ERROR_STATUS:
            return Outcome.OK
        return Outcome.LOST if self.release is None else Outcome.APP_ERROR

    @property
    def latency(self) -> float:
        """Seconds from when it should have been sent to its end: a generator that is held up hides nothing."""
        return self.ended - self.scheduled

    @property
    def reason(self) -> str:
        """Why it was lost, in few words; empty otherwise."""
        if self.outcome is not Outcome.LOST:
            return ""
        return self.error or f"status {self.status} from the gateway"

    def line(self) -> str:
        """Return the line of the log: JSON, with a line end."""
        return (
            json.dumps(
                {
                    "scheduled": round(self.scheduled, 6),
                    "t_start": round(self.started, 6),
                    "t_end": round(self.ended, 6),
                    "outcome": self.outcome.value,
                    "status": self.status,
                    "release": self.release,
                    "fault": self.fault,
                    "error": self.error,
                    "fresh": self.fresh,
                    "repeated": self.repeated,
                }
            )
            + "\n"
        )
