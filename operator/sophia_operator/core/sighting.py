"""Is a written weight there in the traffic? The route must have settled, and requests must agree."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_operator.api.release import Color, WeightStatus
from sophia_operator.core.evidence.share import Agreement, AgreementKind, agrees
from sophia_operator.core.findings import MetricsAnswer, MetricsOutage, QueryRefused, Samples
from sophia_operator.core.scene import Scene
from sophia_operator.core.views import Observed, RouteView

SHARE_KEY = "share"
#: Requests that began before a change end after it, at the old colour. With so many of them, in percent of all, marked
#: requests may still say that the weight is there; with more, users are there, whatever else answers.
_MOST_STRAGGLERS_PERCENT = 2.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of a weight."""

    agrees: bool
    #: Nothing could be seen at all: neither metrics nor marked requests gave an answer.
    blind: bool
    #: Nothing was asked in this pass, so nothing new is known.
    waiting: bool
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
        return _sighting(noted.model_copy(update={"message": unsettled[:4096]}), refused=refused)
    if route is not None and route.plain:
        done = f"the Service selects it: {written} %"
        return _sighting(noted.model_copy(update={"observed_percent": written, "message": done}), agrees=True)
    if not _asked(scene.observed):
        waiting = noted.message or "the route has settled; looking for the weight in the traffic"
        return _sighting(noted.model_copy(update={"message": waiting}), waiting=True)
    best = _best(_from_metrics(scene.observed, color), _from_probe(scene.observed, color), wanted, previous)
    if best is None:
        message = _why_blind(scene.observed)[:4096]
        return _sighting(noted.model_copy(update={"message": message, "looked_at": scene.now}), blind=True)
    agreement, (green, total, source) = best
    message = f"{source}: {green} of {total} requests at {color.value}, {wanted} % wanted; {agreement.message}"
    seen = round(100 * green / total) if total else None
    after = noted.model_copy(update={"observed_percent": seen, "message": message, "looked_at": scene.now})
    return _sighting(after, agrees=agreement.kind is AgreementKind.AGREES)


def _sighting(
    weights: WeightStatus, *, agrees: bool = False, blind: bool = False, waiting: bool = False, refused: bool = False
) -> Sighting:
    return Sighting(agrees, blind, waiting, refused, weights, weights.message)


_Count = tuple[int, int, str]


def _best(users: _Count | None, marked: _Count | None, wanted: int, previous: int) -> tuple[Agreement, _Count] | None:
    """What is to be believed. Users' requests decide where they can; marked ones take other ways through a gateway."""
    by_users = agrees(users[0], users[1], wanted, previous) if users is not None else None
    if users is not None and by_users is not None and by_users.kind is not AgreementKind.UNDECIDED:
        few = wanted in (0, 100) and abs(100 * users[0] / users[1] - wanted) <= _MOST_STRAGGLERS_PERCENT
        if by_users.kind is AgreementKind.AGREES or marked is None or not few:
            return by_users, users
    if marked is not None:
        by_marked = agrees(marked[0], marked[1], wanted, previous)
        if by_users is None or by_marked.kind is not AgreementKind.UNDECIDED:
            return by_marked, marked
    return (by_users, users) if users is not None and by_users is not None else None


def look_interval_seconds(elapsed: float) -> float:
    """How far looks at the split are apart: events do not multiply queries, nor does a long wait write for ever."""
    if elapsed < 60:
        return 1.0
    return 5.0 if elapsed < 600 else 15.0


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
