"""The example objects under `valid/` and `invalid/`, and what their headers say of them.

An invalid example opens with comments:

    # expect: part of the API server's message
    # at: the field that it names, as in spec.rollout.stages
    # also: part of a second message, where one mistake breaks two rules
    # offline: why `kubectl sophia lint` cannot find it (only where that is so)

All its documents but the last are accepted; the last one is refused, for this cause alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from sophia_operator.cli.yaml_source import read_documents

FOLDER: Final = Path(__file__).parent
_HEADERS: Final = ("expect", "at", "also", "offline")


@dataclass(frozen=True)
class Example:
    path: Path
    documents: list[dict[str, Any]] = field(hash=False)
    expect: str = ""
    at: str = ""
    also: str = ""
    offline: str = ""

    def __str__(self) -> str:
        return self.path.stem


@cache
def examples(kind: str) -> tuple[Example, ...]:
    """The examples in the folder `valid` or `invalid`, by file name."""
    return tuple(_read(path) for path in sorted((FOLDER / kind).glob("*.yaml")))


def _read(path: Path) -> Example:
    text = path.read_text()
    headers: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        name, colon, value = line.removeprefix("# ").partition(": ")
        if colon and name in _HEADERS:
            headers[name] = value.strip()
    # Read as users' files are, so that times stay text.
    documents = [document.value for document in read_documents(text)]
    return Example(path, documents, **headers)


def rule_messages(schema: Mapping[str, Any]) -> Iterator[str]:
    """The messages of all CEL rules in a schema."""
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    for child in schema.get("properties", {}).values():
        yield from rule_messages(child)
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield from rule_messages(schema[keyword])
