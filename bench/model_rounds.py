"""One fault of the model that serves, with clients who ask all the time: what is done, and what they saw of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bench.figures import quantile
from bench.model_world import GATEWAY_SECONDS, Site, following
from hack.demo.figures import seconds_of
from hack.load import Outcome, Record
from hack.rig.api import Json
from hack.rig.models import Route, rows_of
from hack.rig.simulators import Simulator

#: A request that takes longer waited for a model that does not answer, or was sent again and again.
SLOW_SECONDS: Final = GATEWAY_SECONDS / 2
#: Between a calm route and the fault: what clients see then is what they see without any.
LEAD_SECONDS: Final = 0.5
_CALM_SECONDS: Final = 60.0
_SWITCH_SECONDS: Final = 40.0
#: An answer may be on its way while the model dies.
_ON_ITS_WAY_SECONDS: Final = 0.25


class Fault(StrEnum):
    """What becomes of the model that serves."""

    KILLED = "killed"  # its process is gone, and nothing takes its place
    HANGS = "hangs"  # it takes requests, and never answers them


class Mode(StrEnum):
    """Who helps its clients."""

    BUILT_IN = "built-in"  # the gateway alone: the operator's dry run judges, and does nothing
    OPERATOR = "operator"  # the operator, with whatever the gateway does as well


@dataclass(frozen=True)
class Round:
    """One fault. Times are seconds since the epoch."""

    fault: Fault
    mode: Mode
    model: str
    #: When the model began to fail.
    struck: float
    #: Requests that are due until then count.
    until: float
    #: When the fault was over: clients were at another model by then.
    over: float
    #: When the operator had decided, and when it had seen every replica follow; None for the gateway alone.
    decided: float | None = None
    proved: float | None = None
    #: Why this says nothing.
    spoiled: str | None = None


@dataclass(frozen=True)
class Seen:
    """What clients saw of one fault. Times are seconds from the fault, but for those of requests, in milliseconds."""

    sent: int
    failed: int
    slow: int
    #: The first good answer to a request that was due after the fault.
    first: float | None
    #: When the last request was due that failed or was slow; 0 when none did.
    last_trouble: float
    #: Of all requests, those that failed among them.
    p50: float
    p99: float
    #: How late requests were sent: large where the machine was short of processors.
    late_p99: float
    #: Good answers of the model that failed; there should be none.
    by_failed: int


def play(site: Site, fault: Fault, mode: Mode, window: float) -> Round:
    """Let the model fail that serves, for `window` seconds at least; all clients are at the next one afterwards.

    Raises TimeoutError when the route does not come to rest, or the operator does not move its traffic.
    """
    route = site.route
    route.patch(dryRun=mode is Mode.BUILT_IN)
    active = wait_calm(route)
    time.sleep(LEAD_SECONDS)
    struck = strike(site.models[active], fault)
    until = struck + window
    if mode is Mode.BUILT_IN:
        _sleep_until(until)
        asked = time.time()
        # It goes on as with the operator, so that the next one begins at the next model.
        route.patch(dryRun=False)
        past = route.wait_past("Failover", asked, seconds=_SWITCH_SECONDS)
    else:
        asked = struck
        past = route.wait_past("Failover", struck, seconds=_SWITCH_SECONDS)
        _sleep_until(until)
    over = time.time()
    end(site.models[active], fault)
    spoiled = why_spoiled(past, active, asked)
    if mode is Mode.BUILT_IN or spoiled:
        return Round(fault, mode, active, struck, until, over, spoiled=spoiled)
    decided, proved = seconds_of(past["startedAt"]), seconds_of(past["provedAt"])
    return Round(fault, mode, active, struck, until, over, decided, proved)


def wait_calm(route: Route) -> str:
    """Wait until a model serves, proved everywhere, it is healthy as the next one is, and nothing goes on; its name."""
    return route.wait("to be calm", _calm, seconds=_CALM_SECONDS)


def _calm(found: Json) -> str | None:
    status: Json = found.get("status") or {}
    active, revision = status.get("active"), status.get("revision", 0)
    if active is None or "switch" in status or status.get("observedGeneration") != found["metadata"]["generation"]:
        return None
    rows = rows_of(found)
    ready = all(rows.get(name, {}).get("state") == "Healthy" for name in (active, following(active)[0]))
    return str(active) if ready and 0 < revision == status.get("provedRevision") else None


def strike(simulator: Simulator, fault: Fault) -> float:
    """Let it fail; since when it does, in seconds since the epoch."""
    if fault is Fault.KILLED:
        return simulator.kill()
    simulator.control(fault="hang")
    return time.time()


def end(simulator: Simulator, fault: Fault) -> None:
    """Let it answer again, at once or soon."""
    if fault is Fault.KILLED:
        simulator.start_again()
    else:
        simulator.control(fault=None)


def why_spoiled(past: Json, model: str, asked: float) -> str | None:
    """Why a switch is not the one that was wanted; None: it is. It had to be decided after `asked`."""
    if past.get("from") != model:
        return f"traffic left {past.get('from')}, and not {model}: {past.get('trigger')}"
    if past.get("result") != "Switched" or not past.get("provedAt"):
        return f"the switch to {past.get('to')} was not proved: {past.get('result')} {past.get('message', '')}".strip()
    if seconds_of(past["startedAt"]) < asked:
        return "it was decided before it should have been"
    return None


def seen(records: Sequence[Record], played: Round) -> Seen:
    """What clients saw. `records` are of the whole case. Raises ValueError when none is of the round."""
    after = [r for r in records if played.struck <= r.scheduled < max(played.until, played.over)]
    window = [r for r in after if r.scheduled < played.until]
    # For the gateway alone what comes later is the operator's doing.
    horizon = window if played.mode is Mode.BUILT_IN else after
    good = [r for r in horizon if r.outcome is Outcome.OK]
    trouble = [r.scheduled - played.struck for r in horizon if _troubled(r)]
    latencies = [1000 * r.latency for r in window]
    answered = played.struck + _ON_ITS_WAY_SECONDS
    return Seen(
        sent=len(window),
        failed=sum(r.outcome is not Outcome.OK for r in window),
        slow=sum(r.outcome is Outcome.OK and r.latency >= SLOW_SECONDS for r in window),
        first=min((round(r.ended - played.struck, 3) for r in good), default=None),
        last_trouble=round(max(trouble, default=0.0), 3),
        p50=round(quantile(latencies, 0.50), 1),
        p99=round(quantile(latencies, 0.99), 1),
        late_p99=round(quantile([1000 * (r.started - r.scheduled) for r in window], 0.99), 1),
        # One that waited until the fault was over may have its answer of that model.
        by_failed=sum(r.release == played.model and r.started >= answered and r.ended < played.over for r in good),
    )


def _troubled(record: Record) -> bool:
    return record.outcome is not Outcome.OK or record.latency >= SLOW_SECONDS


def before(records: Sequence[Record], rounds: Sequence[Round]) -> dict[str, Any]:
    """What requests took just before faults, in milliseconds."""
    spans = [(each.struck - LEAD_SECONDS, each.struck) for each in rounds]
    # One that was sent just before may wait for the model that then fails.
    calm = [1000 * r.latency for r in records if any(a <= r.scheduled and r.ended <= b for a, b in spans)]
    if not calm:
        return {"requests": 0}
    return {"requests": len(calm), "p50": round(quantile(calm, 0.50), 1), "p99": round(quantile(calm, 0.99), 1)}


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))
