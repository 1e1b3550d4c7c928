"""`kubectl sophia cache`: cache tiers, and their flushes."""

from __future__ import annotations

from typing import Annotated

import typer

from sophia_operator.cli import caches, flushes
from sophia_operator.cli.objects import parse_tier
from sophia_operator.cli.options import confirm, with_session
from sophia_operator.cli.session import Session
from sophia_operator.cli.showing import show_all, show_one

app = typer.Typer(
    name="cache",
    help="Cache tiers: list, show and flush them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the CacheTier.", show_default=False)]


@app.command(name="list")
@with_session
def list_(
    session: Session,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="In every namespace.")] = False,
) -> None:
    """List tiers: level, health, memory, hits."""
    api = session.api()
    found = api.tiers(everywhere=everywhere)
    show_all(session, api, "CacheTier", found, parse=parse_tier, listed=caches.listed, everywhere=everywhere)


@app.command(short_help="Show a tier.")
@with_session
def status(session: Session, name: Name) -> None:
    """Show a tier: nodes, namespaces, score, flushes, warm-ups, changes of the primary.

    Exit code 1 when clients of that tier are not served, or something waits for a person.
    """
    obj = session.api().tier(name)
    seen = parse_tier(obj)
    show_one(session, "tier", obj, seen, caches.draw, healthy=caches.is_healthy(seen))


@app.command(short_help="Take entries away, at a pace.")
@with_session
def flush(
    session: Session,
    name: Name,
    *,
    namespace_name: Annotated[
        str | None,
        typer.Option("--namespace-name", metavar="NAME", help="A namespace of the cache.", show_default=False),
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", help="What has that tag.", show_default=False)
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", metavar="PATTERN", help="Keys that match, as in emb:*:doc-1*.", show_default=False),
    ] = None,
    generation: Annotated[
        str | None,
        typer.Option("--generation", metavar="G", help="An old generation, as in g1 or g1r7.", show_default=False),
    ] = None,
    flush_all: Annotated[
        str | None,
        typer.Option("--flush-all", metavar="NAME", help="Everything; NAME is the tier's again.", show_default=False),
    ] = None,
    instant: Annotated[
        bool, typer.Option("--instant", help="At once, by a new generation: of --namespace-name or --tag.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option("--rate", metavar="N", min=1, help="Most keys in a second.", show_default=False)
    ] = None,
    flush_name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the flush; by the time if absent.", show_default=False),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the flush that is under way.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take entries away, at a pace that the origin bears: exactly one of the options that say which.

    With --instant nobody reads them from then on. `status` shows how far it is; --stop ends it where it is.
    """
    scope = {
        "namespaceName": namespace_name,
        "tag": tag,
        "pattern": pattern,
        "generation": generation,
        "flushAll": flush_all,
    }
    others = (*scope.values(), rate, flush_name, instant or None)
    if stop and any(value is not None for value in others):
        raise typer.BadParameter("it goes without other options", param_hint="--stop")
    api = session.api()
    tier = parse_tier(api.tier(name))
    if stop:
        order = flushes.stop(tier)
    else:
        order = flushes.begin(tier, session.now(), scope=scope, instant=instant, rate=rate, name=flush_name)
    confirm(order.ask, yes=yes)
    api.patch_tier(name, order.operations)
    if session.as_json:
        session.print_json({"cacheTier": name, "flush": order.name})
    else:
        session.say(f"CacheTier {name}, flush {order.name}: {order.follows}.")
