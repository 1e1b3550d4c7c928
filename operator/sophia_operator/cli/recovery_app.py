"""`kubectl sophia recover`, `recovery` and `incidents`: ask for an act, see what is decided, answer, and say stop."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from sophia_operator.cli import incidents as memory
from sophia_operator.cli import recoveries, recovery_orders, tables
from sophia_operator.cli.objects import parse_action, parse_policy
from sophia_operator.cli.options import confirm, with_session
from sophia_operator.cli.recovery_orders import Change, Wish
from sophia_operator.cli.session import Api, CliError, Exit, Session
from sophia_operator.cli.showing import show_all, show_one

app = typer.Typer(
    name="recovery",
    help="Recovery: what is wrong, what is done about it and why not; approve, reject, pause.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ActionName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the RecoveryAction.", show_default=False)]
PolicyName = Annotated[str, typer.Argument(metavar="POLICY", help="Name of the RecoveryPolicy.", show_default=False)]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="In every namespace.")]
#: Between two looks at an action that is waited for.
_LOOK_SECONDS: Final = 1.0


@app.command(name="list")
@with_session
def list_(session: Session, everywhere: Everywhere = False) -> None:
    """List acts of recovery, the newest first: on what, why, what came of it."""
    api = session.api()
    found = api.actions(everywhere=everywhere)
    show_all(
        session, api, "RecoveryAction", found, parse=parse_action, listed=recoveries.actions, everywhere=everywhere
    )


@app.command(short_help="List policies: what they select, what is wrong, whether they act.")
@with_session
def policies(session: Session, everywhere: Everywhere = False) -> None:
    """List policies: what they select, how much of it shows symptoms, storms, who asked for a pause."""
    api = session.api()
    found = api.policies(everywhere=everywhere)
    show_all(
        session, api, "RecoveryPolicy", found, parse=parse_policy, listed=recoveries.policies, everywhere=everywhere
    )


@app.command(short_help="Show an act: why, what was done, whether it helped.")
@with_session
def status(session: Session, name: ActionName) -> None:
    """Show an act: why, who asked, what exactly was done, what was seen before and after.

    Exit code 1 when it waits for a person, failed, was refused, or must be looked at.
    """
    obj = session.api().action(name)
    seen = parse_action(obj)
    show_one(session, "action", obj, seen, recoveries.draw_action, healthy=recoveries.action_is_well(seen))


@app.command(short_help="Say what a policy sees, and why it does not act.")
@with_session
def explain(session: Session, name: PolicyName) -> None:
    """Show what a policy sees: each symptom, what was decided about it, why nothing is done now, and what comes next.

    Exit code 1 when a storm is on, something was given up, or the policy waits for a person.
    """
    obj = session.api().policy(name)
    seen = parse_policy(obj)
    show_one(session, "policy", obj, seen, recoveries.draw_policy, healthy=recoveries.policy_is_well(seen))


@app.command(short_help="Allow an act that waits for a person.")
@with_session
def approve(session: Session, name: ActionName) -> None:
    """Allow an act that waits for a person. Needs the verb `approve` on recoveryactions."""
    _answer(session, name, yes=True)


@app.command(short_help="Say no to an act that waits for a person.")
@with_session
def reject(session: Session, name: ActionName) -> None:
    """Say no to an act that waits for a person. Needs the verb `approve` on recoveryactions."""
    _answer(session, name, yes=False)


@app.command(short_help="Stop a policy from acting.")
@with_session
def pause(
    session: Session,
    name: PolicyName,
    why: Annotated[str, typer.Option("--why", help="Why, for those who read it later.", show_default=False)],
    seconds: Annotated[
        int | None,
        typer.Option("--for", metavar="SECONDS", min=1, help="End by itself after so long.", show_default=False),
    ] = None,
) -> None:
    """Stop a policy from acting, at once: adds a request in your name. Acts that were claimed go on to their end."""
    api = session.api()
    change = recovery_orders.paused(parse_policy(api.policy(name)), api.user(), why, seconds, session.now())
    _change_policy(session, api, name, change)


@app.command(short_help="Let a policy act again.")
@with_session
def resume(
    session: Session,
    name: PolicyName,
    everybody: Annotated[bool, typer.Option("--all", help="Take back the requests of others too.")] = False,
) -> None:
    """Take your pause request back; the policy acts again once nobody asks for a pause."""
    api = session.api()
    change = recovery_orders.resumed(parse_policy(api.policy(name)), api.user(), everybody=everybody)
    _change_policy(session, api, name, change)


@with_session
def recover(
    session: Session,
    target: Annotated[
        str, typer.Argument(metavar="KIND/NAME", help="The object, as in pool/orders.", show_default=False)
    ],
    *,
    action: Annotated[
        str, typer.Option("--action", "-a", metavar="ACTION", help="What is done, as in Reconnect.", show_default=False)
    ],
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of it.", show_default=False),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why, for those who read it later.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Pass the budget, the cool-down, the breaker and the floor.")
    ] = False,
    override_reason: Annotated[
        str | None,
        typer.Option(
            "--override-reason",
            metavar="TEXT",
            help="With --force: pass also a storm and the interlock with releases, for this reason.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is over.")] = False,
    timeout: Annotated[
        int | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=1, help="With --wait: give up after so long.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Ask for one act of recovery, with the guard rails of the policies that select the object.

    It leaves a RecoveryAction behind that tells what was done and whether it helped. With --wait, exit code 1 when it
    did not end well.
    """
    if timeout is not None and not wait:
        raise typer.BadParameter("it goes with --wait", param_hint="--timeout")
    api = session.api()
    wish = Wish(target, action, tuple(parameters or ()), reason, dry_run, force, override_reason)
    obj = recovery_orders.made(wish, api.namespace, api.user(), session.now())
    confirm(recovery_orders.question(obj), yes=yes)
    created = api.create_action(obj)
    name = str(created["metadata"]["name"])
    if wait:
        _wait(session, api, name, timeout)
    if session.as_json:
        session.print_json(created)
        return
    session.say(f"RecoveryAction {name} is made.")
    session.say(f"See it: kubectl sophia recovery status {name} -n {api.namespace}")


@with_session
def incidents(
    session: Session,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only of that kind, as in pool.", show_default=False)
    ] = None,
    symptom: Annotated[
        str | None, typer.Option("--symptom", metavar="SYMPTOM", help="Only of that symptom.", show_default=False)
    ] = None,
    everywhere: Everywhere = False,
) -> None:
    """Show what was tried for each symptom and what helped, from the acts that are still there."""
    chosen = None if kind is None else recovery_orders.KINDS.get(kind.lower())
    if kind is not None and chosen is None:
        raise CliError(f"{kind} is no kind; there are: {', '.join(recovery_orders.KINDS)}")
    wanted = memory.symptom_of(symptom) if symptom is not None else None
    api = session.api()
    lines = memory.remembered([parse_action(o) for o in api.actions(everywhere=everywhere)], chosen, wanted)
    if session.as_json:
        session.print_json(memory.as_json(lines))
    elif not lines:
        session.say("no act of recovery is remembered")
    else:
        tables.show(session.console, memory.drawn(lines))


def _wait(session: Session, api: Api, name: str, timeout: int | None) -> None:
    """Ends the command once the action is over. Raises CliError when that takes too long."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        obj = api.action(name)
        seen = parse_action(obj)
        if seen.status.phase.is_over:
            show_one(session, "action", obj, seen, recoveries.draw_action, healthy=recoveries.action_is_well(seen))
        if end is not None and time.monotonic() > end:
            said = f"{name} is {seen.status.phase.value} after {timeout} s: {seen.status.message}"
            raise CliError(said, Exit.ERROR)
        time.sleep(_LOOK_SECONDS)


def _answer(session: Session, name: str, *, yes: bool) -> None:
    api = session.api()
    change = recovery_orders.answered(parse_action(api.action(name)), api.user(), yes=yes)
    api.patch_action(name, change.operations)
    if session.as_json:
        session.print_json({"recoveryAction": name, "approved": yes})
        return
    session.say(f"RecoveryAction {name} is {'approved' if yes else 'rejected'}: {change.follows}.")


def _change_policy(session: Session, api: Api, name: str, change: Change) -> None:
    api.patch_policy(name, change.operations)
    if session.as_json:
        session.print_json({"recoveryPolicy": name, "pauseRequests": change.operations[-1]["value"]})
        return
    session.say(f"RecoveryPolicy {name}: {change.follows}.")
    if change.owner is not None:
        session.say(f"{change.owner} keeps this object as Git says and will undo it: change Git as well.")
