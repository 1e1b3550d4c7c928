"""What guard rails are asked about: a namespace as it is now, indexed once for all questions of a decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sophia_operator.api.recovery_policy_status import StormStatus
from sophia_operator.api.recovery_values import TargetKind
from sophia_operator.core.recovery import past
from sophia_operator.core.recovery.storm import storms_of
from sophia_operator.core.recovery.views import ActionView, History, PolicyView, Symptoms, TargetKey


@dataclass(frozen=True, slots=True)
class Scene:
    """What guard rails are asked about."""

    policies: tuple[PolicyView, ...]
    symptoms: Symptoms
    history: History
    now: datetime
    #: By the policy's name.
    storms: Mapping[str, StormStatus | None]
    #: By the object: the policies that select it, in the order of their names.
    selecting: Mapping[TargetKey, tuple[PolicyView, ...]]
    #: By the object: every RecoveryAction about it.
    actions: Mapping[TargetKey, tuple[ActionView, ...]]
    #: Acts that count and were claimed in the last hour.
    claimed: tuple[ActionView, ...]
    #: Objects without symptoms, by the policy's name and the kind.
    well: Mapping[tuple[str, TargetKind], int]
    #: Objects of acts that were decided on and are not claimed yet: they count as if they were.
    promised: tuple[TargetKey, ...] = ()

    def on(self, target: TargetKey) -> tuple[ActionView, ...]:
        """Every RecoveryAction about the object."""
        return self.actions.get(target, ())

    def promising(self, targets: Iterable[TargetKey]) -> Scene:
        """The scene with acts on these objects decided on as well."""
        return replace(self, promised=(*self.promised, *targets))


def scene_of(
    policies: Sequence[PolicyView],
    symptoms: Symptoms,
    history: History,
    now: datetime,
    storms: Mapping[str, StormStatus | None] | None = None,
) -> Scene:
    """The scene as it is now. A storm counts from the moment at which it can be seen, written down or not."""
    ordered = tuple(sorted(policies, key=lambda p: p.name))
    selecting: dict[TargetKey, list[PolicyView]] = defaultdict(list)
    for policy in ordered:
        for target in symptoms.selected.get(policy.name, ()):
            selecting[target].append(policy)
    actions: dict[TargetKey, list[ActionView]] = defaultdict(list)
    for action in history.actions:
        actions[action.target].append(action)
    recent = (a for a in history.actions if past.counts(a) and past.is_recent(a.status.claimed_at, now))
    return Scene(
        policies=ordered,
        symptoms=symptoms,
        history=history,
        now=now,
        storms=storms_of(ordered, symptoms, now) if storms is None else storms,
        selecting={target: tuple(found) for target, found in selecting.items()},
        actions={target: tuple(found) for target, found in actions.items()},
        claimed=tuple(recent),
        well=_well(symptoms),
    )


def _well(symptoms: Symptoms) -> Mapping[tuple[str, TargetKind], int]:
    # Of whom it cannot be told, that is not known: nobody is to rely on it.
    sick = {(s.policy, s.target) for s in symptoms.seen if s.sign.present is not False}
    well: dict[tuple[str, TargetKind], int] = defaultdict(int)
    for name, chosen in symptoms.selected.items():
        for target in chosen:
            if (name, target) not in sick:
                well[name, target[0]] += 1
    return well
