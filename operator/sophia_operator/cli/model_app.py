"""`kubectl sophia model`: model routes, their scoreboards, and the choices that people make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from sophia_operator.api.model_route import ModelRoute
from sophia_operator.cli import model_words, models, pins
from sophia_operator.cli.objects import parse_route
from sophia_operator.cli.options import with_session
from sophia_operator.cli.session import Api, ChangedError, Session
from sophia_operator.cli.showing import show_all, show_one, show_words

#: The operator writes the status while we change the spec.
_TRIES: Final = 5


class _StatusByDefault(TyperGroup):
    """`kubectl sophia model NAME` is `kubectl sophia model status NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            args = ["status", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="model",
    cls=_StatusByDefault,
    help="Model routes: list, show and explain them; pin a model. With a NAME alone: show that route.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the ModelRoute.", show_default=False)]


@app.command(name="list")
@with_session
def list_(
    session: Session,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="In every namespace.")] = False,
) -> None:
    """List routes: which model serves, which is the best, how they are."""
    api = session.api()
    found = api.routes(everywhere=everywhere)
    show_all(session, api, "ModelRoute", found, parse=parse_route, listed=models.listed, everywhere=everywhere)


@app.command(short_help="Show the scoreboard of a route.")
@with_session
def status(session: Session, name: Name) -> None:
    """Show a route: each model's rank, state, score and what that is made of; the switch under way; what was before.

    Exit code 1 when clients are not served by a model that works, or something waits for a person.
    """
    obj = session.api().route(name)
    seen = parse_route(obj)
    show_one(session, "route", obj, seen, models.draw, healthy=models.is_healthy(seen))


@app.command(short_help="Say in words why that model serves.")
@with_session
def explain(session: Session, name: Name) -> None:
    """Say in words why that model serves, and what would have to happen for a change.

    Exit code 1 when clients are not served by a model that works, or something waits for a person.
    """
    seen = parse_route(session.api().route(name))
    show_words(session, model_words.explain(seen, session.now()), healthy=models.is_healthy(seen))


@app.command(short_help="Send all requests to one model, at once.")
@with_session
def pin(
    session: Session,
    name: Name,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model of the route.", show_default=False)],
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why, for those who read it later.", show_default=False)
    ] = None,
) -> None:
    """Send all requests to one model, at once, whatever the evidence says, until `unpin`."""
    api = session.api()
    user = api.user()
    _carry_out(session, api, name, lambda route: pins.pin(route, model, reason, user, session.now()), model)


@app.command(short_help="Let the evidence decide again.")
@with_session
def unpin(session: Session, name: Name) -> None:
    """Let the evidence decide again."""
    api = session.api()
    _carry_out(session, api, name, pins.unpin, None)


def _carry_out(
    session: Session, api: Api, name: str, decide: Callable[[ModelRoute], pins.PinOrder], pinned: str | None
) -> None:
    route = parse_route(api.route(name))
    for left in range(_TRIES - 1, -1, -1):
        order = decide(route)
        try:
            api.patch_route(name, order.operations)
            break
        except ChangedError:
            before, route = route, parse_route(api.route(name))
            # Whoever changed the spec may have decided otherwise: that is for a person to see.
            if not left or route.metadata["generation"] != before.metadata["generation"]:
                raise
    if session.as_json:
        session.print_json({"modelRoute": name, "pin": pinned})
        return
    session.say(f"ModelRoute {name}: {order.follows}.")
    if order.owner is not None:
        session.say(f"{order.owner} keeps this object as Git says and will undo it: change Git as well.")
