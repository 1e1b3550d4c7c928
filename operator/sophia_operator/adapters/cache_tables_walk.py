"""Where a flush stands in a table: which ranges of keys it looks at, in order, and how its cursor is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sophia_operator.core.cache import glob

#: The first is for a walk that found every row unlocked so far.
_CLEAN, _MISSED = "+", "-"
_CURSOR: Final = re.compile(r"([+-])([0-9]{1,18}):(.*)", re.DOTALL)
#: No text has characters of these.
_SURROGATES: Final = range(0xD800, 0xE000)
_LAST: Final = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Position:
    """After which key it goes on, and whether it left rows behind that were locked. Once it is through, it begins
    anew for those. `part` counts: so no two parts have the same cursor, which tells what they did apart."""

    key: str = ""
    missed: bool = False
    part: int = 0

    @staticmethod
    def of(cursor: str) -> Position:
        """Read a cursor. Raises ValueError."""
        if not cursor:
            return Position()
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise ValueError("the cursor is not one of a table")
        return Position(found[3], found[1] == _MISSED, int(found[2]))

    @property
    def cursor(self) -> str:
        """Write it."""
        return f"{_MISSED if self.missed else _CLEAN}{self.part}:{self.key}"


@dataclass(frozen=True, slots=True)
class Range:
    """Keys from `first` on, and before `end`."""

    first: str
    end: str


def ranges(patterns: Iterable[str], allowed: Sequence[str]) -> list[Range]:
    """Ranges of all keys that match one of the patterns and begin with one of `allowed`, in order; none overlaps."""
    starts: set[str] = set()
    for pattern in patterns:
        head = glob.head(pattern)
        for prefix in allowed:
            if head.startswith(prefix) or prefix.startswith(head):
                starts.add(max(head, prefix, key=len))
    outer = [s for s in starts if not any(s != other and s.startswith(other) for other in starts)]
    return [Range(start, after(start)) for start in sorted(outer)]


def after(start: str) -> str:
    """The least text that is greater than every text with that beginning."""
    for at in range(len(start) - 1, -1, -1):
        code = ord(start[at]) + 1
        if code in _SURROGATES:
            code = _SURROGATES.stop
        if code <= _LAST:
            return start[:at] + chr(code)
    raise ValueError("every key begins with nothing")


def wanted(keys: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Those of the keys that match one of the patterns."""
    return [key for key in keys if any(glob.matches(pattern, key) for pattern in patterns)]
