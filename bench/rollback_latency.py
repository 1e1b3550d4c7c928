"""How long a fault reaches users: from its injection at the first stage to the last request that green answers.

Each run rolls a good change out to 10 % of a steady load, then lets every pod of the new release fail at a known
moment, through the demo app's control endpoint. What follows is split into

* detection: until the operator says in the Release's status that it goes back;
* write: until the route says so (a watch sees it);
* propagation: until green answers its last request. At 10 % of 200 requests a second green has one every 50 ms, and
  its last one may lie as much before the route changed.

The limit is one scrape, one look, and that propagation: a fault that begins right after a scrape is in the next one,
and a scrape right after a look is in the next look.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console

from bench import figures
from bench.figures import Spread
from bench.node import Site, scrape_seconds, service_under_load
from hack.demo.figures import seconds_of
from hack.load import Record
from hack.rig.api import Api, Json
from hack.rig.services import Service, rollout, stages, success_gate

NAMESPACE: Final = "bench-rollback"
_PORT: Final = 8080


@dataclass(frozen=True)
class Parameters:
    """What to measure."""

    runs: int = 5
    rate: float = 200.0
    weight_percent: int = 10
    error_percent: int = 50
    look_seconds: int = 2


@dataclass(frozen=True)
class Run:
    """One rollback; all times in seconds, which add up. `bad` requests failed before green had its last."""

    detection: float
    write: float
    propagation: float
    total: float
    bad: int
    lost: int


class RouteWatch:
    """Notes when the route of a service first gives green no traffic any more."""

    def __init__(self, api: Api, service: Service, color: str) -> None:
        self._api = api
        self._service = service
        self._color = color
        self.closed_at: float | None = None
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> RouteWatch:
        """Begin. Call it while green has traffic."""
        self._thread.start()
        return self

    def _watch(self) -> None:
        had_traffic = False
        for event in self._api.watch("HTTPRoute", self._service.namespace, seconds=120):
            if event["object"]["metadata"].get("name") != self._service.name:
                continue
            weight = weight_of(event["object"], f"{self._service.name}-{self._color}")
            if weight == 0 and had_traffic:
                self.closed_at = time.time()
                break
            had_traffic = had_traffic or weight > 0
        self.done.set()


def weight_of(route: Json, backend: str) -> int:
    """Weight of a backend in a route's rule for users; 0 when it is not there."""
    for rule in route["spec"].get("rules", ()):
        for reference in rule.get("backendRefs", ()):
            if reference["name"] == backend:
                return int(reference.get("weight", 1))
    return 0


def split(release: Json, records: Sequence[Record], injected: float, written: float) -> Run:
    """The figures of one rollback. Raises ValueError when the release did not go back, or never answered."""
    name = release["metadata"]["name"]
    back = [t for t in release["status"].get("transitions", ()) if t["state"] == "RollingBack"]
    mine = [r for r in records if r.release == name and r.ended >= injected]
    if not back or not mine:
        raise ValueError(f"{name} did not go back: {release['status'].get('state')}; {len(mine)} requests")
    decided, last = seconds_of(back[0]["time"]), max(r.ended for r in mine)
    during = [r for r in records if injected <= r.started <= last]
    return Run(
        detection=round(decided - injected, 3),
        write=round(written - decided, 3),
        propagation=round(last - written, 3),
        total=round(last - injected, 3),
        bad=sum(r.outcome.value == "appError" for r in mine),
        lost=sum(r.outcome.value == "lost" for r in during),
    )


def inject(api: Api, service: Service, revision: int, error_percent: int) -> tuple[float, float]:
    """Let every pod of a release fail from now on. Returns when the first and the last one was told."""
    pods = api.list("Pod", service.namespace, f"sophia.ai/release={service.name}-{revision}")
    addresses = [pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")]
    body = json.dumps({"errorPercent": error_percent}).encode()

    def tell(address: str) -> None:
        request = urllib.request.Request(f"http://{address}:{_PORT}/fault", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()

    with ThreadPoolExecutor(len(addresses)) as threads:
        began = time.time()
        list(threads.map(tell, addresses))
    return began, time.time()


def one(site: Site, revision: int, parameters: Parameters) -> Run:
    """Roll a change out, break it, and see how it goes back."""
    service = site.service
    service.apply(env=_env(revision), plan=_plan(parameters))
    release = service.wait_stage(revision, 0)
    watch = RouteWatch(site.watching, service, release["status"]["color"]).start()
    # Runs begin at different moments between two looks, spread evenly.
    time.sleep(3.0 + parameters.look_seconds * ((revision - 2) % parameters.runs) / parameters.runs)
    injected, _ = inject(site.api, service, revision, parameters.error_percent)
    release = service.wait_state(revision, "RolledBack", seconds=60)
    if not watch.done.wait(30) or watch.closed_at is None:
        raise TimeoutError("the route was not seen to change")
    time.sleep(1.0)  # the last answers come in
    return split(release, site.load.records[:], injected, watch.closed_at)


def _plan(parameters: Parameters) -> Json:
    return rollout(
        stages=[
            {"weightPercent": parameters.weight_percent, "observeSeconds": 120},
            *stages(100, seconds=10),
        ],
        gates=[success_gate()],
        lookIntervalSeconds=parameters.look_seconds,
        abortKeepSeconds=1,
    )


def _env(revision: int) -> dict[str, str]:
    return {"DEMO_VERSION": str(revision), "DEMO_CONTROL": "1"}


def measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """All the runs on the cluster that is up."""
    runs: list[Run] = []
    with service_under_load(
        NAMESPACE, rate=parameters.rate, env=_env(1), plan=_plan(parameters), log=figures.OUT / "rollback.jsonl"
    ) as site:
        scrape = scrape_seconds(site.api)
        for number in range(parameters.runs):
            run = one(site, number + 2, parameters)
            runs.append(run)
            say(
                f"run {number + 1}: {run.total:.2f} s = {run.detection:.2f} detection + {run.write:.2f} write"
                f" + {run.propagation:.2f} propagation; {run.bad} bad answers, {run.lost} lost"
            )
    return summary(runs, scrape, parameters.look_seconds)


def summary(runs: Sequence[Run], scrape: float, look: float) -> dict[str, Any]:
    """Spreads of the runs' parts, and the limit."""
    parts = ("detection", "write", "propagation", "total", "bad", "lost")
    spreads = {part: Spread.of([getattr(run, part) for run in runs]) for part in parts}
    propagation = max(0.0, spreads["propagation"].median)
    limit = scrape + look + propagation
    return {
        "runs": [asdict(run) for run in runs],
        **spreads,
        "limit": {
            "scrapeSeconds": scrape,
            "lookSeconds": look,
            "propagationSeconds": propagation,
            "seconds": round(limit, 3),
            "runsWithin": sum(run.total <= limit for run in runs),
        },
    }


def tables(found: dict[str, Any]) -> list[Any]:
    """For people."""
    rows = []
    for part in ("detection", "write", "propagation", "total"):
        spread: Spread = found[part]
        rows.append((part, *(f"{value:.2f} s" for value in (spread.median, spread.min, spread.max))))
    for part, words in (("bad", "bad answers"), ("lost", "lost requests")):
        rows.append((words, *(f"{value:g}" for value in (found[part].median, found[part].min, found[part].max))))
    limit = found["limit"]
    words = f"{limit['scrapeSeconds']:g} + {limit['lookSeconds']:g} + {limit['propagationSeconds']:.2f}"
    rows.append((f"limit: scrape + look + propagation = {words}", f"{limit['seconds']:.2f} s", "", ""))
    rows.append(("runs within the limit", f"{limit['runsWithin']} of {len(found['runs'])}", "", ""))
    return [figures.table("From a fault to the last request that green answered", ("", "median", "min", "max"), rows)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollback_latency", description=__doc__)
    parser.add_argument("--runs", type=int, default=Parameters.runs)
    parser.add_argument("--rate", type=float, default=Parameters.rate, help="requests per second")
    parser.add_argument("--error-percent", type=int, default=Parameters.error_percent)
    parser.add_argument("--look-seconds", type=int, default=Parameters.look_seconds)
    given = parser.parse_args(arguments)
    parameters = Parameters(
        runs=given.runs, rate=given.rate, error_percent=given.error_percent, look_seconds=given.look_seconds
    )
    before = figures.machine()
    found = measure(parameters, Console(stderr=True).print)
    figures.show(tables(found), figures.write("rollback_latency", asdict(parameters), found, before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
