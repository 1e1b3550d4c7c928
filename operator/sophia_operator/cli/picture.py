"""The picture of a rollout that `kubectl sophia status` draws."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from sophia_operator.api.conditions import ConditionStatus, ConditionType, find
from sophia_operator.api.release import Color, GateStatus, Intent, Release, ReleaseState, SmokeTestStatus, Verdict
from sophia_operator.cli.sections import section
from sophia_operator.core.situation import Situation, name_of, stage_of, time_left
from sophia_operator.core.words import bound_of, clock, count, span, value_of

TRANSITIONS: Final = 8
_BAR: Final = 24
#: Columns that the table of gates needs to be readable.
_WIDE: Final = 100
_COLORS: Final = {Color.BLUE: "dodger_blue1", Color.GREEN: "green3"}
_VERDICTS: Final = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.INCONCLUSIVE: "yellow"}
_BAD_STATES: Final = frozenset({ReleaseState.ROLLING_BACK, ReleaseState.ROLLED_BACK, ReleaseState.FAILED})


def draw(situation: Situation, now: datetime, *, width: int = 120, footer: str | None = None) -> RenderableType:
    """The whole picture, for so many columns; `footer` is a last line about the picture itself."""
    parts: list[RenderableType] = [_title(situation), _serving(situation, now)]
    release = situation.rollout
    if release is not None:
        parts += [Text(), _headline(situation, release, now)]
        if release.status.state in (ReleaseState.SHIFTING, ReleaseState.ROLLING_BACK) or release.status.stage:
            parts += [Padding(_stages(release, now), (0, 0, 0, 2)), Padding(_weights(release), (0, 0, 0, 2))]
        if release.status.smoke_tests and release.status.stage is None:
            parts += [Text(), _smoke_tests(release)]
        if release.status.gates:
            parts += [Text(), _gates(release, now) if width >= _WIDE else _gates_in_lines(release, now)]
    shown = release or situation.stable
    if shown is not None and shown.status.transitions:
        parts += [Text(), _transitions(shown, now)]
    parts += _remarks(situation)
    if footer:
        parts += [Text(), Text(footer, style="dim")]
    return Group(*parts)


def _title(s: Situation) -> RenderableType:
    gateway = s.service.spec.traffic.gateway
    way = ", ".join(gateway.hostnames) or "every host name" if gateway is not None else "no Gateway"
    title = Text.assemble((s.name, "bold"), (f"  in {s.service.metadata.get('namespace', '')}, {way}", "dim"))
    ready = find(s.service.status.conditions, ConditionType.READY)
    if ready is None or not s.is_seen:
        return Group(title, Text("The operator has not looked at the newest spec yet.", style="yellow"))
    good = ready.status is ConditionStatus.TRUE
    style = "green" if good else "yellow" if s.is_healthy else "bold red"
    return Group(title, Text.assemble(("Ready" if good else ready.reason, style), f": {ready.message}"))


def _serving(s: Situation, now: datetime) -> RenderableType:
    stable, status = s.stable, s.service.status
    if stable is None:
        return Text("Nothing serves yet.")
    share = 100 - (s.rollout.status.weights.written_percent or 0) if s.rollout is not None else 100
    line = Text.assemble(
        (name_of(stable), _color(stable)),
        f" serves{_as(stable)} with {share} % of the traffic, ",
        f"{status.ready_replicas} of {count(status.replicas, 'pod')} ready",
    )
    if s.previous is not None and s.kept_until is not None:
        line.append(f"; {name_of(s.previous)} is kept for {span(s.kept_until - now)}", style="dim")
    return line


def _headline(s: Situation, release: Release, now: datetime) -> RenderableType:
    state = release.status.state
    style = "bold red" if state in _BAD_STATES else "bold"
    line = Text.assemble(
        (name_of(release), _color(release)), " ", (release.status.phase or state.value, style), _as(release)
    )
    since = release.status.state_since
    if since is not None:
        line.append(f", for {span(now - since)}")
    if release.status.attempt > 1:
        line.append(f", attempt {release.status.attempt}")
    outcome = release.status.outcome
    why = release.spec.reason or "no reason given"
    if release.spec.intent is not Intent.PROCEED and (outcome is None or why not in outcome.message):
        line.append(f"\n  {release.spec.intent.value}: {why}", style="yellow")
    pause = release.status.pause
    if pause is not None:
        line.append(f"\n  paused by the operator: {pause.message}", style="yellow")
    if s.service.spec.paused:
        line.append("\n  held by spec.paused of the ManagedService", style="yellow")
    if outcome is not None and outcome.message:
        line.append(f"\n  {outcome.reason}: {outcome.message}", style="red" if state in _BAD_STATES else "")
    return line


def _stages(release: Release, now: datetime) -> RenderableType:
    """All stages in one line, and the time of the one it is at as a bar."""
    plan, at = release.spec.snapshot.plan, release.status.stage
    line = Text("stages  ")
    going = release.status.state is ReleaseState.SHIFTING
    for index, stage in enumerate(plan.stages):
        here = at is not None and index == at.index
        done = at is not None and index < at.index
        mark, style = (
            ("✓", "green") if done else ("▶", "bold") if here and going else ("✗", "red") if here else ("·", "dim")
        )
        line.append(f"{mark} {stage.weight_percent} %", style=style)
        line.append("   " if index < len(plan.stages) - 1 else "")
    found = stage_of(release)
    if found is None or not going:
        return line
    left = time_left(release, now)
    if left is None:
        return Group(line, Text("time    not started: the weight is not yet seen in the traffic", style="yellow"))
    total = found[1].observe_seconds
    full = round(_BAR * min(1.0, max(0.0, 1 - left.total_seconds() / total)))
    bar = Text.assemble("time    ", ("█" * full, "green3"), ("░" * (_BAR - full), "dim"))
    bar.append(f" {span(left)} of {span(total)} left" if left else f" {span(total)} are over")
    return Group(line, bar)


def _weights(release: Release) -> RenderableType:
    w = release.status.weights

    def percent(value: int | None) -> str:
        return "-" if value is None else f"{value} %"

    agree = w.observed_percent is not None and w.written_percent == w.wanted_percent
    line = Text("weight  ")
    line.append(f"{w.wanted_percent} % wanted, {percent(w.written_percent)} written, ")
    line.append(f"{percent(w.observed_percent)} observed", style="" if agree else "yellow")
    if w.message:
        line.append(f"\n        {w.message}", style="dim")
    return line


def _gates(release: Release, now: datetime) -> RenderableType:
    table = section(
        "Gates",
        ("gate", ""),
        ("verdict", ""),
        ("value", "right"),
        ("stable", "right"),
        ("requests", "right"),
        ("failed", "right"),
        ("silent", "right"),
        ("next look", "right"),
        ("why", ""),
    )
    specs = {g.name: g for g in release.spec.snapshot.plan.gates}
    for gate in release.status.gates:
        spec = specs.get(gate.name)
        asked = bound_of(spec)
        table.add_row(
            gate.name + (" (dry run)" if gate.dry_run else ""),
            Text(gate.verdict.value, style=_VERDICTS[gate.verdict]),
            value_of(gate, spec),
            gate.baseline or "-",
            "-" if gate.requests is None else str(gate.requests),
            f"{gate.failures}/{spec.failure_limit}" if spec is not None else str(gate.failures),
            f"{gate.inconclusives}/{spec.inconclusive_limit}" if spec is not None else str(gate.inconclusives),
            _next_look(gate, release, now),
            Text(gate.message or asked, style="dim"),
        )
    return table


def _gates_in_lines(release: Release, now: datetime) -> RenderableType:
    """For a narrow terminal: a line a gate, and why below it."""
    lines = [Text("Gates", style="bold")]
    specs = {g.name: g for g in release.spec.snapshot.plan.gates}
    for gate in release.status.gates:
        spec = specs.get(gate.name)
        line = Text.assemble(gate.name, " ", (gate.verdict.value, _VERDICTS[gate.verdict]))
        line.append(" (dry run)" if gate.dry_run else "")
        line.append("" if gate.value is None else f", {value_of(gate, spec)}")
        line.append("" if gate.requests is None else f" of {count(gate.requests, 'request')}")
        line.append(f", next look {_next_look(gate, release, now)}")
        lines += [line, Text(f"  {gate.message or bound_of(spec)}", style="dim")]
    return Group(*lines)


def _next_look(gate: GateStatus, release: Release, now: datetime) -> str:
    if gate.next_look_at is None or release.status.state is not ReleaseState.SHIFTING:
        return "-"
    ahead = gate.next_look_at - now
    return f"in {span(ahead)}" if ahead.total_seconds() >= 1 else "now"


def _smoke_tests(release: Release) -> RenderableType:
    table = section("Smoke tests", ("test", ""), ("state", ""), ("tries", "right"), ("why", ""))
    specs = {t.name: t for t in release.spec.snapshot.plan.smoke_tests}
    for test in release.status.smoke_tests:
        spec = specs.get(test.name)
        tries = f"{test.attempts}/{spec.attempts}" if spec is not None else str(test.attempts)
        table.add_row(test.name, _smoke_state(test), tries, Text(test.message, style="dim"))
    return table


def _smoke_state(test: SmokeTestStatus) -> Text:
    if test.passed:
        return Text("Passed", style="green")
    return Text("Waiting", style="dim") if test.attempts == 0 else Text("Failed", style="red")


def _transitions(release: Release, now: datetime) -> RenderableType:
    table = section(
        f"What happened to {name_of(release)}", ("time", ""), ("state", ""), ("reason", ""), ("message", "")
    )
    shown = release.status.transitions[-TRANSITIONS:]
    for step in shown:
        weight = "" if step.weight_percent is None else f" {step.weight_percent} %"
        style = "red" if step.state in _BAD_STATES else ""
        when = clock(step.time, now).removesuffix(" UTC")
        table.add_row(when, Text(step.state.value + weight, style=style), step.reason, Text(step.message, style="dim"))
    return table


def _remarks(s: Situation) -> list[RenderableType]:
    """What the conditions say beyond readiness."""
    out: list[RenderableType] = []
    lists = [s.service.status.conditions] + ([s.rollout.status.conditions] if s.rollout is not None else [])
    for kind in (ConditionType.METRICS_AVAILABLE, ConditionType.TRAFFIC_VERIFIED, ConditionType.DRAIN_SAFE):
        found = next((c for c in (find(conditions, kind) for conditions in lists) if c is not None), None)
        if found is not None and found.status is ConditionStatus.FALSE:
            out.append(Text.assemble((f"{kind.value} is False", "yellow"), f": {found.message}"))
    return [Text(), Rule(style="dim"), *out] if out else []


def _as(release: Release) -> str:
    return f" as {release.status.color.value}" if release.status.color is not None else ""


def _color(release: Release) -> str:
    return _COLORS[release.status.color] if release.status.color is not None else "bold"
