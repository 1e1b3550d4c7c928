"""Is a written weight there in the traffic? The route must have settled, and requests must agree."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_operator.api.release import Color, WeightStatus
from sophia_operator.core.evidence.share import Agreement, AgreementKind, agrees
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, QueryRefused, Samples
from sophia_operator.core.scene import Scene
from sophia_operator.core.views import Observed, RouteView

SHARE_KEY = "share"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of a weight."""

    agrees: bool
    #: Nothing could be seen at all: neither metrics nor marked requests gave an answer.
    blind: bool
    #: The gateway's controller refuses the route.
    refused: bool
    weights: WeightStatus
    message: str


def look(color: Color, wanted: int, previous: int, scene: Scene, weights: WeightStatus) -> Sighting:
    """Judge the weight `wanted` (percent) of `color`, which was `previous` before."""
    route = scene.observed.route
    written = scene.observed.written_weight(color)
    noted = weights.model_copy(update={"written_percent": written})
    unsettled = _unsettled(route, written, wanted)
    if unsettled is not None:
        refused = route is not None and route.accepted is False
        return Sighting(False, False, refused, noted.model_copy(update={"message": unsettled}), unsettled)
    if route is not None and route.plain:
        done = f"the Service selects it: {written} %"
        return Sighting(
            True, False, False, noted.model_copy(update={"observed_percent": written, "message": done}), done
        )
    if not _asked(scene.observed):
        waiting = noted.message or "the route has settled; looking for the weight in the traffic"
        return Sighting(False, False, False, noted.model_copy(update={"message": waiting}), waiting)
    counts = [c for c in (_from_metrics(scene.observed, color), _from_probe(scene.observed, color)) if c is not None]
    best: tuple[Agreement, int, int, str] | None = None
    for green, total, source in counts:
        found = agrees(green, total, wanted, previous)
        if (
            best is None
            or found.kind is AgreementKind.AGREES
            or (best[0].kind is AgreementKind.UNDECIDED and found.kind is not AgreementKind.UNDECIDED)
        ):
            best = (found, green, total, source)
        if found.kind is AgreementKind.AGREES:
            break
    if best is None:
        message = _why_blind(scene.observed)
        return Sighting(
            False, True, False, noted.model_copy(update={"message": message, "looked_at": scene.now}), message
        )
    agreement, green, total, source = best
    message = f"{source}: {green} of {total} requests at {color.value}, {wanted} % wanted; {agreement.message}"
    seen = round(100 * green / total) if total else None
    after = noted.model_copy(update={"observed_percent": seen, "message": message, "looked_at": scene.now})
    return Sighting(agreement.kind is AgreementKind.AGREES, False, False, after, message)


def _unsettled(route: RouteView | None, written: int | None, wanted: int) -> str | None:
    if route is None:
        return "the route is missing; it is made again"
    if written != wanted:
        return f"the route still says {written} %, {wanted} % wanted"
    if not route.caught_up:
        return f"the gateway has not taken up the route yet{': ' + route.message if route.message else ''}"
    if route.accepted is False:
        return f"the gateway refuses the route: {route.message}"
    return None


def _asked(observed: Observed) -> bool:
    return SHARE_KEY in observed.findings.metrics or observed.findings.probe is not None


def _from_metrics(observed: Observed, color: Color) -> tuple[int, int, str] | None:
    answer = observed.findings.metrics.get(SHARE_KEY)
    if not isinstance(answer, Samples):
        return None
    here = max(0.0, answer.values.get(color.value, 0.0))
    there = max(0.0, answer.values.get(color.other.value, 0.0))
    return round(here), round(here) + round(there), "metrics"


def _from_probe(observed: Observed, color: Color) -> tuple[int, int, str] | None:
    probe = observed.findings.probe
    if probe is None or not any(probe.by_color.values()):
        return None
    return probe.by_color.get(color, 0), sum(probe.by_color.values()), "marked requests"


def _why_blind(observed: Observed) -> str:
    answer: MetricsAnswer | None = observed.findings.metrics.get(SHARE_KEY)
    parts = []
    if isinstance(answer, MetricsOutage | QueryRefused):
        parts.append(f"metrics: {answer.message}")
    if observed.findings.probe is not None:
        parts.append(f"marked requests: {observed.findings.probe.message or 'none was answered with a mark'}")
    return "nothing can be seen of the traffic; " + "; ".join(parts)
