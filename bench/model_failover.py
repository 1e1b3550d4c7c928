"""What clients see when the model that serves fails: with the operator, and with what a gateway does by itself.

Four models are simulated on the cluster, and asked through real gateways of two replicas each: Contour with two Envoys,
LiteLLM, Portkey. The model that serves is killed, or hangs. LiteLLM and Portkey ask another model by themselves then:
there each fault comes twice, once with the operator in a dry run and once with it, in turns.

Measured are when the operator had decided and when every replica was seen to follow, by its own books, and what
clients saw: the first answer of another model, requests that failed or were slow, and the last one of those.

The exit code says whether every replica was seen to follow in time in each round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console

from bench import figures, model_tables
from bench.figures import Spread
from bench.model_rounds import Fault, Mode, Round, Seen, before, play, seen
from bench.model_world import (
    BUILT_IN,
    CASES,
    CONTOUR,
    GATEWAY_SECONDS,
    LITELLM,
    PORTKEY,
    PROBE_SECONDS,
    Site,
    site,
    world,
)
from hack.rig.waiting import until

#: Seconds from the fault until every replica was seen to follow. Two probes must fail, and where a model hangs each of
#: them does so only once its time is over.
GOALS: Final = {Fault.KILLED: 5.0, Fault.HANGS: 5.0 + 2 * PROBE_SECONDS}
#: Requests that are due so long after the fault count: about as long as the operator needs.
WINDOWS: Final = {Fault.KILLED: 5.0, Fault.HANGS: 7.0}
#: Requests a second. A proxy of LiteLLM computes 22 ms for each request, and more where another model has to answer:
#: with more of them, how busy two processors are is all that is measured.
RATES: Final = {CONTOUR: 50.0, LITELLM: 10.0, PORTKEY: 50.0}
_CLIENTS: Final = ("first", "last_trouble", "failed", "slow", "p50", "p99")
_COUNTS: Final = ("sent", "late_p99")


@dataclass(frozen=True)
class Parameters:
    """What to measure: each fault of each case so often, with so many requests a second, or as many as RATES says."""

    repetitions: int = 5
    rate: float | None = None
    for_seconds: int = 1
    cases: tuple[str, ...] = CASES
    faults: tuple[Fault, ...] = tuple(Fault)


def modes_of(case: str) -> tuple[Mode, ...]:
    """In the order in which they take turns."""
    return (Mode.BUILT_IN, Mode.OPERATOR) if case in BUILT_IN else (Mode.OPERATOR,)


def measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """All rounds of all cases on the cluster; ready for JSON."""
    found: dict[str, Any] = {}
    broken: dict[str, str] = {}
    with world() as (api, models):
        for case in parameters.cases:
            say(f"{case}: its replicas start")
            try:
                with site(api, models, case, parameters.for_seconds) as place:
                    found[case] = _case(place, case, parameters, say)
            except TimeoutError as error:  # what other cases show is worth no less
                broken[case] = str(error)
                say(f"{case}: BROKEN: {error}")
    return {
        "cases": found,
        "broken": broken,
        "goalSeconds": {fault.value: GOALS[fault] for fault in parameters.faults},
        "windowSeconds": {fault.value: WINDOWS[fault] for fault in parameters.faults},
        "gatewayTimeoutSeconds": GATEWAY_SECONDS,
        "probeTimeoutSeconds": PROBE_SECONDS,
        "met": not broken and all(part["met"] for case in found.values() for part in case["faults"].values()),
    }


def _case(place: Site, case: str, parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    played: list[Round] = []
    rate = parameters.rate or RATES[case]
    with place.load(rate) as load:
        until("a second's answers", lambda: load.report().ok >= rate, seconds=30, every=0.1)
        for number in range(parameters.repetitions):
            for fault in parameters.faults:
                for mode in modes_of(case):
                    each = play(place, fault, mode, WINDOWS[fault])
                    played.append(each)
                    say(f"{case}, {fault.value}, {mode.value}, round {number + 1}: {_words(each)}")
    records = load.records
    pairs = [(each, seen(records, each)) for each in played]
    faults = {fault.value: of_fault(fault, pairs) for fault in parameters.faults}
    return {"rate": rate, "before": before(records, played), "faults": faults}


def _words(each: Round) -> str:
    if each.spoiled is not None:
        return f"SPOILED: {each.spoiled}"
    if each.decided is None or each.proved is None:
        return f"{each.model} failed, and the gateway was alone with that"
    decided, proved = each.decided - each.struck, each.proved - each.struck
    return f"{each.model} was left after {decided:.2f} s, proved after {proved:.2f} s"


def of_fault(fault: Fault, pairs: Sequence[tuple[Round, Seen]]) -> dict[str, Any]:
    """All rounds of one fault in one case, by who helps, and how the operator compares with the gateway alone."""
    mine = [(each, saw) for each, saw in pairs if each.fault is fault]
    modes = {mode: [(each, saw) for each, saw in mine if each.mode is mode] for mode in Mode}
    summaries = {mode: summary(rounds) for mode, rounds in modes.items() if rounds}
    whole = all(part["spoiled"] == 0 for part in summaries.values())
    acted = summaries[Mode.OPERATOR]
    within = sum(_proved(each) < GOALS[fault] for each, _ in modes[Mode.OPERATOR] if each.proved is not None)
    return {
        "modes": {mode.value: part for mode, part in summaries.items()},
        "ratios": ratios(acted, summaries[Mode.BUILT_IN]) if Mode.BUILT_IN in summaries else None,
        "within": within,
        "met": whole and within == len(modes[Mode.OPERATOR]) and all(saw.by_failed == 0 for _, saw in mine),
    }


def summary(rounds: Sequence[tuple[Round, Seen]]) -> dict[str, Any]:
    """Spreads over rounds of one kind. Those that are spoiled are counted, and count for nothing."""
    sound = [(each, saw) for each, saw in rounds if each.spoiled is None]
    values: dict[str, list[float]] = {
        "decided": [each.decided - each.struck for each, _ in sound if each.decided is not None],
        "proved": [_proved(each) for each, _ in sound if each.proved is not None],
        **{name: [v for _, saw in sound if (v := getattr(saw, name)) is not None] for name in (*_CLIENTS, *_COUNTS)},
    }
    return {
        "rounds": [asdict(each) | {"seen": asdict(saw)} for each, saw in rounds],
        "spoiled": len(rounds) - len(sound),
        #: In these no other model gave an answer in time.
        "unanswered": sum(saw.first is None for _, saw in sound),
        **{name: Spread.of(found) if found else None for name, found in values.items()},
    }


def _proved(each: Round) -> float:
    assert each.proved is not None
    return each.proved - each.struck


def ratios(operator: Mapping[str, Any], alone: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """With the operator / the gateway alone, of medians and of worst values; None where the gateway alone has 0."""
    found = {}
    for name in _CLIENTS:
        one, other = operator[name], alone[name]
        if one is not None and other is not None:
            found[name] = {"median": _ratio(one.median, other.median), "worst": _ratio(one.max, other.max)}
    return found


def _ratio(one: float, other: float) -> float | None:
    return round(one / other, 2) if other else None


def run(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write the figures, print the tables. Returns what was written."""
    started = figures.machine()
    found = measure(parameters, say)
    path = figures.write("model_failover", asdict(parameters), found, started)
    figures.show(model_tables.tables(found), path)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 when a replica was late, or a round spoiled."""
    parser = argparse.ArgumentParser(prog="python -m bench.model_failover", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=Parameters.repetitions, help="of each fault in each case")
    parser.add_argument(
        "--rate", type=float, default=Parameters.rate, help="requests a second; as is fit for each gateway"
    )
    parser.add_argument("--for-seconds", type=int, default=Parameters.for_seconds, help="spec.switch.forSeconds")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="gateways")
    faults = [fault.value for fault in Fault]
    parser.add_argument("--faults", nargs="+", choices=faults, default=faults)
    given = parser.parse_args(arguments)
    kinds = tuple(Fault(fault) for fault in given.faults)
    parameters = Parameters(given.repetitions, given.rate, given.for_seconds, tuple(given.cases), kinds)
    return 0 if run(parameters, Console(stderr=True).print)["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
