"""Patterns of the keys that a flush takes away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from sophia_operator.api.cache_tier import CacheNamespace
from sophia_operator.api.cache_tier_rules import SEPARATOR
from sophia_operator.core.cache.glob import head

_SPECIAL: Final = re.compile(r"([*?\[\]\\^-])")


def escaped(text: str) -> str:
    """A pattern that matches this text and nothing else. A dash means something in brackets alone, so it stays."""
    return _SPECIAL.sub(lambda m: m[1] if m[1] in "^-]" else "\\" + m[1], text)


def beginning(prefix: str) -> str:
    """What every key of a namespace of that prefix begins with."""
    return prefix + SEPARATOR


def of_namespace(prefix: str) -> str:
    """All keys of a namespace, of every generation."""
    return f"{escaped(beginning(prefix))}*"


def of_generation(prefix: str, generation: str) -> str:
    """Keys of one generation, of a release or of none: `g1` is neither `g10` nor `g1r7`."""
    return f"{escaped(beginning(prefix) + beginning(generation))}*"


def older_than(prefix: str, number: int) -> tuple[str, ...]:
    """Keys of all generations before that number, those of releases too: a pattern for each form that a lower number
    can have, as in `g[1-9]`, `g1[0-1]` for those below 12."""
    start = escaped(beginning(prefix))
    return tuple(f"{start}g{digits}[:r]*" for digits in _below(number))


def just_before(prefix: str, number: int) -> str:
    """Keys of the generation before that number, those of releases too."""
    return f"{escaped(beginning(prefix))}g{number - 1}[:r]*"


def owner(pattern: str, namespaces: Iterable[CacheNamespace]) -> CacheNamespace | None:
    """The namespace that every key of that pattern is of, by what the pattern begins with; None: of none, or of
    several. Where prefixes overlap, a key is of the namespace with the longest."""
    start, known = head(pattern), tuple(namespaces)
    own = max((n for n in known if start.startswith(beginning(n.prefix))), key=lambda n: len(n.prefix), default=None)
    return None if own is None or any(n is not own for n in touched(start, own, known)) else own


def touched(start: str, own: CacheNamespace, namespaces: Sequence[CacheNamespace]) -> tuple[CacheNamespace, ...]:
    """Namespaces within `own` that keys with that beginning can be of, besides `own` itself."""
    return tuple(
        n for n in namespaces if n is not own and len(n.prefix) > len(own.prefix) and _meet(start, beginning(n.prefix))
    )


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _below(number: int) -> list[str]:
    """Patterns of digits: together they match every number from 1 to below `number`, and no other."""
    text = str(number)
    found = ["[1-9]" + "[0-9]" * more for more in range(len(text) - 1)]
    for at, digit in enumerate(text):
        lowest, highest = (1 if at == 0 else 0), int(digit) - 1
        if lowest <= highest:
            found.append(text[:at] + _digits(lowest, highest) + "[0-9]" * (len(text) - at - 1))
    return found


def _digits(lowest: int, highest: int) -> str:
    return str(lowest) if lowest == highest else f"[{lowest}-{highest}]"
