"""What came of a RecoveryAction, and what a target says of acts on it."""

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
from sophia_operator.api.recovery_values import Action

MAX_DID: Final = 16
#: Acts that a target speaks of: those under way, and the newest that ended.
MAX_ACTS: Final = 8
#: Changes that wait for being told; of more, the newest.
MAX_UNTOLD: Final = 8
#: Receivers tell signals apart by the number of the change: it never comes again, so no action may come so far.
MAX_CHANGES: Final = 1_000_000

Line = Annotated[str, Field(max_length=512)]


class ActionPhase(StrEnum):
    """Where an action is."""

    PENDING = "Pending"  # made; guard rails are being asked
    WAITING = "Waiting"  # a guard rail says: not now
    AWAITING_APPROVAL = "AwaitingApproval"
    CLAIMED = "Claimed"  # written down before anything is done: it is done once, and never twice
    RUNNING = "Running"  # the target has begun with it
    VERIFYING = "Verifying"  # done; whether it helped is being seen
    SUCCEEDED = "Succeeded"  # verified to have helped, or done as a person asked
    FAILED = "Failed"  # could not be done, or did not help
    SKIPPED = "Skipped"  # not needed any more, or only said what would be done
    REFUSED = "Refused"  # a guard rail, or a person, said no for good
    UNKNOWN = "Unknown"  # may have run when the operator ended, and must not be done twice: a person looks

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self in _OVER

    @property
    def has_acted(self) -> bool:
        """Whether something was done, or may have been. An action that ended before it was claimed keeps its
        `claimedAt` empty, which tells what this cannot."""
        return self in _ACTED


_OVER: Final = frozenset(
    {ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.SKIPPED, ActionPhase.REFUSED, ActionPhase.UNKNOWN}
)
_ACTED: Final = frozenset(
    {
        ActionPhase.CLAIMED,
        ActionPhase.RUNNING,
        ActionPhase.VERIFYING,
        ActionPhase.SUCCEEDED,
        ActionPhase.FAILED,
        ActionPhase.UNKNOWN,
    }
)


class Verified(StrEnum):
    """Whether an act helped."""

    HELPED = "Helped"  # the symptom is gone, and the target is healthy by its role
    NO_CHANGE = "NoChange"
    WORSE = "Worse"


class Evidence(ApiModel):
    """What was seen of the target."""

    at: Timestamp = Field(description="When.")
    present: bool = Field(description="Whether the symptom was there.")
    value: UnsignedDecimalString | None = Field(None, description="How bad it was, in the symptom's unit.")
    message: Message = Field("", description="In words.")
    conditions: list[Line] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=ATOMIC_LIST,
        description="The target's conditions, as in `Healthy=False ServerLost`.",
    )


class ActPhase(StrEnum):
    """Where an act is, as the target says."""

    RUNNING = "Running"
    DONE = "Done"
    FAILED = "Failed"  # it could not be done
    REFUSED = "Refused"  # there was nothing to do it to, or it was not possible
    UNKNOWN = "Unknown"  # it may have run when the operator ended


class ActStatus(ApiModel):
    """An act on a target, in the target's own status: written before it is done."""

    name: ObjectName = Field(description="Name of the RecoveryAction.")
    uid: Annotated[str, Field(max_length=64)] = Field(description="Its uid: another one of that name is another act.")
    action: Action = Field(description="What is done.")
    phase: ActPhase = Field(description="Where it is.")
    #: What exactly it is about, fixed when it began: nothing else may be touched after a crash.
    subject: str | None = Field(None, max_length=512, description="What it is about, as in a namespace of a cache.")
    did: list[Line] = Field(
        default_factory=list,
        max_length=MAX_DID,
        json_schema_extra=ATOMIC_LIST,
        description="What was done, command by command, without anything secret.",
    )
    message: Message = Field("", description="How it goes, or why it could not be done.")
    started_at: Timestamp = Field(description="When it began.")
    ended_at: Timestamp | None = Field(None, description="When it ended.")
    until: Timestamp | None = Field(None, description="Until when it has an effect, where that ends by itself.")


#: The field `acts` of the status of every kind that is acted on.
Acts = Annotated[
    list[ActStatus],
    Field(
        default_factory=list,
        max_length=MAX_ACTS,
        json_schema_extra=map_list("name"),
        description="Acts of recovery: under way, and the newest that ended.",
    ),
]


class UntoldChange(ApiModel):
    """A change of the phase that receivers are still to be told of."""

    number: int = Field(ge=1, le=MAX_CHANGES, description="Number of the change.")
    phase: ActionPhase = Field(description="The phase that it led to.")
    at: Timestamp = Field(description="When it was.")
    message: Annotated[str, Field(max_length=1024)] = Field("", description="What the action said then.")


class RecoveryActionStatus(ApiModel):
    """What was done, and what came of it."""

    observed_generation: int = Field(0, ge=0, description="Generation that this status speaks of.")
    phase: ActionPhase = Field(ActionPhase.PENDING, description="Where it is.")
    verified: Verified | None = Field(None, description="Helped, NoChange or Worse; absent while not known.")
    message: Message = Field("", description="Where it is, in words, and what to do.")
    claimed_at: Timestamp | None = Field(
        None, description="When it was claimed: from then on it counts against budgets."
    )
    started_at: Timestamp | None = Field(None, description="When the target began with it.")
    done_at: Timestamp | None = Field(None, description="When the target was done with it.")
    ended_at: Timestamp | None = Field(None, description="When it ended.")
    gone_since: Timestamp | None = Field(None, description="Since when the symptom is gone, while that is verified.")
    before: Evidence | None = Field(None, description="The target before.")
    after: Evidence | None = Field(None, description="The target afterwards.")
    did: list[Line] = Field(
        default_factory=list,
        max_length=MAX_DID,
        json_schema_extra=ATOMIC_LIST,
        description="What was done, command by command, without anything secret.",
    )
    would: Message = Field("", description="Of a dry run: what would be done.")
    subject: str | None = Field(
        None, max_length=512, description="What exactly it is about, fixed before it begins, as in a pod and its uid."
    )
    undo: Message = Field("", description="How it is taken back, where there is something to take back.")
    false_fire: bool = Field(False, description="Whether the symptom was gone before the act could have had an effect.")
    recurrence: bool = Field(False, description="Whether the same symptom was there within the hour before.")
    signalled: int = Field(0, ge=0, le=MAX_CHANGES, description="Number of changes that receivers were told of.")
    changes: int = Field(0, ge=0, le=MAX_CHANGES, description="Number of changes of the phase so far.")
    #: Written with the change itself, so that none is lost in a crash.
    untold: list[UntoldChange] = Field(
        default_factory=list,
        max_length=MAX_UNTOLD,
        json_schema_extra=ATOMIC_LIST,
        description="Changes that receivers are still to be told of.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=map_list("type"),
        description="Conditions of the action.",
    )
