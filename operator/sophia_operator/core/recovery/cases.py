"""Incidents as they are decided on: whose ladder is climbed, by which mode, and how far that was climbed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sophia_operator.api.recovery_policy import Rule
from sophia_operator.api.recovery_policy_status import SymptomStatus
from sophia_operator.api.recovery_values import Action, Mode
from sophia_operator.core.recovery.ladder import Climb, climb
from sophia_operator.core.recovery.modes import mode_of, strictest_mode, strictness
from sophia_operator.core.recovery.scene import Scene
from sophia_operator.core.recovery.track import SEVERITIES, IncidentKey, key_of, rule_of
from sophia_operator.core.recovery.views import PolicyView, TargetKey


@dataclass(frozen=True, slots=True)
class Case:
    """One incident of one policy."""

    policy: PolicyView
    rule: Rule
    incident: SymptomStatus
    climb: Climb
    #: Name of the policy that decides, if that is another one.
    led_by: str | None = None
    #: What is said where the symptom cannot be told now; None where it can.
    untold: str | None = None

    @property
    def target(self) -> TargetKey:
        """The object."""
        return self.incident.kind, self.incident.name

    def mode(self, action: Action, scene: Scene) -> tuple[Mode, str]:
        """The strictest mode of that action among all policies that answer the symptom, and whose it is."""
        found = strictest_mode(scene.selecting.get(self.target, ()), self.incident.symptom, action)
        return found or (mode_of(self.policy.spec, self.rule, action), self.policy.name)


def cases(incidents: Mapping[str, Sequence[SymptomStatus]], scene: Scene) -> list[Case]:
    """Every incident, the worst and then the oldest first; `incidents` by the policy's name."""
    found: dict[IncidentKey, list[tuple[PolicyView, Rule, SymptomStatus]]] = defaultdict(list)
    for policy in scene.policies:
        for incident in incidents[policy.name]:
            rule = rule_of(policy, incident.symptom)
            if rule is not None:
                found[key_of(incident)].append((policy, rule, incident))
    signs = {(s.policy, (s.target, s.symptom)): s.sign for s in scene.symptoms.seen}
    untold = {key: sign.message for key, sign in signs.items() if sign.present is None}
    led = (case for same in found.values() for case in _led(same, scene))
    out = [replace(case, untold=untold.get((case.policy.name, key_of(case.incident)))) for case in led]
    return sorted(
        out, key=lambda c: (SEVERITIES.index(c.rule.severity), c.incident.since, key_of(c.incident), c.policy.name)
    )


def _led(same: Sequence[tuple[PolicyView, Rule, SymptomStatus]], scene: Scene) -> list[Case]:
    """The strictest policy that sees the symptom decides, of equals the first by name."""
    there = [(strictness(p.spec, rule), p.name) for p, rule, incident in same if incident.gone_since is None]
    leader = min(there)[1] if there else None
    out = []
    for policy, rule, incident in same:
        led = leader if incident.gone_since is None and policy.name != leader else None
        climbed = climb(policy.name, incident, scene.on((incident.kind, incident.name)))
        out.append(Case(policy, rule, incident, climbed, led))
    return out
