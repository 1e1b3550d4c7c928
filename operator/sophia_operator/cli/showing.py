"""How verbs show objects: one of them or all of a kind, as text or JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NoReturn, Protocol, TypeVar

import typer
from rich.console import RenderableType
from rich.table import Table

from sophia_operator.cli import tables
from sophia_operator.cli.session import Api, Exit, Object, Session

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Listed(Protocol[T_contra]):
    """Draws one line for each object."""

    def __call__(self, items: Sequence[T_contra], now: datetime, *, namespaces: bool) -> Table:
        """The table; with `namespaces` each line begins with the object's."""


def show_all(
    session: Session,
    api: Api,
    kind: str,
    found: Sequence[Object],
    *,
    parse: Callable[[Object], T],
    listed: Listed[T],
    everywhere: bool,
) -> None:
    """Show what was found of a kind, or say that there is none."""
    if session.as_json:
        session.print_json({"apiVersion": "v1", "kind": "List", "items": found})
    elif not found:
        session.say(f"no {kind}s {'anywhere' if everywhere else f'in namespace {api.namespace}'}")
    else:
        tables.show(session.console, listed([parse(o) for o in found], session.now(), namespaces=everywhere))


def show_one(
    session: Session,
    what: str,
    obj: Object,
    seen: T,
    draw: Callable[[T, datetime], RenderableType],
    *,
    healthy: bool,
) -> NoReturn:
    """Show an object, which JSON has under the key `what`, and end with the exit code for how it is."""
    if session.as_json:
        session.print_json({"healthy": healthy, what: obj})
    else:
        session.console.print(draw(seen, session.now()))
    raise typer.Exit(exit_code(healthy=healthy))


def show_words(session: Session, lines: Sequence[str], *, healthy: bool) -> NoReturn:
    """Say why an object is as it is, and end with the exit code for that."""
    if session.as_json:
        session.print_json({"healthy": healthy, "explanation": lines})
    else:
        for line in lines:
            session.say(line)
    raise typer.Exit(exit_code(healthy=healthy))


def exit_code(*, healthy: bool) -> Exit:
    """For the answer to how something is."""
    return Exit.OK if healthy else Exit.BAD
