"""`kubectl sophia`: see rollouts, understand them, steer them."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Final

import typer

from sophia_operator.api.release import Intent
from sophia_operator.cli import cache_app, live, model_app, pools, recovery_app, steer, tables
from sophia_operator.cli import lint as linter
from sophia_operator.cli.objects import parse_pool, parse_release, parse_service
from sophia_operator.cli.options import confirm, with_session
from sophia_operator.cli.picture import draw
from sophia_operator.cli.session import Api, Session
from sophia_operator.cli.showing import exit_code, show_all, show_one, show_words
from sophia_operator.core.explain import explain as explained
from sophia_operator.core.situation import Situation, situate

_EPILOG: Final = (
    "Exit codes: 0 all is well; 1 the answer is bad (users not served, something waits for a person, lint found "
    "mistakes) or there was nothing to do; 2 wrong usage, not found, --timeout ran out, or the API server refused or "
    "did not answer."
)

app = typer.Typer(
    name="kubectl-sophia",
    help="See, understand and steer the rollouts of sophia-operator.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print values of variables, tokens among them
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(cache_app.app)
app.add_typer(model_app.app)
app.add_typer(recovery_app.app)
app.command(short_help="Ask for one act of recovery.")(recovery_app.recover)
app.command(short_help="Show what was tried, and what helped.")(recovery_app.incidents)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the ManagedService.", show_default=False)]
Reason = Annotated[
    str | None, typer.Option("--reason", "-r", help="Why, for those who read it later.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"kubectl-sophia {version_of('sophia-operator')}")
        raise typer.Exit


@app.callback()
@with_session
def root(
    _: Session,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """See, understand and steer the rollouts of sophia-operator."""


@app.command()
@with_session
def get(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Only this ManagedService.", show_default=False)
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="In every namespace.")] = False,
) -> None:
    """List services: what serves, what rolls out."""
    api = session.api()
    if name is not None and session.as_json:
        session.print_json(api.service(name))
        return
    found = [api.service(name)] if name is not None else api.services(everywhere=everywhere)
    show_all(session, api, "ManagedService", found, parse=parse_service, listed=tables.services, everywhere=everywhere)


@app.command(short_help="Show a rollout, or follow it with --watch.")
@with_session
def status(
    session: Session,
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it, until Ctrl-C.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it, until it is over or waits for a person.")] = False,
    timeout: Annotated[
        int | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=1, help="With --wait: give up after so long.", show_default=False
        ),
    ] = None,
) -> None:
    """Show a rollout: stages, weights, gates with their numbers, time left.

    Exit code 1 when users are not served, or something waits for a person.
    """
    if timeout is not None and not wait:
        raise typer.BadParameter("it goes with --wait", param_hint="--timeout")
    api = session.api()
    if watch or wait:
        raise typer.Exit(live.follow(session, api, live.Following(name, watch, wait, timeout)))
    situation = _look(session, api, name)
    if session.as_json:
        session.print_json(
            {"healthy": situation.is_healthy, "service": api.service(name), "releases": api.releases(name)}
        )
    else:
        session.console.print(draw(situation, session.now(), width=session.console.width))
    raise typer.Exit(exit_code(healthy=situation.is_healthy))


@app.command(short_help="Say in words why it holds or failed.")
@with_session
def explain(session: Session, name: Name) -> None:
    """Say in words why it holds, or why it failed, and what one can do.

    Exit code 1 when users are not served, or something waits for a person.
    """
    situation = _look(session, session.api(), name)
    lines = explained(situation.service, situation.releases, session.now())
    show_words(session, lines, healthy=situation.is_healthy)


@app.command(short_help="List its releases, and how each ended.")
@with_session
def history(session: Session, name: Name) -> None:
    """List the releases of a service, the newest first, with how each ended and why."""
    api = session.api()
    if session.as_json:
        api.service(name)
        session.print_json({"apiVersion": "v1", "kind": "List", "items": api.releases(name)})
        return
    situation = _look(session, api, name)
    if not situation.releases:
        session.say(f"{name} has no releases yet")
        return
    tables.show(session.console, tables.history(situation, session.now()))


@app.command(short_help="Show a connection pool, or list all.")
@with_session
def pool(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the ConnectionPool.", show_default=False)
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="List those of every namespace.")] = False,
) -> None:
    """Show a connection pool: instances, score, budget, reconnects, statements that stand out. Without NAME: list all.

    Exit code 1 when clients of that pool are not served, or something waits for a person.
    """
    if name is not None and everywhere:
        raise typer.BadParameter("it lists pools, and goes without NAME", param_hint="--all-namespaces")
    api = session.api()
    if name is None:
        found = api.pools(everywhere=everywhere)
        show_all(session, api, "ConnectionPool", found, parse=parse_pool, listed=pools.listed, everywhere=everywhere)
        return
    obj = api.pool(name)
    seen = parse_pool(obj)
    show_one(session, "pool", obj, seen, pools.draw, healthy=pools.is_healthy(seen))


@app.command()
@with_session
def pause(session: Session, name: Name, reason: Reason = None) -> None:
    """Hold the rollout where it is."""
    api = session.api()
    _carry_out(session, api, name, steer.pause(_look(session, api, name)), reason)


@app.command()
@with_session
def resume(session: Session, name: Name, reason: Reason = None) -> None:
    """Go on with a rollout that is paused."""
    api = session.api()
    _carry_out(session, api, name, steer.resume(_look(session, api, name)), reason)


@app.command(short_help="Skip the stages that remain.")
@with_session
def promote(session: Session, name: Name, reason: Reason = None) -> None:
    """Skip the stages that remain: all traffic, whatever the gates say."""
    api = session.api()
    _carry_out(session, api, name, steer.promote(_look(session, api, name)), reason)


@app.command(short_help="Stop the rollout: all traffic back, at once.")
@with_session
def abort(session: Session, name: Name, reason: Reason = None) -> None:
    """Stop the rollout: all traffic back to the stable release, at once.

    When the release was promoted a moment ago, and the one before is kept, that one gets all traffic back.
    """
    api = session.api()
    _carry_out(session, api, name, steer.abort(_look(session, api, name)), reason)


@app.command()
@with_session
def retry(session: Session, name: Name, reason: Reason = None) -> None:
    """Start a failed release again, from the beginning."""
    api = session.api()
    _carry_out(session, api, name, steer.retry(_look(session, api, name)), reason)


@app.command(short_help="Go back to an earlier release.")
@with_session
def rollback(
    session: Session,
    name: Name,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", help="Number of the release to go back to.", show_default=False)
    ] = None,
    reason: Reason = None,
    yes: Yes = False,
) -> None:
    """Go back: to the release that is kept, at once; or with --to, roll an older one out again.

    An older release comes back as a new one, through all stages: its template and ports are put into the
    ManagedService.
    """
    api = session.api()
    decided = steer.rollback(_look(session, api, name), to)
    if isinstance(decided, steer.Order):
        confirm(decided.ask, yes=yes)
        _carry_out(session, api, name, decided, reason)
        return
    owner = steer.gitops_owner(api.service(name))
    hint = f" {owner} keeps this object as Git says and will undo it: change Git as well." if owner else ""
    confirm(decided.ask + hint, yes=yes)
    api.patch_service(name, decided.operations)
    if session.as_json:
        session.print_json({"managedService": name, "restored": decided.release})
        return
    session.say(f"ManagedService {name}: {decided.follows}.")
    if hint:
        session.say(hint.strip())
    else:
        session.say("If the ManagedService comes from Git or a file, change it there as well, or it comes back.")


@app.command(short_help="Check files without a cluster.")
@with_session
def lint(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files or folders; - is standard input.")],
) -> None:
    """Check files without a cluster: the same rules as at admission, with line numbers."""
    raise typer.Exit(linter.run(files, "json" if session.as_json else "text"))


def _look(session: Session, api: Api, name: str) -> Situation:
    service = parse_service(api.service(name))
    return situate(service, [parse_release(r) for r in api.releases(name)], session.now())


def _carry_out(session: Session, api: Api, name: str, order: steer.Order, reason: str | None) -> None:
    patch = steer.intent_patch(order, reason, api.user(), session.now())
    api.patch_release(order.release, patch)
    if session.as_json:
        session.print_json({"release": order.release, **patch["spec"]})
        return
    verb = "resumes" if order.intent is Intent.PROCEED else f"is told to {order.intent.value.lower()}"
    session.say(f"Release {order.release} {verb}: {order.follows}.")
    session.say(f"Watch it: kubectl sophia status {name} -n {api.namespace} --watch")
