"""Signals in the words of receivers: CloudEvents 1.0 in structured JSON, and messages of Slack.

Nothing secret is in them: they say what statuses say, which hold nothing secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sophia_operator.api.recovery_action_status import ActionPhase, UntoldChange, Verified
from sophia_operator.api.recovery_policy_status import NewsKind, UntoldNews
from sophia_operator.api.recovery_values import Severity
from sophia_operator.core.recovery.signals import change_id, severity_of
from sophia_operator.core.recovery.views import ActionView, PolicyView

TYPE_PREFIX: Final = "ai.sophia.recovery."
CLOUD_EVENTS_JSON: Final = "application/cloudevents+json; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"

#: What Slack takes: characters of a header, of a text, of a field, and of the text that notifications show.
_HEADER: Final = 150
_SECTION: Final = 2900
_FIELD: Final = 1000
_FALLBACK: Final = 1000
#: Lines of what was done that a message shows.
_LINES: Final = 8
_ELLIPSIS: Final = "…"
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

_ICONS: Final = {Severity.INFO: ":large_blue_circle:", Severity.WARNING: ":warning:", Severity.CRITICAL: ":red_circle:"}
_PHASES: Final = {
    ActionPhase.AWAITING_APPROVAL: "waits for approval",
    ActionPhase.CLAIMED: "begins",
    ActionPhase.SUCCEEDED: "is done",
    ActionPhase.FAILED: "failed",
    ActionPhase.SKIPPED: "was not needed",
    ActionPhase.REFUSED: "was refused",
    ActionPhase.UNKNOWN: "may have been done: a person has to look",
}
_VERIFIED: Final = {
    Verified.HELPED: "helped",
    Verified.NO_CHANGE: "did not help",
    Verified.WORSE: "made things worse",
}


@dataclass(frozen=True, slots=True)
class SignalMessage:
    """What one signal says."""

    #: The same whenever it is told: receivers drop repetitions by it.
    id: str
    type: str
    source: str
    subject: str
    at: datetime
    severity: Severity
    #: In one line.
    title: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    #: What was done.
    did: tuple[str, ...] = ()


def of_change(action: ActionView, change: UntoldChange) -> SignalMessage:
    """What is said of a change of an action. Of an earlier change than the newest one it is not known any more what
    had been done by then."""
    spec, status, newest = action.spec, action.status, change.number == action.status.changes
    target, trigger, severity = spec.target, spec.trigger, severity_of(action, change.phase)
    data: dict[str, Any] = {
        "name": action.name,
        "namespace": action.namespace,
        "change": change.number,
        "phase": change.phase.value,
        "severity": severity.value,
        "action": spec.action.value,
        "target": {"kind": target.kind.value, "namespace": action.namespace, "name": target.name},
        "policy": trigger.policy if trigger is not None else None,
        "symptom": trigger.symptom.value if trigger is not None else None,
        "step": trigger.step if trigger is not None else None,
        "since": _time(trigger.since) if trigger is not None else None,
        "seen": trigger.message[:1024] if trigger is not None else None,
        "requestedBy": spec.requested_by,
        "approvedBy": spec.approved_by,
        "dryRun": spec.dry_run,
        "message": change.message,
    }
    if newest:
        data |= {
            "verified": status.verified.value if status.verified is not None else None,
            "did": list(status.did),
            "would": status.would[:1024] or None,
            "undo": status.undo[:1024] or None,
            "about": status.subject,
            "falseFire": status.false_fire,
            "recurrence": status.recurrence,
            "claimedAt": _time(status.claimed_at),
            "endedAt": _time(status.ended_at),
        }
    return SignalMessage(
        id=change_id(action.uid, change.number),
        type=f"{TYPE_PREFIX}{change.phase.value.lower()}",
        source=f"/namespaces/{action.namespace}/recoveryactions/{action.name}",
        subject=f"{target.kind.value}/{target.name}",
        at=change.at,
        severity=severity,
        title=_title(action, change, newest=newest),
        message=change.message,
        data={key: value for key, value in data.items() if value is not None},
        did=tuple(status.did) if newest else (),
    )


def of_news(policy: PolicyView, news: UntoldNews) -> SignalMessage:
    """What is said of news of a policy."""
    incident = f"{news.kind.value}/{news.name}" if news.kind is not None and news.name is not None else None
    target = {"kind": news.kind.value, "namespace": policy.namespace, "name": news.name} if news.kind else None
    data: dict[str, Any] = {
        "namespace": policy.namespace,
        "policy": policy.name,
        "what": news.what.value,
        "severity": news.severity.value,
        "target": target,
        "symptom": news.symptom.value if news.symptom is not None else None,
        "action": news.action,
        "message": news.message,
    }
    of = f"{news.symptom.value} of {incident}" if news.symptom is not None and incident is not None else ""
    titles = {
        NewsKind.GAVE_UP: f"Gave up on {of} in {policy.namespace}: a person has to look",
        NewsKind.STORM_BEGAN: f"Storm in {policy.namespace}: nobody acts ({policy.name})",
        NewsKind.STORM_ENDED: f"The storm in {policy.namespace} is over ({policy.name})",
    }
    return SignalMessage(
        id=news.id,
        type=f"{TYPE_PREFIX}{news.what.value.lower()}",
        source=f"/namespaces/{policy.namespace}/recoverypolicies/{policy.name}",
        subject=incident or f"RecoveryPolicy/{policy.name}",
        at=news.at,
        severity=news.severity,
        title=titles[news.what],
        message=news.message,
        data={key: value for key, value in data.items() if value is not None},
    )


def cloud_event(message: SignalMessage) -> bytes:
    """As CloudEvents 1.0 in structured JSON."""
    event = {
        "specversion": "1.0",
        "id": message.id,
        "type": message.type,
        "source": message.source,
        "subject": message.subject,
        "time": _time(message.at),
        "datacontenttype": "application/json",
        "data": message.data,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def slack(message: SignalMessage) -> bytes:
    """As a message of Slack: blocks, and a text for where they are not shown."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": fit(message.title, _HEADER), "emoji": False}},
    ]
    if message.message:
        blocks.append(_section(fit(message.message, _SECTION)))
    facts = ("target", "symptom", "action", "phase", "verified", "policy", "requestedBy", "approvedBy")
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_shown(message.data[name])}"} for name in facts if name in message.data
    ]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    if message.did:
        more = len(message.did) - _LINES
        lines = [*message.did[:_LINES], *([f"and {more} more"] if more > 0 else [])]
        # A fence would be ended by one in the text.
        text = fit("\n".join(lines).replace("```", "'''"), _SECTION - 8)
        blocks.append(_section(f"```\n{text}\n```"))
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _context(message)}]})
    fallback = fit(f"{message.title}: {message.message}" if message.message else message.title, _FALLBACK)
    body = {"text": f"{_ICONS[message.severity]} {fallback}", "blocks": blocks}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def fit(text: str, most: int) -> str:
    """The text escaped as Slack wants it, so that it names nobody and nothing in it is a link, in at most so many
    characters."""
    parts = [_ESCAPES.get(char, char) for char in text]
    if sum(map(len, parts)) <= most:
        return "".join(parts)
    out, used = list[str](), len(_ELLIPSIS)
    for part in parts:
        used += len(part)
        if used > most:
            break
        out.append(part)
    return "".join(out).rstrip() + _ELLIPSIS


def _title(action: ActionView, change: UntoldChange, *, newest: bool) -> str:
    spec, status = action.spec, action.status
    how = _PHASES.get(change.phase, change.phase.value)
    if change.phase is ActionPhase.SKIPPED and spec.dry_run:
        how = "would be done (a dry run)"
    elif newest and status.verified is not None:
        how = _VERIFIED[status.verified]
    return f"{spec.action.value} of {spec.target.kind.value} {action.namespace}/{spec.target.name} {how}"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return fit(f"{value['kind']} {value['namespace']}/{value['name']}", _FIELD)
    return fit(str(value), _FIELD)


def _context(message: SignalMessage) -> str:
    return fit(f"{message.severity.value} | {message.source} | {_time(message.at)}", _FIELD)


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at is not None else None
