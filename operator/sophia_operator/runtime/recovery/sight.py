"""What a look at a whole namespace sees, for policies and for actions alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sophia_operator.api.connection_pool_status import ConnectionPoolStatus
from sophia_operator.api.recovery_values import Symptom, TargetKind
from sophia_operator.core.recovery.views import History, PolicyView, Symptoms, TargetKey, TargetView
from sophia_operator.runtime.recovery import observe
from sophia_operator.runtime.recovery.world import RecoveryWorld
from sophia_operator.runtime.wakeups import SYMPTOMS, Dependency

#: A statement grows old, and a crash too, without an event.
_STATEMENTS_SECONDS: Final = 1.0
_CRASHES_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Sight:
    """A namespace."""

    policies: tuple[PolicyView, ...]
    targets: tuple[TargetView, ...]
    symptoms: Symptoms
    history: History

    def target(self, key: TargetKey) -> TargetView | None:
        """An object of it; None when it is not there, or is being deleted."""
        return next((t for t in self.targets if t.key == key and not t.deleting), None)

    def look_again_seconds(self) -> float | None:
        """When symptoms may come or go by time alone; None when none may."""
        selected = {key for keys in self.symptoms.selected.values() for key in keys}
        shown = [t for t in self.targets if t.key in selected]
        asked = {rule.symptom for policy in self.policies for rule in policy.spec.rules}
        if Symptom.SLOW_QUERIES in asked and any(_runs_long(t) for t in shown):
            return _STATEMENTS_SECONDS
        if Symptom.POD_CRASH_LOOP in asked and any(t.crashing for t in shown):
            return _CRASHES_SECONDS
        return None


def look(world: RecoveryWorld, namespace: str, now: datetime, kinds: frozenset[TargetKind] = frozenset()) -> Sight:
    """The namespace as it is now; of objects those kinds that policies select, and `kinds`."""
    store = world.store
    policies = observe.policies_of(store, namespace)
    wanted = kinds | {selector.kind for policy in policies for selector in policy.spec.targets}
    targets = observe.targets_of(store, namespace, wanted, now)
    history = History(
        actions=observe.actions_of(store, namespace),
        elsewhere=observe.acts_elsewhere(store, namespace, now),
        moving=observe.moving_of(store, namespace),
    )
    return Sight(policies, targets, world.mind.read(targets, policies, now), history)


def dependencies(sight: Sight, namespace: str) -> frozenset[Dependency]:
    """What wakes who looks: what happens in the namespace, and figures of objects where symptoms are told by them."""
    by_figures = {s.target for s in sight.symptoms.seen if s.symptom in _BY_FIGURES}
    return frozenset({(SYMPTOMS, "", namespace), *((kind.value, namespace, name) for kind, name in by_figures)})


_BY_FIGURES: Final = frozenset({Symptom.HIGH_MEMORY, Symptom.REPLICATION_LAG, Symptom.SLOW_QUERIES})


def _runs_long(target: TargetView) -> bool:
    return isinstance(target.status, ConnectionPoolStatus) and bool(target.status.statements)
