"""How requests are counted in PromQL: exact differences of counters, from zero where a counter was born.

`increase()` alone is not enough. It takes the first sample of a series as its start, so the errors that make a
series appear, often the first errors of a release, are lost; and it extrapolates, so counts are not counts. Here the
requests of one series in a window are

* its last value in the window minus its value at the start, and 0 for a series that was not there at the start
  though Prometheus was watching its family then;
* where the counter was reset in the window, or Prometheus was not watching before it, what `increase()` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

#: How long before the window a sample may lie and still be the value at its start. Bridges failed scrapes.
_LOOKBACK: Final = "5m"


@dataclass(frozen=True, slots=True)
class Series:
    """Counters: a metric, the matchers that pick some of its series, and those that pick their whole family."""

    metric: str
    matchers: tuple[str, ...]
    #: Matchers of every series of the service, of whatever release. If one of them was there before the window,
    #: Prometheus was watching, and a series that was not there did not exist.
    family: tuple[str, ...]

    def where(self, *matchers: str) -> Series:
        """The series that also match these."""
        return Series(self.metric, (*self.matchers, *matchers), self.family)

    @property
    def selector(self) -> str:
        """Instant selector of the series."""
        return f"{self.metric}{{{','.join(self.matchers)}}}"

    @property
    def family_selector(self) -> str:
        """Instant selector of the family."""
        return f"{self.metric}{{{','.join(self.family)}}}"


class Start(Enum):
    """Which sample a series is counted from."""

    #: The last one before the window: windows that follow each other leave no request out.
    BEFORE = "before"
    #: The first one inside: nothing that happened before the window is in.
    INSIDE = "inside"


def counted(series: Series, window_seconds: int, start: Start) -> str:
    """Requests in the window, one sample a series, without the metric's name."""
    own, window = series.selector, f"{window_seconds}s"
    last = f"last_over_time({own}[{window}])"
    before = f"last_over_time({own}[{_LOOKBACK}] offset {window})"
    known = before if start is Start.BEFORE else f"min_over_time({own}[{window}]) and {before}"
    watched = f"last_over_time({series.family_selector}[{_LOOKBACK}] offset {window})"
    return (
        f"(({last} - ({known} or {last} * 0 and on() {watched}) and resets({own}[{window}]) == 0) >= 0"
        f" or increase({own}[{window}]))"
    )


def total(series: Series, window_seconds: int, start: Start) -> str:
    """Requests of all the series together; no sample when none of them exists."""
    return f"sum({counted(series, window_seconds, start)})"


def total_or_zero(series: Series, present: Series, window_seconds: int, start: Start) -> str:
    """The same, and 0 when only `present` has series: what never happened was counted, and is 0."""
    zero = f"sum(last_over_time({present.selector}[{window_seconds}s])) * 0"
    return f"({total(series, window_seconds, start)} or {zero})"


def by_bucket(series: Series, window_seconds: int, start: Start) -> str:
    """Requests by histogram bucket `le`."""
    return f"sum by (le) ({counted(series, window_seconds, start)})"
