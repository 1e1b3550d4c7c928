"""The global options, which every command takes, before or after its name; questions, and errors as exit codes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from sophia_operator.cli.session import CliError, NothingToDoError, Session

_PANEL: Final = "Global options"
P = ParamSpec("P")


class Output(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


def _globals(
    *,
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help="Namespace; the context's own when absent.", rich_help_panel=_PANEL),
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig.", rich_help_panel=_PANEL)
    ] = None,
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            "--kubeconfig",
            metavar="FILE",
            help="The kubeconfig; $KUBECONFIG or ~/.kube/config when absent.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    output: Annotated[
        Output | None, typer.Option("-o", "--output", help="How to print.", rich_help_panel=_PANEL)
    ] = None,
) -> dict[str, str | None]:
    """The options themselves: their names are those of the session's fields."""
    return {"namespace": namespace, "context": context, "kubeconfig": kubeconfig, "output": output}


_GLOBALS: Final = tuple(inspect.signature(_globals, eval_str=True).parameters.values())


def with_session(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """A command for typer out of a function that starts with the session.

    The command has the function's own parameters and the global options; a CliError becomes one line and its exit code.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    here = inspect.Parameter("_context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [here, *own, *_GLOBALS]

    @wraps(function)
    def command(**arguments: Any) -> None:
        session = _session_of(arguments.pop("_context"))
        for name, value in _globals(**{g.name: arguments.pop(g.name) for g in _GLOBALS}).items():
            if value is not None:
                setattr(session, name, str(value))
        try:
            function(session, **arguments)  # type: ignore[call-arg]
        except CliError as error:
            print(f"error: {error.message}", file=sys.stderr)
            raise typer.Exit(error.code) from error

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def confirm(question: str | None, *, yes: bool) -> None:
    """Ask, unless there is no question or `--yes` answered it. Raises NothingToDoError when the answer is no."""
    if question is None or yes:
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise NothingToDoError("not confirmed (--yes does it without asking); nothing was changed")


def _session_of(context: typer.Context) -> Session:
    """The session of this run; made with defaults when nobody gave one."""
    root = context.find_root()
    if root.obj is None:
        root.obj = Session()
    assert isinstance(root.obj, Session)
    return root.obj
