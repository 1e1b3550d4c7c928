"""How the operator does with many services: memory, CPU at rest, time to start, and a hundred changes at once.

Only etcd and kube-apiserver run; `bench.standin` plays the controllers, so that the children are there without pods.
The operator is a process of its own, as it is deployed, but out of the cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bench import figures, operator_process, world
from bench.client import Client, Json
from bench.figures import quantile
from bench.operator_process import OperatorProcess, Samples
from bench.standin import StandIn
from hack.cluster import controlplane
from sophia_operator.core.names import LABEL_SERVICE

MEMORY_GOAL_MIB: Final = 300.0
START_GOAL_SECONDS: Final = 60.0
#: Share of one CPU that counts as nothing.
CPU_GOAL_PERCENT: Final = 1.0
_LOG: Final = figures.OUT / "scale-operator.log"
_PASS: Final = "sophia_reconcile_duration_seconds"
#: Tells the name of the service that an object shows the operator's reaction for, if it does.
Mark = Callable[[Json], str | None]


@dataclass(frozen=True)
class Parameters:
    """What to measure."""

    services: int = 1000
    settle_minutes: float = 5.0
    #: How long an operator without services is watched, to compare with.
    idle_seconds: float = 30.0
    changes: int = 100
    #: An operator without a pass for so long is taken to have nothing to do.
    still_seconds: float = 2.0
    #: Limit of each wait; a larger fleet takes longer.
    wait_seconds: float = 1800.0


#: For the test of the benchmark itself.
QUICK: Final = Parameters(
    services=20, settle_minutes=5 / 60, idle_seconds=2.0, changes=5, still_seconds=0.5, wait_seconds=60.0
)


@dataclass(frozen=True)
class Rest:
    """An operator that has nothing to do: CPU in percent of one, requests by verb, passes."""

    seconds: float
    cpu_percent: float
    rss_mib: float
    pss_mib: float
    requests: dict[str, int]
    passes: int


@dataclass(frozen=True)
class Reaction:
    """From a change by a user to what the operator made of it, in seconds."""

    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Reaction:
        """Summarize."""
        return cls(*(round(v, 3) for v in (quantile(values, 0.5), quantile(values, 0.99), max(values))))


class Measurement:
    """One run. The figures are ready for JSON."""

    def __init__(self, parameters: Parameters, client: Client, say: Callable[[str], None]) -> None:
        self._parameters = parameters
        self._client = client
        self._say = say
        self._objects = world.fleet(parameters.services)
        self._look: Callable[[Json], None] = lambda _: None
        self._standin = StandIn(client, self._tap)

    async def run(self, kubeconfig: Path) -> dict[str, Any]:
        """Measure everything."""
        await world.prepare(self._client, world.namespaces_of(self._objects))
        async with self._standin.running():
            with operator_process.running(kubeconfig, _LOG) as operator:
                out = await self._cold(operator)
            with operator_process.running(kubeconfig, _LOG) as operator:
                out |= await self._warm(operator)
                out |= await self._changes(operator)
        idle, settled, services = out["idle"], out["settled"], self._parameters.services
        extra = settled["cpu_percent"] - idle["cpu_percent"]
        ratio = settled["cpu_percent"] / idle["cpu_percent"] if idle["cpu_percent"] else None
        out["settledToIdleCpu"] = None if ratio is None else round(ratio, 2)
        out["cpuMicrosecondsPerServiceAndSecond"] = round(extra / 100 * 1e6 / services, 1)
        out["memoryKibPerService"] = round((settled["rss_mib"] - idle["rss_mib"]) * 1024 / services, 1)
        return out

    def _tap(self, event: Json) -> None:
        if event["type"] != "DELETED":
            self._look(event["object"])

    async def _cold(self, operator: OperatorProcess) -> dict[str, Any]:
        """An operator without services, then all of them applied at once."""
        client, objects = self._client, self._objects
        await self._quiet(operator, 0)
        idle = await _rest(operator, self._parameters.idle_seconds)
        self._say(f"idle: {idle.cpu_percent:.2f} % of a CPU, {idle.rss_mib:.0f} MiB")
        before, began = operator.read(), time.monotonic()
        await world.at_most(32, [client.apply(obj) for obj in objects])
        applied = time.monotonic() - began
        async with asyncio.timeout(self._parameters.wait_seconds):
            while (settled := await self._settled()) < len(objects):
                operator.check()
                self._say(f"settled {settled} of {len(objects)} after {time.monotonic() - began:.0f} s")
                await asyncio.sleep(max(0.2, min(5.0, len(objects) / 200)))
        seconds = time.monotonic() - began
        self._say(f"all settled {seconds:.1f} s after the first was applied")
        await self._quiet(operator, len(objects))
        return {
            "idle": asdict(idle),
            "cold": {
                "applySeconds": round(applied, 1),
                "allSettledSeconds": round(seconds, 1),
                "requests": _by_verb(operator.read().since(before)),
                "peakRssMib": operator.peak_mib(),
            },
        }

    async def _quiet(self, operator: OperatorProcess, services: int) -> float:
        """Seconds from the operator's start to its last pass, once it has nothing to do."""
        parameters = self._parameters
        return await asyncio.to_thread(
            operator.wait_quiet, services, seconds=parameters.wait_seconds, still=parameters.still_seconds
        )

    async def _settled(self) -> int:
        self._standin.check()
        found, _ = await self._client.list("sophia.ai/v1alpha1", "ManagedService")
        return sum(map(world.is_settled, found))

    async def _warm(self, operator: OperatorProcess) -> dict[str, Any]:
        """An operator that starts where all is settled, and then has nothing to do."""
        parameters = self._parameters
        seconds = await self._quiet(operator, parameters.services)
        started, cpu = operator.read(), operator.cpu_seconds()
        self._say(f"warm start: all settled after {seconds:.1f} s, with {cpu:.1f} s of CPU")
        # The work of the start leaves workers of the framework that end after some seconds.
        await asyncio.sleep(min(10.0, parameters.settle_minutes * 60))
        rest = await _rest(operator, parameters.settle_minutes * 60)
        self._say(f"at rest: {rest.cpu_percent:.2f} % of a CPU, {rest.rss_mib:.0f} MiB")
        objects = {kind: len((await self._client.list(version, kind))[0]) for version, kind in _KINDS}
        return {
            "warmStart": {
                "allSettledSeconds": round(seconds, 2),
                "cpuSeconds": round(cpu, 2),
                "writes": _writes(started),
                **_passes(started),
                "peakRssMib": operator.peak_mib(),
            },
            "settled": asdict(rest),
            "objects": objects,
        }

    async def _changes(self, operator: OperatorProcess) -> dict[str, Any]:
        """Some services change at the same moment: first their size, then what they run."""
        objects, count = self._objects, self._parameters.changes
        changed = objects[:: max(1, len(objects) // count)][:count]
        replicas = changed[0]["spec"]["replicas"] + 1
        container = {**changed[0]["spec"]["template"]["spec"]["containers"][0]}
        container["env"] = [{**e, "value": "2"} if e["name"] == "DEMO_VERSION" else e for e in container["env"]]
        template = {"spec": {"containers": [container]}}
        out: dict[str, Any] = {}
        for name, patch, marks in (
            ("resize", {"spec": {"replicas": replicas}}, [_resized(replicas)]),
            ("newRelease", {"spec": {"template": template}}, [_released, _started]),
        ):
            before = operator.read()
            direct, reactions = await self._react(changed, patch, marks)
            await asyncio.sleep(1.0)
            grown = operator.read().since(before)
            out[name] = {
                "services": len(changed),
                "directWrite": asdict(direct),
                "reaction": [asdict(r) for r in reactions],
                "reactionToDirectWrite": round(reactions[0].p50 / direct.p50, 1),
                **_passes(grown),
                "requests": _by_verb(grown),
            }
            first = reactions[0]
            self._say(f"{name}: {len(changed)} at once, reaction p50 {first.p50:.2f} s, p99 {first.p99:.2f} s")
        return out

    async def _react(
        self, changed: Sequence[Json], patch: Json, marks: Sequence[Mark]
    ) -> tuple[Reaction, list[Reaction]]:
        """Patch all at once. Returns how long the patches took and, for each mark, how long after its patch was
        accepted a service bore it."""
        names = {obj["metadata"]["name"] for obj in changed}
        hits: list[dict[str, float]] = [{} for _ in marks]
        complete = asyncio.Event()

        def look(obj: Json) -> None:
            for found, mark in zip(hits, marks, strict=True):
                name = mark(obj)
                if name is not None and name in names:
                    found.setdefault(name, time.monotonic())
            if all(len(found) == len(names) for found in hits):
                complete.set()

        sent: dict[str, float] = {}
        took: list[float] = []

        async def change(obj: Json) -> None:
            began = time.monotonic()
            await self._client.merge(obj, patch)
            sent[obj["metadata"]["name"]] = time.monotonic()
            took.append(time.monotonic() - began)

        self._look = look
        await asyncio.gather(*(change(obj) for obj in changed))
        async with asyncio.timeout(self._parameters.wait_seconds):
            await complete.wait()
        self._look = lambda _: None
        delays = [Reaction.of([max(0.0, found[name] - sent[name]) for name in names]) for found in hits]
        return Reaction.of(took), delays


def _resized(replicas: int) -> Mark:
    def mark(obj: Json) -> str | None:
        is_new = obj["kind"] == "Deployment" and obj["spec"].get("replicas") == replicas
        return str(obj["metadata"]["labels"][LABEL_SERVICE]) if is_new else None

    return mark


def _released(obj: Json) -> str | None:
    is_new = obj["kind"] == "Release" and obj["spec"]["revision"] == 2
    return str(obj["spec"]["serviceName"]) if is_new else None


def _started(obj: Json) -> str | None:
    is_new = obj["kind"] == "Deployment" and obj["metadata"]["name"].endswith("-2")
    return str(obj["metadata"]["labels"][LABEL_SERVICE]) if is_new else None


async def _rest(operator: OperatorProcess, seconds: float) -> Rest:
    before, cpu, began = operator.read(), operator.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    spent, elapsed, memory = operator.cpu_seconds() - cpu, time.monotonic() - began, operator.memory()
    grown = operator.read().since(before)
    return Rest(
        seconds=round(elapsed, 1),
        cpu_percent=round(100 * spent / elapsed, 3),
        rss_mib=memory.rss,
        pss_mib=memory.pss,
        requests=_by_verb(grown),
        passes=int(grown.total(f"{_PASS}_count")),
    )


def _passes(samples: Samples) -> dict[str, Any]:
    quantiles = {name: samples.quantile(_PASS, q) for name, q in (("passP50Ms", 0.5), ("passP99Ms", 0.99))}
    milliseconds = {name: None if value is None else round(value * 1000, 1) for name, value in quantiles.items()}
    return {"passes": int(samples.total(f"{_PASS}_count")), **milliseconds}


_KINDS: Final = (
    ("sophia.ai/v1alpha1", "ManagedService"),
    ("sophia.ai/v1alpha1", "Release"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "Pod"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
)
_READS: Final = frozenset({"get", "list", "watch"})


def _by_verb(samples: Samples) -> dict[str, int]:
    """The operator's own requests as `verb kind`, those that there were."""
    counted = samples.by("sophia_api_requests_total", "verb", "kind")
    return {" ".join(key): int(value) for key, value in sorted(counted.items()) if value}


def _writes(samples: Samples) -> int:
    counted = samples.by("sophia_api_requests_total", "verb", "kind")
    return int(sum(value for (verb, kind), value in counted.items() if verb not in _READS and kind != "Lease"))


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The table: what, how much, and the goal with whether it is met."""
    warm, settled, idle = found["warmStart"], found["settled"], found["idle"]
    services = found["parameters"]["services"]
    out = [
        ("objects that are watched", str(sum(found["objects"].values())), ""),
        ("memory, idle", f"{idle['rss_mib']:.0f} MiB", ""),
        (
            f"memory, {services} services settled (RSS / PSS)",
            f"{settled['rss_mib']:.0f} / {settled['pss_mib']:.0f} MiB",
            _goal(settled["rss_mib"], MEMORY_GOAL_MIB, "MiB"),
        ),
        ("memory, a service", f"{found['memoryKibPerService']:.0f} KiB", ""),
        ("memory, peak of the start", f"{warm['peakRssMib']:.0f} MiB", ""),
        ("CPU, idle", f"{idle['cpu_percent']:.2f} %", ""),
        (
            f"CPU, settled, over {settled['seconds']:.0f} s",
            f"{settled['cpu_percent']:.2f} %",
            _goal(settled["cpu_percent"], CPU_GOAL_PERCENT, "%"),
        ),
        ("passes while settled", str(settled["passes"]), ""),
        ("requests while settled", _words(settled["requests"]), ""),
        (
            "start to all settled",
            f"{warm['allSettledSeconds']:.1f} s",
            _goal(warm["allSettledSeconds"], START_GOAL_SECONDS, "s"),
        ),
        ("CPU of the start", f"{warm['cpuSeconds']:.1f} s", ""),
        ("writes of the start", str(warm["writes"]), _goal(warm["writes"], 0, "")),
        ("first apply to all settled", f"{found['cold']['allSettledSeconds']:.0f} s", ""),
    ]
    names = {"resize": ("Deployment resized",), "newRelease": ("Release made", "its Deployment made")}
    for name, labels in names.items():
        change = found[name]
        for label, reaction in zip(
            ("the user's own write", *labels), (change["directWrite"], *change["reaction"]), strict=True
        ):
            words = f"{reaction['p50']:.2f} / {reaction['p99']:.2f} / {reaction['max']:.2f} s"
            out.append((f"{change['services']} at once: {label} (p50 / p99 / max)", words, ""))
        words = f"{change['passP50Ms']:.0f} / {change['passP99Ms']:.0f} ms"
        out.append((f"{change['services']} at once: a pass (p50 / p99)", words, ""))
    return out


def _goal(value: float, goal: float, unit: str) -> str:
    return f"{'met' if value <= goal else 'MISSED'}: {goal:g} {unit}".rstrip()


def _words(requests: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in requests.items()) or "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--services", type=int, default=Parameters.services)
    parser.add_argument("--settle-minutes", type=float, default=Parameters.settle_minutes)
    parser.add_argument("--changes", type=int, default=Parameters.changes)
    parser.add_argument("--quick", action="store_true", help="20 services for some seconds: does the benchmark work?")
    given = parser.parse_args(arguments)
    parameters = (
        QUICK
        if given.quick
        else Parameters(services=given.services, settle_minutes=given.settle_minutes, changes=given.changes)
    )
    run(parameters, Console(stderr=True).print)
    return 0


def run(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write the figures, print the table. Returns what was written."""
    before = figures.machine()
    found = asyncio.run(_measure(parameters, say))
    path = figures.write("scale", asdict(parameters), found, before)
    whole = {**found, "parameters": asdict(parameters)}
    title = f"Scale: {parameters.services} services"
    figures.show([figures.table(title, ("", "measured", "goal"), rows(whole))], path)
    return whole


async def _measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    with controlplane.running() as kubeconfig:
        async with Client(kubeconfig) as client:
            return await Measurement(parameters, client, say).run(kubeconfig)


if __name__ == "__main__":
    sys.exit(main())
