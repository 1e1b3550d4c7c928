"""How the operator does with many pools: memory, CPU at rest, passes, connections and threads.

Only etcd and kube-apiserver run; `bench.pool_standin` answers for servers and instances. The operator is a process of
its own, as it is deployed, but out of the cluster. Logging in costs it nothing here: there is no TLS and no SCRAM.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bench import figures, operator_process, world
from bench.client import Client, Json
from bench.operator_process import OperatorProcess
from bench.pool_standin import DATABASE, Answers, Kubelet, instance_address, listening, server_address
from hack.cluster import controlplane

MEMORY_GOAL_MIB: Final = 300.0
#: Of one CPU, for 200 pools of two instances that have nothing to do but to be looked at.
CPU_GOAL_PERCENT: Final = 25.0
PASS_GOAL_MS: Final = 250.0
START_GOAL_SECONDS: Final = 60.0
_LOG: Final = figures.OUT / "pool_scale-operator.log"
_PASS: Final = "sophia_reconcile_duration_seconds"
_PER_NAMESPACE: Final = 50
_READS: Final = frozenset({"get", "list", "watch"})


@dataclass(frozen=True)
class Parameters:
    """What to measure."""

    pools: int = 200
    #: Pools in front of the same server.
    per_server: int = 10
    instances: int = 2
    settle_seconds: float = 120.0
    #: After the start, until each pool had five full looks: latencies are judged from ten checks on.
    calm_seconds: float = 315.0
    wait_seconds: float = 900.0


#: For the test of the benchmark itself.
QUICK: Final = Parameters(pools=6, per_server=3, settle_seconds=6.0, calm_seconds=1.0, wait_seconds=90.0)


def fleet(parameters: Parameters) -> list[Json]:
    """The pools, and in front of those of each namespace the Secret with the servers' user."""
    out: list[Json] = []
    for number in range(parameters.pools):
        namespace = f"bench-{number // _PER_NAMESPACE:02d}"
        if number % _PER_NAMESPACE == 0:
            data = {key: base64.b64encode(b"app").decode() for key in ("username", "password")}
            metadata = {"name": "server", "namespace": namespace}
            out.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
        database = {
            "host": server_address(number // parameters.per_server),
            "name": DATABASE,
            "credentialsSecretRef": {"name": "server"},
        }
        spec = {"database": database, "instances": parameters.instances, "size": {"min": 2, "max": 20}}
        metadata = {"name": f"orders-{number:04d}", "namespace": namespace}
        out.append({"apiVersion": "sophia.ai/v1alpha1", "kind": "ConnectionPool", "metadata": metadata, "spec": spec})
    return out


def is_settled(pool: Json) -> bool:
    """Whether a pool says that it is ready, with its configuration."""
    found = {c["type"]: c["status"] for c in (pool.get("status") or {}).get("conditions", ())}
    return found.get("Ready") == "True" and found.get("ConfigApplied") == "True"


class Measurement:
    """One run. The figures are ready for JSON."""

    def __init__(self, parameters: Parameters, client: Client, say: Callable[[str], None]) -> None:
        self._parameters = parameters
        self._client = client
        self._say = say
        self._answers = Answers()
        self._kubelet = Kubelet(client, self._answers)

    async def run(self, kubeconfig: Path) -> dict[str, Any]:
        """Measure everything."""
        parameters, objects = self._parameters, fleet(self._parameters)
        await world.prepare(self._client, world.namespaces_of(objects))
        servers = -(-parameters.pools // parameters.per_server)
        addresses = [server_address(number) for number in range(servers)]
        addresses += [instance_address(number) for number in range(parameters.pools * parameters.instances)]
        async with listening(addresses, self._answers), self._kubelet.running():
            with operator_process.running(kubeconfig, _LOG) as operator:
                out = {"cold": await self._cold(operator, objects)}
            with operator_process.running(kubeconfig, _LOG) as operator:
                out |= await self._warm(operator)
        return out

    async def _cold(self, operator: OperatorProcess, objects: Sequence[Json]) -> dict[str, Any]:
        """All pools are applied at once."""
        began = time.monotonic()
        await world.at_most(32, [self._client.apply(obj) for obj in objects])
        await self._all_settled(operator, began)
        return {"allSettledSeconds": round(time.monotonic() - began, 1), "peakRssMib": operator.peak_mib()}

    async def _all_settled(self, operator: OperatorProcess, began: float) -> None:
        async with asyncio.timeout(self._parameters.wait_seconds):
            while True:
                operator.check()
                self._kubelet.check()
                found, _ = await self._client.list("sophia.ai/v1alpha1", "ConnectionPool")
                settled = sum(map(is_settled, found))
                if settled == self._parameters.pools:
                    return
                self._say(f"settled {settled} of {self._parameters.pools} after {time.monotonic() - began:.0f} s")
                await asyncio.sleep(1.0)

    async def _warm(self, operator: OperatorProcess) -> dict[str, Any]:
        """An operator that starts where all is settled, and then only looks."""
        parameters = self._parameters
        async with asyncio.timeout(parameters.wait_seconds):
            while _passes(operator) < parameters.pools or not _all_told(operator, parameters.pools):
                operator.check()
                # Telling all of its metrics is work, too.
                await asyncio.sleep(2.0)
        seconds, cpu = time.monotonic() - operator.started, operator.cpu_seconds()
        self._say(f"warm start: every pool was looked at after {seconds:.1f} s, with {cpu:.1f} s of CPU")
        start = {"allSeenSeconds": round(seconds, 1), "cpuSeconds": round(cpu, 2), "peakRssMib": operator.peak_mib()}
        await asyncio.sleep(parameters.calm_seconds)
        return {"warmStart": start, "settled": await self._rest(operator)}

    async def _rest(self, operator: OperatorProcess) -> dict[str, Any]:
        before, cpu, began = await asyncio.to_thread(operator.read), operator.cpu_seconds(), time.monotonic()
        logins, queries = self._answers.logins, self._answers.queries
        await asyncio.sleep(self._parameters.settle_seconds)
        spent, elapsed, memory = operator.cpu_seconds() - cpu, time.monotonic() - began, operator.memory()
        after = await asyncio.to_thread(operator.read)
        grown = after.since(before)
        counted = grown.by("sophia_api_requests_total", "verb", "kind")
        writes = {f"{verb} {kind}": int(n) for (verb, kind), n in counted.items() if n and verb not in _READS}
        writes.pop("apply Lease", None)
        quantiles = {name: grown.quantile(_PASS, q, kind="ConnectionPool") for name, q in (("p50", 0.5), ("p99", 0.99))}
        return {
            "seconds": round(elapsed, 1),
            "cpuPercent": round(100 * spent / elapsed, 2),
            "rssMib": memory.rss,
            "pssMib": memory.pss,
            "threads": _threads(operator.pid),
            "connections": len(self._answers.open),
            "writes": writes,
            # Nothing is wrong with any: a pool that is told to be slow was measured by an operator that is.
            "unhealthy": self._parameters.pools - int(after.total("sophia_pool_healthy")),
            "failedPasses": int(grown.total(f"{_PASS}_count", kind="ConnectionPool", result="failed")),
            "passesPerSecond": round(grown.total(f"{_PASS}_count", kind="ConnectionPool") / elapsed, 1),
            "loginsPerSecond": round((self._answers.logins - logins) / elapsed, 1),
            "queriesPerSecond": round((self._answers.queries - queries) / elapsed, 1),
            "passMs": {name: None if value is None else round(1000 * value, 1) for name, value in quantiles.items()},
        }


def _passes(operator: OperatorProcess) -> float:
    found = operator.metrics()
    return 0.0 if found is None else found.total(f"{_PASS}_count", kind="ConnectionPool")


def _all_told(operator: OperatorProcess, pools: int) -> bool:
    found = operator.metrics()
    return found is not None and len(found.by("sophia_pool_healthy", "namespace", "pool")) == pools


def _threads(pid: int) -> int:
    found = re.search(r"^Threads:\s+(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The table: what, how much, and the goal with whether it is met."""
    settled, warm, cold = found["settled"], found["warmStart"], found["cold"]
    writes = sum(settled["writes"].values())
    return [
        ("memory, settled (RSS / PSS)", f"{settled['rssMib']:.0f} / {settled['pssMib']:.0f} MiB",
         _goal(settled["rssMib"], MEMORY_GOAL_MIB, "MiB")),
        ("memory, peak of the start", f"{max(warm['peakRssMib'], cold['peakRssMib']):.0f} MiB", ""),
        (f"CPU, settled, over {settled['seconds']:.0f} s", f"{settled['cpuPercent']:.1f} %",
         _goal(settled["cpuPercent"], CPU_GOAL_PERCENT, "%")),
        ("a pass (p50 / p99)", f"{settled['passMs']['p50']} / {settled['passMs']['p99']} ms",
         _goal(settled["passMs"]["p99"] or 0.0, PASS_GOAL_MS, "ms")),
        ("passes, logins, queries a second",
         f"{settled['passesPerSecond']} / {settled['loginsPerSecond']} / {settled['queriesPerSecond']}", ""),
        ("connections, threads", f"{settled['connections']}, {settled['threads']}", ""),
        ("writes while settled", str(writes), _goal(writes, 0, "")),
        ("pools that are taken to be slow", str(settled["unhealthy"]), _goal(settled["unhealthy"], 0, "")),
        ("passes that failed", str(settled["failedPasses"]), _goal(settled["failedPasses"], 0, "")),
        ("start until every pool was looked at", f"{warm['allSeenSeconds']:.1f} s",
         _goal(warm["allSeenSeconds"], START_GOAL_SECONDS, "s")),
        ("CPU of the start", f"{warm['cpuSeconds']:.1f} s", ""),
        ("first apply to all settled", f"{cold['allSettledSeconds']:.0f} s", ""),
    ]  # fmt: skip


def _goal(value: float, goal: float, unit: str) -> str:
    return f"{'met' if value <= goal else 'MISSED'}: {goal:g} {unit}".rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 0 however good the figures are."""
    parser = argparse.ArgumentParser(prog="python -m bench.pool_scale", description=__doc__)
    parser.add_argument("--pools", type=int, default=Parameters.pools)
    parser.add_argument("--instances", type=int, default=Parameters.instances)
    parser.add_argument("--settle-seconds", type=float, default=Parameters.settle_seconds)
    parser.add_argument("--quick", action="store_true", help="6 pools for some seconds: does the benchmark work?")
    given = parser.parse_args(arguments)
    wanted = Parameters(pools=given.pools, instances=given.instances, settle_seconds=given.settle_seconds)
    run(QUICK if given.quick else wanted, Console(stderr=True).print)
    return 0


def run(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write the figures, print the table. Returns what was written."""
    before = figures.machine()
    found = asyncio.run(_measure(parameters, say))
    path = figures.write("pool_scale", asdict(parameters), found, before)
    title = f"{parameters.pools} pools of {parameters.instances} instances"
    figures.show([figures.table(title, ("", "measured", "goal"), rows(found))], path)
    return found


async def _measure(parameters: Parameters, say: Callable[[str], None]) -> dict[str, Any]:
    with controlplane.running() as kubeconfig:
        async with Client(kubeconfig) as client:
            return await Measurement(parameters, client, say).run(kubeconfig)


if __name__ == "__main__":
    sys.exit(main())
