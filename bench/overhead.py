"""What a rollout costs beyond its stages: time on the real cluster, and requests to the API server.

Time: whole rollouts under load on the real cluster; each Release's own transitions tell where the time went.

Requests: the same rollout on a control plane where nobody but the operator and the stand-ins for controllers and
gateway writes. `apiserver_request_total` does not tell clients apart, so the audit log says who asked, and the
counter whether the log is complete. A settled service is then watched for a minute: it must cost the Lease alone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import figures, operator_process, world
from bench.audit_log import COUNTER, READS, AuditLog, Request, by_verb, counted
from bench.client import Client
from bench.figures import Spread
from bench.node import service_under_load
from bench.operator_process import Samples
from bench.rollout_split import Split, split
from bench.standin import StandIn
from bench.traffic_standin import TrafficStandIn
from hack.cluster import controlplane
from hack.cluster.daemons import free_ports
from hack.rig.api import Json
from hack.rig.services import rollout, service, stages

NAMESPACE: Final = "bench-overhead"
NAME: Final = "shop"
_KEEP_SECONDS: Final = 1
#: Longer than anything that the operator waits for by itself once a rollout is over.
_STILL_SECONDS: Final = 2.0
_LIMIT_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Parameters:
    """What to measure. Without `rollouts` the real cluster is left alone."""

    rollouts: int = 3
    weights: tuple[int, ...] = (10, 25, 50, 100)
    stage_seconds: int = 8
    look_seconds: int = 2
    rate: float = 100.0
    settled_seconds: float = 60.0


#: For the test of the benchmark itself.
QUICK: Final = Parameters(rollouts=0, weights=(100,), stage_seconds=1, look_seconds=1, settled_seconds=2.0)


def plan_of(parameters: Parameters, smoke: Sequence[Json]) -> Json:
    """The rollout that is measured: its stages, one gate, one smoke test."""
    return rollout(
        stages=stages(*parameters.weights, seconds=parameters.stage_seconds),
        smokeTests=list(smoke),
        lookIntervalSeconds=parameters.look_seconds,
        keepPreviousSeconds=_KEEP_SECONDS,
        drainSeconds=1,
    )


# -- Time, on the real cluster ----------------------------------------------------------------------------------------


def time_of_rollouts(parameters: Parameters, say: Callable[[str], None]) -> list[Split]:
    """Roll good changes out, one after the other."""
    plan = plan_of(parameters, rollout()["smokeTests"])
    found = []
    with service_under_load(
        NAMESPACE, rate=parameters.rate, env=_env(1), plan=plan, log=figures.OUT / "overhead.jsonl"
    ) as site:
        for revision in range(2, parameters.rollouts + 2):
            applied = time.time()
            site.service.apply(env=_env(revision), plan=plan)
            release = site.service.wait_state(revision, "Promoted", seconds=_LIMIT_SECONDS)
            site.service.wait_settled(revision, seconds=60)
            found.append(split(release, applied))
            say(f"rollout {revision - 1}: {found[-1].wall:.1f} s, of which {found[-1].overhead:.1f} s overhead")
            time.sleep(_KEEP_SECONDS + 3)
        lost = site.load.report().lost
        if lost:
            say(f"LOST {lost} requests")
    return found


def _env(revision: int) -> dict[str, str]:
    return {"DEMO_VERSION": str(revision)}


# -- Requests, on a control plane -------------------------------------------------------------------------------------


class Requests:
    """One rollout, and one service at rest, counted."""

    def __init__(self, parameters: Parameters, client: Client, audit: AuditLog, say: Callable[[str], None]) -> None:
        self._parameters = parameters
        self._client = client
        self._audit = audit
        self._say = say
        self._standin = StandIn(client)

    async def run(self, kubeconfig: Path) -> dict[str, Any]:
        """Count everything; ready for JSON."""
        (port,) = free_ports(1)
        await world.prepare(self._client, [NAMESPACE], gateway_port=port)
        traffic = TrafficStandIn(NAME, lambda: self._standin.weights.get((NAMESPACE, NAME), {}))
        log = figures.OUT / "overhead-operator.log"
        async with self._standin.running(), traffic.running(port):
            with operator_process.running(kubeconfig, log, f"http://127.0.0.1:{port}") as operator:
                await asyncio.to_thread(operator.wait_quiet, 0, seconds=60)
                first = await self._rollout(1, [])
                smoke = {"name": "front", "path": "/", "via": "Gateway", "attempts": 3, "timeoutSeconds": 2}
                change = await self._rollout(2, [smoke])
                self._say(f"a rollout: {change['reads']} reads, {change['writes']} writes")
                settled = await self._settled()
                self._say(f"settled for {settled['seconds']:.0f} s: {settled['byVerb']}")
        return {"firstRelease": first, "rollout": change, "settled": settled}

    async def _rollout(self, revision: int, smoke: Sequence[Json]) -> dict[str, Any]:
        """Apply a revision and count until it is promoted and nothing is left to do."""
        await asyncio.sleep(0.5)
        self._audit.skip()
        counter, began = await self._counter(), time.time()
        plan = plan_of(self._parameters, smoke)
        await self._client.apply(service(NAME, NAMESPACE, env=_env(revision), plan=plan))
        release = await self._promoted(revision)
        requests = await self._until_still()  # the release before is scaled down
        out = _summary(requests)
        out["agreement"] = _agreement(requests, (await self._counter()).since(counter))
        if revision > 1:
            out["time"] = asdict(split(release, began))
            looks = sum(1 for r in requests if r.by_operator and (r.verb, r.what) == ("apply", "releases/status"))
            out["releaseStatusWrites"] = looks
        return out

    async def _promoted(self, revision: int) -> Json:
        path = f"/apis/sophia.ai/v1alpha1/namespaces/{NAMESPACE}"
        async with asyncio.timeout(_LIMIT_SECONDS):
            while True:
                self._standin.check()
                owner = await self._client.request("GET", f"{path}/managedservices/{NAME}")
                stable = (owner.get("status") or {}).get("stable") or {}
                if world.is_settled(owner) and stable.get("revision") == revision:
                    found: Json = await self._client.request("GET", f"{path}/releases/{NAME}-{revision}")
                    return found
                await asyncio.sleep(0.25)

    async def _until_still(self) -> list[Request]:
        """What was asked, once the operator asks for nothing any more."""
        requests = self._audit.read()
        last = time.monotonic()
        while time.monotonic() - last < _STILL_SECONDS:
            await asyncio.sleep(0.1)
            news = self._audit.read()
            if any(r.by_operator and r.what != "leases" for r in news):
                last = time.monotonic()
            requests += news
        return requests

    async def _settled(self) -> dict[str, Any]:
        self._audit.skip()
        began = time.monotonic()
        await asyncio.sleep(self._parameters.settled_seconds)
        requests = self._audit.read()
        out = _summary(requests)
        # Watches end and begin again every few minutes; the audit of the store lists now and then.
        beside = [r for r in requests if r.by_operator and r.what != "leases" and r.verb != "watch"]
        return {**out, "seconds": round(time.monotonic() - began, 1), "besideTheLease": len(beside)}

    async def _counter(self) -> Samples:
        return Samples.parse(await self._client.request("GET", "/metrics"), prefix=COUNTER)


def _summary(requests: list[Request]) -> dict[str, Any]:
    mine = [r for r in requests if r.by_operator and r.what != "leases"]
    reads = sum(r.verb in READS for r in mine)
    return {
        "byVerb": by_verb(mine),
        "reads": reads,
        "writes": len(mine) - reads,
        "leaseRenewals": sum(r.by_operator and r.what == "leases" for r in requests),
    }


_VERBS: Final = {"create": "post", "update": "put", "deletecollection": "delete"}


def _agreement(requests: list[Request], counter: Samples) -> dict[str, dict[str, int]]:
    """Writes of all clients by verb: as the log has them, and as the API server counted them."""
    logged: dict[str, int] = {}
    for request in requests:
        if request.verb not in READS:
            verb = _VERBS.get(request.verb, request.verb)
            logged[verb] = logged.get(verb, 0) + 1
    served = {verb: n for verb, n in counted(counter).items() if verb in ("post", "put", "patch", "apply", "delete")}
    dry = {verb: n for verb, n in counted(counter).items() if verb == "dry-run"}
    return {"auditLog": dict(sorted(logged.items())), "apiserverRequestTotal": {**dry, **served}}


async def count_requests(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """The requests of a rollout and of a settled service."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "audit.log")
        with controlplane.running(audit_log=log) as kubeconfig:
            async with Client(kubeconfig) as client:
                return await Requests(parameters, client, AuditLog(log), say).run(kubeconfig)


# -- For people -------------------------------------------------------------------------------------------------------


def tables(found: dict[str, Any]) -> list[Table]:
    """What it cost."""
    out = []
    if found.get("time"):
        rows = []
        for name, words in _PARTS:
            spread: Spread = found["time"][name]
            rows.append((words, *(f"{value:.2f} s" for value in (spread.median, spread.min, spread.max))))
        out.append(figures.table("Time of a rollout, real cluster", ("", "median", "min", "max"), rows))
    change, settled = found["requests"]["rollout"], found["requests"]["settled"]
    first = found["requests"]["firstRelease"]
    names = sorted({*change["byVerb"], *first["byVerb"]})
    rows = [(name, str(first["byVerb"].get(name, 0)), str(change["byVerb"].get(name, 0))) for name in names]
    rows += [(what, str(first[what]), str(change[what])) for what in ("reads", "writes")]
    out.append(figures.table("Requests to the API server", ("", "first release", "a rollout"), rows))
    words = f"Requests of a settled service in {settled['seconds']:.0f} s"
    rows = [("Lease renewals", str(settled["leaseRenewals"])), ("everything else", str(settled["besideTheLease"]))]
    out.append(figures.table(words, ("", ""), rows))
    return out


_PARTS: Final = (
    ("wall", "apply to promotion"),
    ("stages", "of it: the stages' own times"),
    ("overhead", "overhead"),
    ("begin", "  until the operator begins"),
    ("provision", "  until green is ready"),
    ("smoke", "  smoke tests"),
    ("observe", "  weights: written, taken up, seen (all stages)"),
    ("decide", "  from a stage's end to the next step (all stages)"),
)


def run(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write the figures, print the tables. Returns what was written."""
    before = figures.machine()
    found: dict[str, Any] = {"requests": asyncio.run(count_requests(parameters, say))}
    if parameters.rollouts:
        splits = time_of_rollouts(parameters, say)
        found["time"] = {name: Spread.of([getattr(s, name) for s in splits]) for name, _ in _PARTS}
    path = figures.write("overhead", asdict(parameters), found, before)
    figures.show(tables(found), path)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=Parameters.rollouts, help="on the real cluster; 0: none")
    parser.add_argument("--stage-seconds", type=int, default=Parameters.stage_seconds)
    parser.add_argument("--rate", type=float, default=Parameters.rate, help="requests per second")
    parser.add_argument("--quick", action="store_true", help="requests only, and short: does the benchmark work?")
    given = parser.parse_args(arguments)
    chosen = Parameters(rollouts=given.rollouts, stage_seconds=given.stage_seconds, rate=given.rate)
    run(QUICK if given.quick else chosen, Console(stderr=True).print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
