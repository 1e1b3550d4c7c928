"""Whether a stage of a failback has passed: on what was seen alone. Without evidence it goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

from sophia_operator.api.model_route import PassivePreset
from sophia_operator.api.model_route_status import SwitchStatus
from sophia_operator.core.model.evidence import IN_A_ROW
from sophia_operator.core.model.switches.proof import Proof
from sophia_operator.core.model.switches.scene import Scene
from sophia_operator.core.model.switches.standing import ALL


def is_long_enough(scene: Scene, switch: SwitchStatus) -> bool:
    """Whether the stage has lasted for its time."""
    return scene.since(switch.phase_since) >= scene.spec.failback.stage_seconds


def passes(scene: Scene, switch: SwitchStatus, proof: Proof) -> bool:
    """Whether the new model did well in a stage that all replicas carried out."""
    # A model that breaks a limit is not healthy, whether or not for long enough to be left.
    well = scene.is_healthy(switch.to)
    enough = requests_since(scene, switch.to, switch.phase_since) >= needed(scene)
    return is_long_enough(scene, switch) and proof.proved and well and enough


def requests_since(scene: Scene, name: str, since: datetime) -> float:
    """Requests to the model that are known to be from then on: probes, and users' ones once the window that they are
    counted in has begun after that."""
    kept = scene.observed.kept
    probes = sum(finding.at >= since for finding in kept.probes.get(name, ()))
    passive = kept.passive
    if passive is None or isinstance(passive.answer, str) or name not in passive.answer:
        return float(probes)
    counted_from = passive.at - timedelta(seconds=scene.spec.switch.window_seconds)
    return probes + (passive.answer[name].requests if counted_from >= since else 0.0)


def needed(scene: Scene) -> int:
    """So many requests are evidence. Where only probes count, no more than there are in a window: probes are not
    remembered for longer."""
    policy, probe = scene.spec.switch, scene.spec.probe
    if scene.spec.metrics.preset is not PassivePreset.NONE:
        return policy.min_requests
    possible = policy.window_seconds // (probe.interval_seconds + probe.timeout_seconds)
    return min(policy.min_requests, max(IN_A_ROW, possible))


def first_percent(scene: Scene) -> int:
    """Share of the first stage."""
    return scene.spec.failback.stages[0]


def next_percent(scene: Scene, percent: int) -> int:
    """Share of the stage after the one with that share, by the stages as they are now."""
    return next((p for p in scene.spec.failback.stages if p > percent), ALL)


def index(scene: Scene, percent: int) -> int:
    """Index of the stage with that share."""
    return sum(p < percent for p in scene.spec.failback.stages[:9])
