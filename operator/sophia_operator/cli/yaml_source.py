"""Reads YAML as Kubernetes does, and remembers at which line and column each value stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

import yaml

# The parts of a path into a document: names of fields and positions in lists.
Path = tuple[str | int, ...]


# More values than any object that etcd stores can hold: a few aliases can stand for billions.
MAX_VALUES: Final = 500_000
#: Deeper than any schema; what reads nodes into each other would run out of stack, in C without a word.
MAX_DEPTH: Final = 200


@dataclass(frozen=True)
class Position:
    """A place in a file; both count from 1, as editors do."""

    line: int
    column: int


class SourceError(Exception):
    """The text is no YAML that Kubernetes would take. Says where."""

    def __init__(self, position: Position, problem: str) -> None:
        super().__init__(problem)
        self.position = position


@dataclass(frozen=True)
class Document:
    """One document of a file: its value, where each part of it stands, and the keys that are there twice."""

    value: Any
    positions: dict[Path, Position]
    twice: list[Path] = field(default_factory=list)

    def position(self, path: Path) -> Position:
        """Where `path` stands; where it is missing, where the nearest part around it stands."""
        while path not in self.positions:
            path = path[:-1]
        return self.positions[path]

    def within(self, path: Path) -> Document:
        """The part at `path` as a document of its own: an item of a List."""
        value = self.value
        for part in path:
            value = value[part]
        size = len(path)
        return Document(
            value,
            {inner[size:]: position for inner, position in self.positions.items() if inner[:size] == path},
            [inner[size:] for inner in self.twice if inner[:size] == path],
        )


def read_documents(text: str) -> Iterator[Document]:
    """Yield the documents of a file that are not empty. Raises `SourceError`."""
    try:
        _check_depth(text)
        for node in yaml.compose_all(text, Loader=_Loader):
            document = Document(None, {(): _position(node.start_mark)})
            value = _Reader(document).read(node, ())
            if value is not None:
                yield Document(value, document.positions, document.twice)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SourceError(_position(mark), f"not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise SourceError(Position(1, 1), f"not valid YAML: {error}") from error


#: The parser in C is five times as fast as the one in Python; a build of PyYAML may lack it.
_Safe: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # one of two classes
    """Leaves times as the text they are: JSON, which the API speaks, has no times."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own form
        first: [pair for pair in resolvers if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _check_depth(text: str) -> None:
    depth = 0
    # What is no YAML is told by those who read it, after what stands before it.
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise SourceError(_position(event.start_mark), f"not valid here: nested more than {MAX_DEPTH} deep")


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._constructor = yaml.constructor.SafeConstructor()
        self._open: list[yaml.Node] = []
        self._left = MAX_VALUES

    def read(self, node: yaml.Node, path: Path) -> Any:
        """The plain value of a node; fills in the document's positions on the way."""
        self._left -= 1
        if self._left < 0:
            raise SourceError(_position(node.start_mark), "not valid here: too large once its aliases are followed")
        if any(node is outer for outer in self._open):
            raise SourceError(_position(node.start_mark), "not valid here: an alias that holds itself")
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node.value, path)
            return self._scalar(node)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        written = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        self._constructor.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise SourceError(_position(key_node.start_mark), "not valid here: a key must be a word")
            key = str(key_node.value)
            inner = (*path, key)
            # Merged keys come first and give way to written ones: only those written twice are a mistake.
            if key in result and written.count(key) > 1 and inner not in self._document.twice:
                self._document.twice.append(inner)
            self._document.positions[inner] = _position(key_node.start_mark)
            result[key] = self.read(value_node, inner)
        return result

    def _sequence(self, nodes: Sequence[yaml.Node], path: Path) -> list[Any]:
        result = []
        for index, node in enumerate(nodes):
            inner = (*path, index)
            self._document.positions[inner] = _position(node.start_mark)
            result.append(self.read(node, inner))
        return result

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            value = self._constructor.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise SourceError(_position(node.start_mark), f"not valid YAML: {node.value}") from error
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not isfinite(value)):
            raise SourceError(_position(node.start_mark), f"not valid here: JSON cannot hold {node.value}")
        return value


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
