"""RecoveryPolicy: which symptom may be answered with which action, within which budget."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, field_validator, model_validator

from sophia_operator.api.common import (
    ATOMIC_LIST,
    PRESERVE_UNKNOWN,
    SET_LIST,
    ApiModel,
    ObjectName,
    Timestamp,
    map_list,
    rules,
)
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_policy_rules import (
    MAX_POLICY_NAME,
    OBJECT,
    POLICY,
    POLICY_NAME,
    RULE,
    problem_of_policy,
    problem_of_rule,
)
from sophia_operator.api.recovery_policy_status import RecoveryPolicyStatus
from sophia_operator.api.recovery_signal import Signal
from sophia_operator.api.recovery_values import Action, Mode, Severity, Symptom, TargetKind

MAX_RULES: Final = 16
MAX_STEPS: Final = 5

LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]


class TargetSelector(ApiModel):
    """Objects of one kind, in the policy's namespace."""

    kind: TargetKind = Field(description="Kind of the objects.")
    names: list[ObjectName] = Field(
        default_factory=list, max_length=64, json_schema_extra=SET_LIST, description="Their names; without: all."
    )
    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        json_schema_extra={"maxProperties": 16},
        description="Labels that they must have; without: any.",
    )


class Step(ApiModel):
    """One rung of the ladder."""

    action: Action = Field(description="What is done.")
    timeout_seconds: int = Field(
        120,
        ge=5,
        le=86_400,
        description="Time from the beginning of the act within which the symptom must be gone, in seconds; else the "
        "next step is taken.",
    )
    parameters: Parameters = Field(default_factory=Parameters, description="Parameters of the action.")


class Rule(ApiModel):
    """How one symptom is answered."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules(*RULE)}

    symptom: Symptom = Field(description="What may be wrong.")
    for_seconds: int = Field(
        30,
        ge=0,
        le=86_400,
        description="Time that the symptom must last without a break before it is answered, in seconds.",
    )
    clear_seconds: int = Field(
        30, ge=0, le=86_400, description="Time without it before the incident is over, in seconds."
    )
    threshold_percent: int | None = Field(
        None, ge=1, le=100, description="Of HighMemory: share of the limit that is too much, in percent; without: 90."
    )
    threshold_seconds: int | None = Field(
        None,
        ge=1,
        le=86_400,
        description="Of SlowQueries: how long a statement may run, or block others, in seconds; without: 30.",
    )
    severity: Severity = Field(Severity.WARNING, description="How bad it is.")
    mode: Mode | None = Field(None, description="Mode for this symptom alone; without: the policy's.")
    escalation: list[Step] = Field(
        min_length=1,
        max_length=MAX_STEPS,
        json_schema_extra=ATOMIC_LIST,
        description="What is done, one after the other, until the symptom is gone.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Rule:
        if found := problem_of_rule(self):
            raise ValueError(found)
        return self


Acts = Annotated[int, Field(ge=0, le=10_000)]


class ActBudget(ApiModel):
    """Most acts in an hour. Of several policies the least number counts."""

    per_target: Acts = Field(3, description="On one object, by this policy's rules.")
    per_namespace: Acts = Field(10, description="In the policy's namespace.")
    cluster: Acts = Field(30, description="In the whole cluster.")


class Breaker(ApiModel):
    """Ends what does not help."""

    failures: int = Field(3, ge=1, le=100, description="Acts in a row on one object by one action that did not help.")
    open_seconds: int = Field(3600, ge=1, le=604_800, description="Time until one more is tried, in seconds.")


class Storm(ApiModel):
    """Many symptoms at once have one cause, which no act on one of them mends."""

    max_targets_percent: int = Field(
        50, ge=1, le=100, description="Share of the selected objects with symptoms above which nobody acts, in percent."
    )
    min_targets: int = Field(2, ge=1, le=1000, description="So many objects at least must show symptoms.")
    cooldown_seconds: int = Field(
        300, ge=0, le=86_400, description="Quiet time after which the storm is over, in seconds."
    )


class PauseRequest(ApiModel):
    """Somebody asks that nothing is done."""

    who: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Who asks.")
    why: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="Why.")
    until: Timestamp | None = Field(None, description="When the request ends by itself; without: never.")


class Day(StrEnum):
    """Days of the week."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)]


class QuietWindow(ApiModel):
    """A time in which nothing is done."""

    start: TimeOfDay = Field(description="When it begins, as in `22:00`.")
    end: TimeOfDay = Field(description="When it ends; one that is not after the start is of the next day.")
    days: list[Day] = Field(
        default_factory=list, max_length=7, json_schema_extra=SET_LIST, description="Days that it begins on; none: all."
    )
    time_zone: str = Field(
        "UTC", max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", description="IANA time zone."
    )


class Keep(ApiModel):
    """How long RecoveryActions that ended are kept."""

    ttl_seconds: int = Field(
        604_800, ge=3600, le=31_536_000, description="Time, in seconds; longer while a cool-down or breaker counts it."
    )
    max_actions: int = Field(
        100,
        ge=10,
        le=1000,
        description="Number in the namespace, beside those that cool-downs and breakers count; the oldest go first.",
    )


class Understood(StrEnum):
    """What its author says to have understood."""

    DELETES_DATA = "DeletesData"


class RecoveryPolicySpec(ApiModel):
    """For which objects, what is done, and how much of it."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules(*POLICY)}

    targets: list[TargetSelector] = Field(
        min_length=1,
        max_length=4,
        json_schema_extra=map_list("kind"),
        description="The objects that it is for.",
    )
    rules: list[Rule] = Field(
        min_length=1,
        max_length=MAX_RULES,
        json_schema_extra=map_list("symptom"),
        description="How symptoms are answered.",
    )
    mode: Mode | None = Field(
        None,
        description="What may be done without a person. Without: Auto for Reconnect, SwitchModel, PurgeMemory and "
        "Notify; DryRun for what deletes data; Approve for the rest.",
    )
    budget: ActBudget = Field(default_factory=ActBudget, description="Most acts in an hour.")
    cooldown_seconds: int = Field(
        300,
        ge=0,
        le=86_400,
        description="Time between two acts on one object, in seconds; doubled with each that did not help.",
    )
    max_cooldown_seconds: int = Field(3600, ge=0, le=604_800, description="The longest such time, in seconds.")
    breaker: Breaker = Field(default_factory=Breaker, description="Ends what does not help.")
    storm: Storm = Field(default_factory=Storm, description="When so much is wrong that nobody acts.")
    stable_seconds: int = Field(
        10, ge=0, le=3600, description="Time that the symptom must be gone for an act to have helped, in seconds."
    )
    floor: int = Field(
        0, ge=0, le=1000, description="No act while fewer of the selected objects of that kind are without symptoms."
    )
    pause_requests: list[PauseRequest] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("who"),
        description="People who ask that nothing is done; while there is one, nothing is.",
    )
    quiet_windows: list[QuietWindow] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=ATOMIC_LIST,
        description="Times in which nothing is done.",
    )
    keep: Keep = Field(default_factory=Keep, description="How long actions that ended are kept.")
    signals: list[Signal] = Field(
        default_factory=list, max_length=8, json_schema_extra=map_list("name"), description="Whom acts are told to."
    )
    i_understand: Understood | None = Field(
        None, description="DeletesData: needed for a policy that selects all caches and deletes in mode Auto."
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> RecoveryPolicySpec:
        if found := problem_of_policy(self):
            raise ValueError(found)
        return self


class RecoveryPolicy(ApiModel):
    """Which symptom may be answered with which action, within which budget."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules(*OBJECT)}

    api_version: str = Field(description="sophia.ai/v1alpha1.")
    kind: str = Field(description="RecoveryPolicy.")
    metadata: dict[str, Any] = Field(json_schema_extra=PRESERVE_UNKNOWN, description="Metadata of the object.")
    spec: RecoveryPolicySpec = Field(description="For which objects, what is done, and how much of it.")
    status: RecoveryPolicyStatus = Field(default_factory=RecoveryPolicyStatus, description="What the operator saw.")

    @field_validator("metadata")
    @classmethod
    def _can_be_a_label(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        if len(str(metadata.get("name", ""))) > MAX_POLICY_NAME:
            raise ValueError(POLICY_NAME)
        return metadata
