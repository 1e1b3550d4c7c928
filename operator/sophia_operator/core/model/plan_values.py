"""What the parts of a pass over a ModelRoute hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelScorePart, ModelState, PastSwitch, SwitchStatus
from sophia_operator.api.recovery_action_status import ActStatus
from sophia_operator.core.decision import Notice


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """How one model is, by all evidence."""

    state: ModelState
    #: May it be chosen: healthy, failing for a moment, or not known yet, and everything it needs is there.
    eligible: bool
    reason: Reason | None = None
    message: str = ""
    healthy_since: datetime | None = None
    failing_since: datetime | None = None
    paused_until: datetime | None = None
    #: In the window, probes and users' requests.
    requests: float = 0.0
    failures: float = 0.0
    p95_ms: float | None = None
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    #: What was seen, in numbers, for the record of a switch.
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class ModelScore:
    """The score of one model, from 0 to 1."""

    score: Decimal
    parts: tuple[ModelScorePart, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """All models, judged."""

    health: Mapping[str, ModelHealth]
    #: Of every model of which a score can be told, eligible or not.
    scores: Mapping[str, ModelScore]
    #: Eligible models, the best one first. Equal scores stand in the order of the spec.
    order: tuple[str, ...] = ()

    @property
    def best(self) -> str | None:
        """The eligible model that ranks first."""
        return self.order[0] if self.order else None


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    """Where traffic goes, and which switch goes on. All of it is written to the status."""

    active: str | None
    preferred: str | None
    #: Percent by model; together 100; empty while there is nothing to send requests to.
    shares: Mapping[str, int]
    fallbacks: tuple[str, ...]
    revision: int
    proved_revision: int
    #: When the revision was set; what replicas showed before says nothing of it.
    revision_at: datetime | None = None
    switch: SwitchStatus | None = None
    #: A switch that ended in this pass.
    past: PastSwitch | None = None
    switched_at: datetime | None = None
    failed_failbacks: int = 0
    hold_until: datetime | None = None
    better_since: datetime | None = None
    told: str | None = None
    #: Of all that the gateway is told by `revision`.
    config_hash: str | None = None
    #: Replicas that do not serve by the revision yet, with what they serve by.
    lagging: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    #: What is said of RecoveryActions.
    acts: tuple[ActStatus, ...] = ()
    #: Seconds until something is due by time alone; None when nothing is.
    wait: float | None = None
