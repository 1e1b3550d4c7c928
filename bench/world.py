"""A control plane with everything that the operator needs to find there, and many services on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from bench.client import Client, Json
from bench.standin import gateway
from hack.cluster import manifests, versions
from hack.rig.services import GATEWAY, rollout, service
from sophia_operator.api.schema.kinds import KINDS

ROOT: Final = Path(__file__).resolve().parents[1]
_SYSTEM: Final = "sophia-system"
_PER_NAMESPACE: Final = 50
_ESTABLISHED_SECONDS: Final = 30.0
T = TypeVar("T")


async def prepare(client: Client, namespaces: Iterable[str] = (), *, gateway_port: int = 80) -> None:
    """Apply the CRDs, the Gateway with its class, and the namespaces."""
    crds = [yaml.safe_load((ROOT / "crds" / f"{kind.crd_name}.yaml").read_text()) for kind in KINDS]
    module = manifests.module_files(
        "sigs.k8s.io/gateway-api", versions.of("gateway-api"), ["config/crd/standard/*.yaml"]
    )
    crds += [o for o in yaml.safe_load_all(module) if o and o["kind"] == "CustomResourceDefinition"]
    for crd in crds:
        await _apply_crd(client, crd)
    for name in {_SYSTEM, GATEWAY["namespace"], *namespaces}:
        await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in gateway(GATEWAY, port=gateway_port):
        status = obj.pop("status", None)
        await client.apply(obj)
        if status is not None:
            await client.merge(obj, {"status": status}, "status")


async def _apply_crd(client: Client, crd: Json) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
    params = {"fieldManager": "bench", "force": "true"}
    await client.request("PATCH", path, crd, content="application/apply-patch+yaml", params=params)
    async with asyncio.timeout(_ESTABLISHED_SECONDS):
        while True:
            found = await client.request("GET", path)
            conditions = {c["type"]: c["status"] for c in (found.get("status") or {}).get("conditions") or ()}
            if conditions.get("Established") == "True":
                return
            await asyncio.sleep(0.05)


def fleet(count: int) -> list[Json]:
    """That many ManagedServices, fifty a namespace, as users write them: gates, four stages, two replicas.

    They have no smoke tests, since nothing answers.
    """
    plan = {**rollout(), "smokeTests": []}
    return [
        service(f"shop-{n:04d}", f"bench-{n // _PER_NAMESPACE:02d}", plan=plan, env={"DEMO_VERSION": "1"})
        for n in range(count)
    ]


def namespaces_of(objects: Iterable[Json]) -> list[str]:
    """The namespaces of objects, sorted."""
    return sorted({obj["metadata"]["namespace"] for obj in objects})


async def at_most(limit: int, work: Sequence[Awaitable[T]]) -> list[T]:
    """Await all, at most `limit` at a time; the results in order."""
    slots = asyncio.Semaphore(limit)

    async def one(item: Awaitable[T]) -> T:
        async with slots:
            return await item

    return list(await asyncio.gather(*(one(item) for item in work)))


def is_settled(obj: Json) -> bool:
    """Whether a ManagedService says that it is ready and that nothing is under way."""
    status: dict[str, Any] = obj.get("status") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    return conditions.get("Ready") == "True" and conditions.get("Reconciling") != "True" and "stable" in status
