"""Patterns of keys with the meaning that Redis gives them (`SCAN MATCH`), byte for byte.

`*` is any number of bytes, `?` is one, `[a-c]` is one of those, `[^a-c]` one of all others, and a backslash takes the
meaning from what follows. A class that is not closed ends with the pattern. Bytes are ordered from 0 to 255; where
Redis is built with signed characters, it orders those above 127 before all others, which only a range of both shows.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_ANY: Final = frozenset(range(256))
_STAR: Final = None
#: The bytes that fit one place of a pattern, or _STAR.
_Token = frozenset[int] | None

_ASTERISK, _QUESTION, _OPEN, _CLOSE, _ESCAPE, _CARET, _DASH = b"*?[]\\^-"


def matches(pattern: str, key: str | bytes) -> bool:
    """Whether the key matches the pattern."""
    return _compiled(pattern).matches(key.encode() if isinstance(key, str) else key)


def head(pattern: str) -> str:
    """What every key that matches begins with: the pattern as far as each of its places allows one byte only."""
    literal = bytearray()
    for token in _tokens(pattern.encode()):
        if token is _STAR or len(token) != 1:
            break
        literal.extend(token)
    # A place inside of a character that several bytes make up cannot be told as text.
    return literal.decode(errors="ignore")


class _Glob:
    """A pattern, ready to match. Between two stars each part has a length of its own, so the first place that fits is
    as good as any other, and the time grows with the key's length but never explodes."""

    def __init__(self, pattern: bytes) -> None:
        parts: list[list[frozenset[int]]] = [[]]
        for token in _tokens(pattern):
            if token is _STAR:
                parts.append([])
            else:
                parts[-1].append(token)
        self._lengths = [len(part) for part in parts]
        self._parts = [re.compile(b"".join(map(_one_of, part)), re.DOTALL) for part in parts]

    def matches(self, key: bytes) -> bool:
        if len(self._parts) == 1:
            return self._parts[0].fullmatch(key) is not None
        if len(key) < sum(self._lengths) or not self._parts[0].match(key):
            return False
        at, end = self._lengths[0], len(key) - self._lengths[-1]
        for part in self._parts[1:-1]:
            found = part.search(key, at, end)
            if found is None:
                return False
            at = found.end()
        return self._parts[-1].match(key, end) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> _Glob:
    return _Glob(pattern.encode())


def _one_of(values: frozenset[int]) -> bytes:
    if values == _ANY:
        return b"."
    if not values:
        return b"(?!)"
    return b"[" + b"".join(b"\\x%02x" % value for value in sorted(values)) + b"]"


def _tokens(pattern: bytes) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(pattern):
        byte = pattern[at]
        at += 1
        if byte == _ASTERISK:
            found.append(_STAR)
        elif byte == _QUESTION:
            found.append(_ANY)
        elif byte == _OPEN:
            token, at = _class(pattern, at)
            found.append(token)
        else:
            if byte == _ESCAPE and at < len(pattern):
                byte = pattern[at]
                at += 1
            found.append(frozenset({byte}))
    return found


def _class(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """The class that begins at `at`, after its bracket, and where it ends."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    values: set[int] = set()
    while at < len(pattern) and pattern[at] != _CLOSE:
        if pattern[at] == _ESCAPE and at + 1 < len(pattern):
            values.add(pattern[at + 1])
            at += 2
        elif at + 2 < len(pattern) and pattern[at + 1] == _DASH:
            first, last = sorted((pattern[at], pattern[at + 2]))
            values.update(range(first, last + 1))
            at += 3
        else:
            values.add(pattern[at])
            at += 1
    return frozenset(_ANY - values if negated else values), at + 1
