"""Pods whose volume is to be looked at are marked, once, and nothing else of them is touched or kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sophia_operator.core.model.names import ANNOTATION_CONFIG
from sophia_operator.core.model.views import GatewayPod, ModelRouteDesired
from sophia_operator.runtime.apply import Applied
from sophia_operator.runtime.models.pods import GatewayPoker
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Feed, Wakeups
from tests.support.fake_cluster import FakeCluster, Fault
from tests.support.model_routes import model_route, view

ROUTE = view(model_route())


def config_map(text: str = "one") -> dict[str, Any]:
    meta = {"name": "chat-litellm", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"route.json": text}}


@dataclass
class Rig:
    cluster: FakeCluster = field(default_factory=FakeCluster)
    store: ObjectStore = field(default_factory=ObjectStore)

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            meta = {"name": name, "namespace": "shop", "labels": {"app": "litellm"}}
            self.cluster.add({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}, "status": {}})
        self.cluster.watch(Feed(self.store, Wakeups()))
        self.poker = GatewayPoker(self.cluster, self.store)

    def pods(self) -> tuple[GatewayPod, ...]:
        found = [
            GatewayPod(p["metadata"]["name"], "x", True, uid=p["metadata"]["uid"]) for p in self.cluster.all("Pod")
        ]
        return self.poker.known(found)

    async def poke(self, mounted: str | None, text: str = "one") -> Applied:
        out = Applied()
        desired = ModelRouteDesired((config_map(text),), mounted_hash=mounted)
        await self.poker.poke(ROUTE, desired, self.pods(), out)
        return out

    def marks(self) -> dict[str, str | None]:
        found = {p["metadata"]["name"]: p["metadata"].get("annotations") or {} for p in self.cluster.all("Pod")}
        return {name: annotations.get(ANNOTATION_CONFIG) for name, annotations in found.items()}


async def test_pods_are_marked_once_what_they_mount_is_in_the_cluster() -> None:
    rig = Rig()
    assert (await rig.poke("v1:one")).writes == 0
    assert rig.marks() == {"a": None, "b": None}
    rig.cluster.add(config_map())
    assert (await rig.poke("v1:two", text="two")).writes == 0, "what is in the cluster is older than that"
    assert (await rig.poke("v1:one")).writes == 2
    assert rig.marks() == {"a": "v1:one", "b": "v1:one"}
    assert [p.poked for p in rig.pods()] == ["v1:one", "v1:one"]
    assert (await rig.poke("v1:one")).writes == 0
    assert (await rig.poke(None)).writes == 0
    assert rig.store.get("Pod", "shop", "a") is None, "no watch would take it out again"
    assert rig.cluster.managers("Pod", "a")["sophia-operator"] == {("metadata", "annotations", ANNOTATION_CONFIG)}


async def test_a_new_pod_of_the_same_name_is_marked_as_well() -> None:
    rig = Rig()
    rig.cluster.add(config_map())
    await rig.poke("v1:one")
    rig.cluster.remove("Pod", "a")
    meta = {"name": "a", "namespace": "shop", "labels": {"app": "litellm"}}
    rig.cluster.add({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}, "status": {}})
    assert (await rig.poke("v1:one")).writes == 1
    assert rig.marks()["a"] == "v1:one"


async def test_a_pod_that_went_is_no_failure_and_is_not_made() -> None:
    rig = Rig()
    rig.cluster.add(config_map())
    there = rig.pods()
    rig.cluster.remove("Pod", "a")
    out = Applied()
    await rig.poker.poke(ROUTE, ModelRouteDesired((config_map(),), mounted_hash="v1:one"), there, out)
    assert (out.errors, rig.marks()) == ([], {"b": "v1:one"})


async def test_what_could_not_be_marked_is_marked_the_next_time() -> None:
    rig = Rig()
    rig.cluster.add(config_map())
    rig.cluster.hook = lambda call: Fault.FORBIDDEN if call.name == "b" else None
    out = await rig.poke("v1:one")
    assert (out.writes, len(out.errors)) == (1, 1)
    rig.cluster.hook = lambda _: None
    assert (await rig.poke("v1:one")).writes == 1
    assert rig.marks() == {"a": "v1:one", "b": "v1:one"}


async def test_after_a_restart_pods_are_marked_once_more_which_changes_nothing() -> None:
    rig = Rig()
    rig.cluster.add(config_map())
    await rig.poke("v1:one")
    before = rig.cluster.find("Pod", "a")
    rig.poker = GatewayPoker(rig.cluster, rig.store)
    assert (await rig.poke("v1:one")).writes == 2
    assert rig.cluster.find("Pod", "a") == before
