"""Settings of a server that users may give in a field `parameters`, with the values that each takes.

A table is the one source: the validator and the CEL rules of the CRD are made of it, and say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MAX_VALUE_LENGTH: Final = 256
_WHOLE_NUMBER: Final = "^(0|[1-9][0-9]{0,9})$"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be: text of a form and, when there are bounds, a whole number within them."""

    #: Completes "needs".
    needs: str
    pattern: str = _WHOLE_NUMBER
    least: int | None = None
    most: int | None = None

    def takes(self, value: str) -> bool:
        """Whether the value is one."""
        if len(value) > MAX_VALUE_LENGTH or not re.fullmatch(self.pattern, value):
            return False
        return self.least is None or self.most is None or self.least <= int(value) <= self.most

    def rule(self, value: str) -> str:
        """The same in CEL, of the expression `value`."""
        matches = f"{value}.matches('{self.pattern}')"
        if self.least is None or self.most is None:
            return matches
        return f"({matches} && int({value}) >= {self.least} && int({value}) <= {self.most})"


def number(least: int, most: int, unit: str = "") -> Kind:
    """A whole number within bounds."""
    return Kind(f"a whole number{unit} from {least} to {most}", least=least, most=most)


def one_of(*words: str) -> Kind:
    """One of a few words."""
    return Kind(f"one of {', '.join(words)}", f"^({'|'.join(words)})$")


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """What is allowed, what has a field of its own, and what is the operator's."""

    allowed: Mapping[str, Kind]
    #: The field to use, by name.
    fields: Mapping[str, str]
    reserved: frozenset[str]
    #: Completes "the operator sets this itself, since".
    since: str

    def problem(self, parameters: Mapping[str, str]) -> str | None:
        """What is wrong with the first of these that is not right, and what to do; None when all are."""
        for name, value in sorted(parameters.items()):
            if name in self.fields:
                return f"parameters.{name}: use the field {self.fields[name]} instead"
            if name in self.reserved:
                return f"parameters.{name}: the operator sets this itself, since {self.since}; remove it"
            if name not in self.allowed:
                return (
                    f"parameters.{name}: no such setting is allowed, check the spelling; "
                    f"allowed are {', '.join(self.allowed)}"
                )
            if not (kind := self.allowed[name]).takes(value):
                return f"parameters.{name}: needs {kind.needs}, and is {value[:40]!r}"
        return None

    def rules(self) -> Iterator[tuple[str, str]]:
        """CEL rules, each a (rule, message) pair, on the map of parameters.

        They go through the names of the tables, not through those of users: so their cost has a bound.
        """
        reserved = sorted(self.reserved)
        by_field = ", ".join(f"{field} for {name}" for name, field in self.fields.items())
        yield f"!{_any_of(self.fields)}", f"parameters: use these fields instead: {by_field}"
        yield f"!{_any_of(reserved)}", f"parameters: the operator sets these itself, remove them: {', '.join(reserved)}"
        known = _list([*self.allowed, *self.fields, *reserved])
        unknown = f"parameters: only these are allowed, check the spelling: {', '.join(self.allowed)}"
        yield f"{known}.filter(n, n in self).size() == self.size()", unknown
        kinds: dict[Kind, list[str]] = {}
        for name, kind in self.allowed.items():
            kinds.setdefault(kind, []).append(name)
        for kind, names in kinds.items():
            verb = "needs" if len(names) == 1 else "need"
            yield (
                f"{_list(names)}.all(n, !(n in self) || {kind.rule('self[n]')})",
                f"parameters: {', '.join(names)} {verb} {kind.needs}",
            )


def _any_of(names: Mapping[str, str] | list[str]) -> str:
    return f"{_list(names)}.exists(n, n in self)"


def _list(names: Mapping[str, str] | list[str]) -> str:
    return f"[{', '.join(repr(name) for name in names)}]"
