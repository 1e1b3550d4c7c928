"""Takes out of a statement what people must not read in a status.

pg_stat_statements puts `$1` in place of constants, but not in statements such as CREATE USER ... PASSWORD '...' or
CREATE SUBSCRIPTION ... CONNECTION '...', and not always in others.
"""

from __future__ import annotations

import re
from typing import Final

#: What is cut off in its middle goes on to the end. A comment, or the name of a column, may hold a quotation mark.
_PARTS: Final = re.compile(
    r"""
      (?P<name>    "(?:[^"]|"")*(?:"|\Z) )
    | (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<text>    (?<!\w)[eE]'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)
                 | '(?:[^']|'')*(?:'|\Z)
                 | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z) )
    """,
    re.DOTALL | re.VERBOSE,
)


def without_literals(statement: str) -> str:
    """The statement with dots for each text in it, and without its comments."""
    return _PARTS.sub(_in_place_of, statement)


def _in_place_of(found: re.Match[str]) -> str:
    if found["name"] is not None:
        return found["name"]
    return " " if found["comment"] is not None else "'…'"
