"""RecoveryAction: one recovery, automatic or asked for by a person, and what came of it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sophia_operator.api.common import PRESERVE_UNKNOWN, ApiModel, Message, ObjectName, Timestamp, rules
from sophia_operator.api.recovery_action_rules import ACTION_SPEC, ELSEWHERE, problem_of_action
from sophia_operator.api.recovery_action_status import RecoveryActionStatus
from sophia_operator.api.recovery_parameters import Parameters
from sophia_operator.api.recovery_values import Action, Severity, Symptom, TargetKind

#: Label with the name of the policy, of actions that the operator makes.
LABEL_POLICY: Final = "sophia.ai/recovery-policy"


class ActionTarget(ApiModel):
    """The object that is acted on, in the action's namespace."""

    kind: TargetKind = Field(description="Kind of the object.")
    name: ObjectName = Field(description="Name of the object.")
    namespace: ObjectName | None = Field(None, description="Must be the action's own, if it is there at all.")


class Trigger(ApiModel):
    """Why the operator made the action."""

    policy: ObjectName = Field(description="Name of the RecoveryPolicy.")
    symptom: Symptom = Field(description="What was wrong.")
    since: Timestamp = Field(description="When the incident began.")
    step: int = Field(ge=1, le=16, description="Number of the step in it, from 1.")
    timeout_seconds: int = Field(ge=1, le=86_400, description="Time for the symptom to be gone, in seconds.")
    severity: Severity = Field(Severity.WARNING, description="How bad it is.")
    message: Message = Field("", description="What was seen, and why this is done.")


class RecoveryActionSpec(ApiModel):
    """What is to be done to what. All but the approval never changes."""

    model_config = ApiModel.model_config | {"json_schema_extra": rules(*ACTION_SPEC)}

    target: ActionTarget = Field(description="The object that is acted on.")
    action: Action = Field(description="What is done.")
    parameters: Parameters = Field(default_factory=Parameters, description="Parameters of the action.")
    trigger: Trigger | None = Field(None, description="Why the operator made it; absent when a person did.")
    requested_by: str | None = Field(
        None, min_length=1, max_length=253, description="Who asked for it; the cluster checks that it is true."
    )
    reason: str | None = Field(None, max_length=1024, description="Why a person asked for it.")
    approval_required: bool = Field(False, description="Whether it waits for approval.")
    approved: bool | None = Field(
        None, description="A person's answer: true to do it, false not to. Needs the verb `approve`."
    )
    approved_by: str | None = Field(
        None, min_length=1, max_length=253, description="Whose answer it is; the cluster checks that it is true."
    )
    dry_run: bool = Field(False, description="Say what would be done, and do nothing.")
    force: bool = Field(False, description="Pass the budget, the cool-down and the breaker.")
    override_reason: str | None = Field(
        None,
        min_length=8,
        max_length=1024,
        description="Pass also a storm and the interlock with releases, with force, for this reason.",
    )
    verify_seconds: int = Field(
        120, ge=5, le=86_400, description="Time from its beginning within which the symptom must be gone, in seconds."
    )

    @model_validator(mode="after")
    def _possible(self) -> RecoveryActionSpec:
        if found := problem_of_action(self):
            raise ValueError(found)
        return self


class RecoveryAction(ApiModel):
    """One recovery: why, what was done, and whether it was verified to help."""

    api_version: str = Field(description="sophia.ai/v1alpha1.")
    kind: str = Field(description="RecoveryAction.")
    metadata: dict[str, Any] = Field(json_schema_extra=PRESERVE_UNKNOWN, description="Metadata of the object.")
    spec: RecoveryActionSpec = Field(description="What is to be done to what.")
    status: RecoveryActionStatus = Field(default_factory=RecoveryActionStatus, description="What was done.")

    @field_validator("spec")
    @classmethod
    def _acts_beside_itself(cls, spec: RecoveryActionSpec, info: ValidationInfo) -> RecoveryActionSpec:
        # A CEL rule of the CRD cannot see the namespace; the ValidatingAdmissionPolicy does.
        own, wanted = info.data.get("metadata", {}).get("namespace"), spec.target.namespace
        if own is not None and wanted not in (None, own):
            raise ValueError(ELSEWHERE)
        return spec
