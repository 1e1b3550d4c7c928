"""The models on the demo's screen: the scoreboard as `kubectl sophia model` draws it, and users' books below it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.text import Text

from hack.demo.chat import Chat
from hack.demo.looking import Frame, look_on, step
from hack.load import Report
from hack.rig.api import Json
from hack.rig.models import shares_of
from hack.rig.told import condition_of
from sophia_operator.cli.models import draw as draw_route
from sophia_operator.cli.objects import parse_route


def watch_models(console: Console, chat: Chat, over: Callable[[], bool], *, seconds: float) -> None:
    """Show the route, and what is done to its models, until `over` says so. Raises TimeoutError after `seconds`."""

    def look() -> Frame:
        found = chat.object()
        lines = {chat.name: _route_line(chat.name, found), **_model_lines(found or {})}
        picture = None if found is None else Group(_scoreboard(found), _users(chat.report()))
        # Words of others may look like markup.
        return Frame(lines, picture, [step(at, escape(words)) for at, words in chat.steps()])

    look_on(console, chat.name, look, over, seconds=seconds)


def scoreboard(console: Console, chat: Chat) -> None:
    """Print the scoreboard as it is now, where `watch_models` prints lines alone."""
    found = chat.object()
    if found is not None and not console.is_terminal:
        console.print(_scoreboard(found))


def _scoreboard(found: Json) -> RenderableType:
    return draw_route(parse_route(found), datetime.now(UTC))


def _route_line(name: str, found: Json | None) -> str:
    """The route in a line that changes when its state does, not with every figure."""
    status: Json = (found or {}).get("status") or {}
    ready = condition_of(found or {}, "Ready")
    if ready is None:
        return f"route {name}: the operator has not looked at it yet"
    going = status.get("switch")
    if going is not None:
        return f"route {name} {going['kind']}, {going['phase']}: {going['percent']} % of the requests to {going['to']}"
    return f"route {name} {ready['reason']}: {status.get('active') or 'no model'} serves"


def _model_lines(found: Json) -> dict[str, str]:
    """Each model in a line: how it is, and its share."""
    rows, shares = (found.get("status") or {}).get("models") or [], shares_of(found)
    return {
        row[
            "name"
        ]: f"model {row['name']}: {row['state']}, rank {row.get('rank') or '-'}, {shares.get(row['name'], 0)} %"
        for row in rows
    }


def _users(report: Report | None) -> Text:
    if report is None:
        return Text("  users of the models: none yet")
    failed = report.lost + report.app_errors
    words = (f"{failed} failed", "green" if failed == 0 else "yellow")
    by = ", ".join(f"{count} by {name}" for name, count in report.releases.items())
    return Text.assemble(f"  users of the models: {report.sent} requests sent, ", words, f"; answers: {by or 'none'}")
