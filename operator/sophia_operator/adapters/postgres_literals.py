"""Takes out of a statement what people must not read in a status.

pg_stat_statements puts `$1` in place of constants, but not in statements such as CREATE USER ... PASSWORD '...' or
CREATE SUBSCRIPTION ... CONNECTION '...', and not always in others.
"""

from __future__ import annotations

import re
from typing import Final

#: What is cut off in its middle goes on to the end. A comment, or the name of a column, may hold a quotation mark. Of
#: comments within comments nobody has to know where they end: all that follows is taken for one.
_PARTS: Final = re.compile(
    r"""
      (?P<name>    "(?:[^"]|"")*(?:"|\Z) )
    | (?P<comment> --[^\n]* | /\*(?:(?!/\*|\*/).)*(?:\*/|\Z) | /\*.*\Z )
    | (?P<text>    (?<!\w)[eE]'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)
                 | '(?:[^']|'')*(?:'|\Z)
                 | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z) )
    """,
    re.DOTALL | re.VERBOSE,
)
#: Numbers, but not those in names, and not the parameters that stand in place of a value.
_NUMBERS: Final = re.compile(r"(?<![\w$.\"])(?:\d[\w.]*|\.\d\w*)(?:(?<=[eE])[+-]\d+)?")
_BACKSLASHED: Final = "\\'"


def without_values(statement: str) -> str:
    """The same for a statement that nobody has put `$1` into yet: without numbers, too."""
    if _BACKSLASHED in statement:
        # With standard_conforming_strings off, a text goes on behind such a mark: what follows is not to be trusted.
        first = statement.index("'")
        return without_values(statement[:first]) + "'…'"
    parts = re.split(r'("(?:[^"]|"")*(?:"|\Z))', without_literals(statement))
    return "".join(part if part.startswith('"') else _NUMBERS.sub("…", part) for part in parts)


def without_literals(statement: str) -> str:
    """The statement with dots for each text in it, and without its comments."""
    return _PARTS.sub(_in_place_of, statement)


def _in_place_of(found: re.Match[str]) -> str:
    if found["name"] is not None:
        return found["name"]
    return " " if found["comment"] is not None else "'…'"
