"""Parameters of actions."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from sophia_operator.api.common import ApiModel, DnsLabel, ObjectName
from sophia_operator.api.recovery_values import Action


class Parameters(ApiModel):
    """What an action takes; each field is of one action alone."""

    min_seconds: int | None = Field(
        None,
        ge=1,
        le=86_400,
        description="Of CancelStatement: leave statements alone that are younger, in seconds; without: the rule's "
        "thresholdSeconds, or 30.",
    )
    table: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$",
        max_length=127,
        description="Of RefreshPlans: the table to ANALYZE, with its schema or without; without: all.",
    )
    percent: int | None = Field(
        None, ge=1, le=99, description="Of LimitConnections: share of its size that the pool keeps; without: 50."
    )
    seconds: int | None = Field(None, ge=1, le=86_400, description="Of LimitConnections: for how long; without: 600.")
    namespace_name: DnsLabel | None = Field(
        None, description="Of FlushNamespace: the cache namespace; without: the cheapest one."
    )
    keys_per_second: int | None = Field(
        None, ge=1, le=1_000_000, description="Of FlushNamespace: most keys deleted in a second; without: 2000."
    )
    model: DnsLabel | None = Field(
        None, description="Of SwitchModel: the model that is to serve; without: the best of the others."
    )
    pod: ObjectName | None = Field(
        None, description="Of RestartPod: the pod; without: the one that crashed most often."
    )


#: By the field: the action that takes it.
TAKEN_BY: Final = {
    "minSeconds": Action.CANCEL_STATEMENT,
    "table": Action.REFRESH_PLANS,
    "percent": Action.LIMIT_CONNECTIONS,
    "seconds": Action.LIMIT_CONNECTIONS,
    "namespaceName": Action.FLUSH_NAMESPACE,
    "keysPerSecond": Action.FLUSH_NAMESPACE,
    "model": Action.SWITCH_MODEL,
    "pod": Action.RESTART_POD,
}
#: The same in words.
TAKERS: Final = ", ".join(f"{name} is of {taker.value}" for name, taker in TAKEN_BY.items())


def problem_of_parameters(action: Action, parameters: Parameters) -> str | None:
    """Which parameter the action does not take; None when it takes all."""
    given = parameters.to_dict()
    wrong = next((name for name in given if TAKEN_BY[name] is not action), None)
    if wrong is None:
        return None
    known = ", ".join(name for name, taker in TAKEN_BY.items() if taker is action) or "none"
    return f"{action.value} has no parameter {wrong}; it has: {known}"


def rule_of_parameters(of: str) -> str:
    """The same in CEL, for the object that `of` names, which has an action and parameters."""
    checks = (f"(!has({of}.parameters.{name}) || {of}.action == '{taker.value}')" for name, taker in TAKEN_BY.items())
    return f"!has({of}.parameters) || ({' && '.join(checks)})"
