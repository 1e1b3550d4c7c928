"""The fault that heals itself on the demo's screen: the act as `kubectl sophia recovery status` draws it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.markup import escape

from hack.demo.healing import Healing
from hack.demo.looking import Frame, look_on, step
from hack.rig.api import Json
from hack.rig.recoveries import phase_of
from sophia_operator.cli.objects import parse_action, parse_policy
from sophia_operator.cli.recoveries import draw_action, draw_policy


def watch_healing(console: Console, healing: Healing, over: Callable[[], bool], *, seconds: float) -> None:
    """Show what the policy sees and what is done, until `over` says so. Raises TimeoutError after `seconds`."""

    def look() -> Frame:
        policy, action = healing.policy(), healing.action()
        lines = {"policy": _policy_line(policy), "action": _action_line(action)}
        return Frame(
            {about: line for about, line in lines.items() if line},
            _picture(policy, action),
            # Words of others may look like markup.
            [step(at, escape(words)) for at, words in healing.steps()],
        )

    look_on(console, healing.name, look, over, seconds=seconds)


def _picture(policy: Json | None, action: Json | None) -> RenderableType | None:
    now = datetime.now(UTC)
    if action is not None:
        return draw_action(parse_action(action), now)
    return draw_policy(parse_policy(policy), now) if policy is not None else None


def _policy_line(policy: Json | None) -> str:
    """The policy in a line that changes when its decision does."""
    if policy is None:
        return ""
    found = (policy.get("status") or {}).get("symptoms") or []
    told = ", ".join(f"{s['symptom']} of {s['name']}: {s.get('reason') or 'seen'}" for s in found)
    return f"policy: {told or 'nothing is wrong'}"


def _action_line(action: Json | None) -> str:
    """The act in a line that changes when its phase does."""
    if action is None:
        return ""
    status = action.get("status") or {}
    verified = f", {status['verified']}" if status.get("verified") else ""
    words = f": {status['message']}" if status.get("message") else ""
    return f"act {action['spec']['action']}: {phase_of(action)}{verified}{words}"
