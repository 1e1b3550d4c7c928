"""Recovery as people see it: lists of actions and policies, and one of each drawn whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sophia_operator.api.conditions import ConditionType, find
from sophia_operator.api.recovery_action import RecoveryAction
from sophia_operator.api.recovery_action_status import ActionPhase, Evidence, Verified
from sophia_operator.api.recovery_policy import RecoveryPolicy
from sophia_operator.api.recovery_policy_status import SymptomStatus, Verdict
from sophia_operator.cli import tables
from sophia_operator.cli.health import is_well
from sophia_operator.cli.sections import section
from sophia_operator.core.words import clock, span

_STYLES: Final = {
    ActionPhase.SUCCEEDED: "green",
    ActionPhase.FAILED: "bold red",
    ActionPhase.UNKNOWN: "bold red",
    ActionPhase.REFUSED: "yellow",
    ActionPhase.AWAITING_APPROVAL: "bold yellow",
    ActionPhase.WAITING: "yellow",
}
_VERIFIED: Final = {Verified.HELPED: "green", Verified.NO_CHANGE: "yellow", Verified.WORSE: "bold red"}
_VERDICTS: Final = {Verdict.GAVE_UP: "bold red", Verdict.WAIT: "yellow", Verdict.OVER: "green"}


def action_is_well(action: RecoveryAction) -> bool:
    """Whether it is under way or ended well: not when it waits for a person, failed, or must be looked at."""
    bad = (ActionPhase.AWAITING_APPROVAL, ActionPhase.FAILED, ActionPhase.UNKNOWN, ActionPhase.REFUSED)
    return action.status.phase not in bad


def policy_is_well(policy: RecoveryPolicy) -> bool:
    """Whether the policy is in force, no storm is on, and nothing was given up."""
    conditions = policy.status.conditions
    if not is_well(conditions, ()) or policy.status.storm is not None:
        return False
    return all(s.verdict is not Verdict.GAVE_UP for s in policy.status.symptoms)


def actions(items: Sequence[RecoveryAction], now: datetime, *, namespaces: bool) -> Table:
    """One line an action, the newest first."""
    columns = ("name", "target", "symptom", "action", "phase", "verified", "by", "age", "message")
    table = tables.plain(*(["namespace"] if namespaces else []), *columns)
    for item in sorted(items, key=_made_at, reverse=True):
        spec, status = item.spec, item.status
        verified = status.verified
        table.add_row(
            *([str(item.metadata.get("namespace", ""))] if namespaces else []),
            _name(item.metadata),
            f"{spec.target.kind.value}/{spec.target.name}",
            spec.trigger.symptom.value if spec.trigger is not None else "-",
            spec.action.value,
            Text(status.phase.value, style=_STYLES.get(status.phase, "")),
            Text("-") if verified is None else Text(verified.value, style=_VERIFIED[verified]),
            _by(item),
            tables.age(item.metadata, now),
            Text(status.message, style="dim"),
        )
    return table


def policies(items: Sequence[RecoveryPolicy], now: datetime, *, namespaces: bool) -> Table:
    """One line a policy."""
    columns = ("name", "ready", "mode", "targets", "symptomatic", "storm", "paused by", "age", "state")
    table = tables.plain(*(["namespace"] if namespaces else []), *columns)
    for item in sorted(items, key=lambda i: (str(i.metadata.get("namespace", "")), _name(i.metadata))):
        status = item.status
        ready, storm = find(status.conditions, ConditionType.READY), status.storm is not None
        table.add_row(
            *([str(item.metadata.get("namespace", ""))] if namespaces else []),
            _name(item.metadata),
            tables.truth(ready.status if ready is not None else None),
            item.spec.mode.value if item.spec.mode is not None else "by action",
            str(status.targets),
            str(status.symptomatic),
            Text("on", style="bold red") if storm else Text("-"),
            ", ".join(r.who for r in item.spec.pause_requests) or "-",
            tables.age(item.metadata, now),
            Text("" if ready is None else ready.reason, style="dim"),
        )
    return table


def draw_policy(policy: RecoveryPolicy, now: datetime) -> RenderableType:
    """What is wrong now, what was decided about it, and why nothing more is done."""
    spec, status = policy.spec, policy.status
    mode = f"mode {spec.mode.value}" if spec.mode is not None else "mode by action"
    title = Text.assemble((_name(policy.metadata), "bold"), f"  in {policy.metadata.get('namespace', '')}, {mode}")
    parts: list[RenderableType] = [title, *_conditions(policy)]
    budget = spec.budget
    most = (
        f"{budget.per_target} on one object, {budget.per_namespace} in the namespace, {budget.cluster} in the cluster"
    )
    parts.append(Text(f"targets   {status.targets}, {status.symptomatic} with symptoms"))
    parts.append(Text(f"budget    {status.acts_last_hour} acts in the last hour; at most {most}"))
    for request in spec.pause_requests:
        until = f", until {clock(request.until, now)}" if request.until is not None else ""
        parts.append(Text(f"paused    by {request.who}: {request.why}{until}", style="yellow"))
    if status.storm is not None:
        words = (
            f"since {clock(status.storm.since, now)}: {status.storm.targets} of {status.storm.of} objects at its worst"
        )
        parts.append(Text(f"storm     {words}", style="bold red"))
    if status.symptoms:
        parts += [Text(), _symptoms(status.symptoms, now)]
    return Group(*parts)


def draw_action(action: RecoveryAction, now: datetime) -> RenderableType:
    """Why, what exactly was done, and what came of it."""
    spec, status = action.spec, action.status
    style = _STYLES.get(status.phase, "")
    title = Text.assemble((_name(action.metadata), "bold"), f"  in {action.metadata.get('namespace', '')}")
    parts: list[RenderableType] = [
        title,
        Text.assemble(
            f"{spec.action.value} of {spec.target.kind.value}/{spec.target.name}: ", (status.phase.value, style)
        ),
    ]
    parts += [Text(f"{name:<10}{words}") for name, words in _facts(action, now) if words]
    for name, evidence in (("before", status.before), ("after", status.after)):
        if evidence is not None:
            parts += [Text(f"{name:<10}{line}") for line in _evidence(evidence, now)]
    if status.did:
        parts += [Text(), Text("what was done", style="bold"), *(Text(f"  {line}") for line in status.did)]
    return Group(*parts)


def _facts(action: RecoveryAction, now: datetime) -> Iterator[tuple[str, str]]:
    spec, status = action.spec, action.status
    if spec.trigger is not None:
        trigger = spec.trigger
        since = f"{trigger.symptom.value} since {clock(trigger.since, now)}, step {trigger.step}"
        yield "why", f"{since}, policy {trigger.policy}: {trigger.message}".rstrip(": ")
    yield "by", _by(action) + (f": {spec.reason}" if spec.reason else "")
    yield "override", spec.override_reason or ""
    if spec.approved is not None:
        yield "approved", f"{'yes' if spec.approved else 'no'}, by {spec.approved_by}"
    yield "message", status.message
    yield "would", status.would
    if status.claimed_at is not None:
        ended = status.ended_at or now
        yield "took", f"{span(ended - status.claimed_at)} since it was claimed at {clock(status.claimed_at, now)}"
    if status.verified is not None:
        false = "; the symptom was gone before it could have helped" if status.false_fire else ""
        again = "; the same symptom was there within the hour before" if status.recurrence else ""
        yield "verified", f"{status.verified.value}{false}{again}"
    yield "undo", status.undo


def _evidence(evidence: Evidence, now: datetime) -> Iterator[str]:
    there = "the symptom is there" if evidence.present else "the symptom is not there"
    value = f" ({evidence.value})" if evidence.value is not None else ""
    yield f"{clock(evidence.at, now)} {there}{value}{': ' if evidence.message else ''}{evidence.message}"
    for line in evidence.conditions:
        yield f"  {line}"


def _symptoms(symptoms: Sequence[SymptomStatus], now: datetime) -> Table:
    columns = ("object", "symptom", "for", "verdict", "reason", "tried", "action")
    table = section("what is wrong", *((name, "") for name in columns), ("why", ""))
    for one in symptoms:
        table.add_row(
            f"{one.kind.value}/{one.name}",
            one.symptom.value,
            span((one.gone_since or now) - one.since),
            Text(one.verdict.value, style=_VERDICTS.get(one.verdict, "")),
            one.reason or "-",
            ", ".join(a.value for a in one.tried) or "-",
            one.action or "-",
            one.why or one.message,
        )
    return table


def _conditions(policy: RecoveryPolicy) -> Iterator[RenderableType]:
    for kind in (ConditionType.READY, ConditionType.STALLED, ConditionType.SIGNALS_DELIVERED):
        found = find(policy.status.conditions, kind)
        if found is not None:
            yield Text.assemble(f"{kind.value}: ", tables.truth(found.status), f" {found.reason}: {found.message}")


def _by(action: RecoveryAction) -> str:
    if action.spec.trigger is not None:
        return f"policy {action.spec.trigger.policy}"
    return action.spec.requested_by or "-"


def _name(metadata: dict[str, Any]) -> str:
    return str(metadata.get("name", ""))


def _made_at(action: RecoveryAction) -> tuple[datetime, str]:
    try:
        made = datetime.fromisoformat(str(action.metadata["creationTimestamp"]))
    except (KeyError, ValueError):
        made = datetime.min.replace(tzinfo=UTC)
    return made, _name(action.metadata)
