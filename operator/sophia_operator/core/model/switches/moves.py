"""A move of traffic, and the words that say why."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sophia_operator.api.model_route_status import ModelState, SwitchKind
from sophia_operator.core.model.switches.scene import Scene

#: Longest texts that a status takes.
TRIGGER, EVIDENCE, MESSAGE = 512, 1024, 512


@dataclass(frozen=True, slots=True)
class Move:
    """What should be done."""

    kind: SwitchKind
    to: str
    trigger: str
    #: The model that serves, or that a failback was going to.
    source: str | None = None
    evidence: str = ""
    #: It ends a failback that failed, or one that seemed to have succeeded.
    failed: bool = False
    #: Nothing else is possible: not even a dry run keeps it from being done.
    forced: bool = False
    #: A person must do it.
    manual: bool = False

    @property
    def direction(self) -> str:
        """As in `from large to small`."""
        return f"from {self.source} to {self.to}" if self.source is not None else f"to {self.to}"


def state_of(scene: Scene, name: str) -> str:
    """How a model is, and why, as in `large is Unhealthy: it does not answer`."""
    health = scene.health(name)
    if health is None:
        return f"nothing is known of {name}"
    return f"{name} is {health.state.value}" + (f": {health.message}" if health.message else "")


def seen(scene: Scene, *names: str | None) -> str:
    """What was seen of models, in numbers, as in `large: 3 of 3 probes failed; small: 0 of 6 probes failed`."""
    parts = []
    for name in dict.fromkeys(n for n in names if n is not None):
        health = scene.health(name)
        if health is not None and health.evidence:
            parts.append(f"{name}: {health.evidence}")
    return "; ".join(parts)


def failing_for(scene: Scene, name: str) -> str:
    """As in `large failed for 10.2 s; `; empty when it is not known since when."""
    health = scene.health(name)
    if health is None or health.failing_since is None or health.state is not ModelState.UNHEALTHY:
        return ""
    return f"{name} failed for {scene.since(health.failing_since):.1f} s; "


def points(score: Decimal) -> str:
    """A score, as in `0.82`."""
    return f"{score.quantize(Decimal('0.01')).normalize():f}"


def cut(text: str, most: int) -> str:
    """No longer than a status takes."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
