"""What the operator saw of a RecoveryPolicy."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from sophia_operator.api.common import (
    ATOMIC_LIST,
    ApiModel,
    Message,
    ObjectName,
    Timestamp,
    UnsignedDecimalString,
    map_list,
)
from sophia_operator.api.conditions import Condition
from sophia_operator.api.recovery_values import Action, Severity, Symptom, TargetKind

#: Symptoms that are shown; more are counted.
MAX_SYMPTOMS: Final = 64
#: News that wait for being told; of more, the newest.
MAX_UNTOLD_NEWS: Final = 64


class Verdict(StrEnum):
    """What was decided about a symptom."""

    ACT = "Act"  # an action was made
    WAIT = "Wait"  # not now: the reason says what is waited for
    WATCH = "Watch"  # an act is under way, or is being verified
    GAVE_UP = "GaveUp"  # the last step did not help: hands off, until the symptom is gone
    OVER = "Over"  # the symptom is gone, and the incident ends once it stays so


class SymptomStatus(ApiModel):
    """One symptom of one object: an incident, from its first sign to its end."""

    kind: TargetKind = Field(description="Kind of the object.")
    name: ObjectName = Field(description="Name of the object.")
    symptom: Symptom = Field(description="What is wrong.")
    since: Timestamp = Field(description="When it was first seen: tells the incident from every other one.")
    #: Absent while it was never gone.
    present_since: Timestamp | None = Field(
        None, description="Since when it is there again, when it was gone in between; it must last from then on."
    )
    #: Absent while the symptom is there.
    gone_since: Timestamp | None = Field(None, description="Since when it is not seen any more.")
    value: UnsignedDecimalString | None = Field(None, description="How bad it was when it was written down.")
    message: Message = Field("", description="What was seen.")
    step: int = Field(0, ge=0, le=16, description="Number of steps of the ladder that were taken.")
    action: ObjectName | None = Field(None, description="The newest RecoveryAction of the incident.")
    tried: list[Action] = Field(
        default_factory=list, max_length=16, json_schema_extra=ATOMIC_LIST, description="Actions that were tried."
    )
    verdict: Verdict = Field(Verdict.WAIT, description="What was decided.")
    reason: str = Field("", max_length=128, description="Why, in one word.")
    why: Message = Field("", description="Why, in words, and what happens next.")
    told: str | None = Field(None, max_length=128, description="What an Event was made of last.")


class StormStatus(ApiModel):
    """A storm: so much is wrong at once that nobody acts."""

    since: Timestamp = Field(description="When it began.")
    quiet_since: Timestamp | None = Field(None, description="Since when fewer objects show symptoms than are allowed.")
    targets: int = Field(0, ge=0, description="Objects with symptoms when it was at its worst.")
    of: int = Field(0, ge=0, description="Objects that are selected.")


class NewsKind(StrEnum):
    """What a policy tells receivers of, beside what its actions tell."""

    GAVE_UP = "GaveUp"
    STORM_BEGAN = "StormBegan"
    STORM_ENDED = "StormEnded"


class UntoldNews(ApiModel):
    """News of a policy that receivers are still to be told of."""

    id: Annotated[str, Field(min_length=1, max_length=512)] = Field(description="Tells it from all other news.")
    what: NewsKind = Field(description="What it is about.")
    at: Timestamp = Field(description="When it was.")
    severity: Severity = Field(Severity.CRITICAL, description="How bad it is.")
    kind: TargetKind | None = Field(None, description="Of GaveUp: kind of the object.")
    name: ObjectName | None = Field(None, description="Of GaveUp: name of the object.")
    symptom: Symptom | None = Field(None, description="Of GaveUp: what is wrong.")
    action: ObjectName | None = Field(None, description="Of GaveUp: the newest RecoveryAction of the incident.")
    message: Annotated[str, Field(max_length=1024)] = Field("", description="In words.")


class RecoveryPolicyStatus(ApiModel):
    """What the operator saw; timers are lost with it, and begin anew."""

    observed_generation: int = Field(0, ge=0, description="Generation that this status speaks of.")
    targets: int = Field(0, ge=0, description="Objects that it selects.")
    symptomatic: int = Field(0, ge=0, description="Those of them that show symptoms.")
    acts_last_hour: int = Field(0, ge=0, description="Acts in the namespace in the last hour, as of the last act.")
    storm: StormStatus | None = Field(None, description="The storm that is on.")
    symptoms: list[SymptomStatus] = Field(
        default_factory=list,
        max_length=MAX_SYMPTOMS,
        json_schema_extra=map_list("kind", "name", "symptom"),
        description="Incidents that are open.",
    )
    #: Written with what they tell of, so that none is lost in a crash.
    untold: list[UntoldNews] = Field(
        default_factory=list,
        max_length=MAX_UNTOLD_NEWS,
        json_schema_extra=ATOMIC_LIST,
        description="News that receivers are still to be told of.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("type"),
        description="Conditions of the policy.",
    )
