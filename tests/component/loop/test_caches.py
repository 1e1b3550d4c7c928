"""Caches move with the release: its policy and how to connect are frozen, the numbers of generations are live."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sophia_operator.api.release import Intent
from sophia_operator.ports import Object
from tests.support.bound_tiers import binding, memory, tier, warm_up
from tests.support.fake_cluster_harness import NAME, NAMESPACE, Harness, managed_service

BINDINGS: dict[str, Any] = {"caches": [{"name": "near"}]}
WARM = {
    "stages": [
        {"weightPercent": 25, "observeSeconds": 30, "warmPercent": 50},
        {"weightPercent": 100, "observeSeconds": 30, "warmPercent": 90},
    ]
}


def chain(harness: Harness, release: str, name: str = "near") -> Any:
    """What the release's pods read."""
    found = harness.cluster.find("ConfigMap", f"{release}-{name}")
    assert found is not None
    return json.loads(found["data"]["chain.json"])


def prefixes(harness: Harness, release: str, name: str = "near") -> list[str]:
    return [n["keyPrefix"] for level in chain(harness, release, name)["levels"] for n in level["namespaces"]]


def flush(harness: Harness, name: str, number: int) -> None:
    """A flush by generation raises the number."""
    told = {"namespaces": [{"name": "emb", "generation": number}]}
    harness.cluster.edit("CacheTier", name, lambda o: o.setdefault("status", {}).update(told))


def warmed(harness: Harness, percent: int, phase: str = "Running", release: str = "app-2") -> None:
    told = {"warmUps": [warm_up(release, percent, phase)]}
    harness.cluster.edit("CacheTier", "near", lambda o: o.setdefault("status", {}).update(told))


def stalled(harness: Harness) -> tuple[str, str]:
    found = harness.condition("Stalled")
    assert found is not None
    return found[1:]


async def served(*objects: Object, **spec: Any) -> Harness:
    """A service with a cache, served by its first release."""
    made = Harness(managed_service(bindings=BINDINGS, **spec))
    for obj in objects:
        made.cluster.add(obj)
    await made.run_until(made.settled)
    return made


@pytest.fixture
async def harness() -> Harness:
    return await served(tier(), binding())


@pytest.fixture
async def chained() -> Harness:
    return await served(memory(), tier("far"), binding(), binding("far"))


async def test_pods_get_each_level_and_a_chain_with_the_release_s_own_generation(chained: Harness) -> None:
    deployment = chained.cluster.find("Deployment", "app-1")
    assert deployment is not None
    pod = deployment["spec"]["template"]["spec"]
    mounts = {m["mountPath"]: m["name"] for m in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {"/bindings/near", "/bindings/far"}
    volumes = {v["name"]: v for v in pod["volumes"]}
    secret, file = volumes[mounts["/bindings/near"]]["projected"]["sources"]
    assert file["configMap"] == {"name": "app-1-near", "items": [{"key": "chain.json", "path": "chain.json"}]}
    for name in (secret["secret"]["name"], volumes[mounts["/bindings/far"]]["secret"]["secretName"]):
        copied = chained.cluster.find("Secret", name)
        assert copied is not None
        assert copied["immutable"]
    levels = chain(chained, "app-1")["levels"]
    assert [(level["name"], level["binding"]) for level in levels] == [("near", "near"), ("far", "far")]
    assert prefixes(chained, "app-1") == ["emb:g1r1:", "emb:g1r1:"]


async def test_what_all_releases_share_is_of_no_release() -> None:
    made = Harness(managed_service(bindings={"caches": [{"name": "near", "generation": "Shared"}]}))
    made.cluster.add(tier())
    made.cluster.add(binding())
    await made.run_until(made.settled)
    assert prefixes(made, "app-1") == ["emb:g1:"]


async def test_a_change_of_policy_is_a_release_and_what_serves_keeps_its_own(chained: Harness) -> None:
    chained.cluster.edit("CacheTier", "far", lambda o: o["spec"]["namespaces"][0].update(ttlSeconds=7))
    await chained.run_until(lambda: chained.shares().get("app-2") == 25)
    ttls = {r: chain(chained, r)["levels"][1]["namespaces"][0]["ttlSeconds"] for r in ("app-1", "app-2")}
    assert ttls == {"app-1": 60, "app-2": 7}
    assert prefixes(chained, "app-2") == ["emb:g1r2:", "emb:g1r2:"]
    chained.intend("app-2", Intent.ABORT)
    await chained.run_until(lambda: chained.shares() == {"app-1": 100})
    assert prefixes(chained, "app-1") == ["emb:g1r1:", "emb:g1r1:"]


async def test_another_place_to_connect_to_a_level_is_a_release(chained: Harness) -> None:
    moved = binding("far", "two")["data"]
    chained.cluster.edit("Secret", "far-cache-binding", lambda o: o.__setitem__("data", moved))
    await chained.run_until(lambda: chained.state("app-2") == "Promoted")
    copies = [o["data"] for o in chained.cluster.all("Secret") if o.get("immutable")]
    assert moved in copies
    assert binding("far", "one")["data"] in copies


async def test_what_is_no_policy_is_no_release(harness: Harness) -> None:
    harness.cluster.edit("CacheTier", "near", lambda o: o["spec"].update(scan={"intervalSeconds": 9}, paused=True))
    await harness.run(20)
    assert harness.state("app-2") is None


async def test_a_flush_by_generation_reaches_pods_that_run_and_is_no_release(chained: Harness) -> None:
    event = chained.wakeups.event((NAMESPACE, NAME))
    event.clear()
    flush(chained, "far", 2)
    assert event.is_set()
    await chained.run(5)
    assert prefixes(chained, "app-1") == ["emb:g1r1:", "emb:g2r1:"]
    assert chained.state("app-2") is None
    marks = {p["metadata"].get("annotations", {}).get("sophia.ai/chains-hash") for p in chained.cluster.all("Pod")}
    assert len(marks) == 1
    assert marks != {None}
    writes = len(chained.cluster.calls)
    await chained.run(20)
    assert len(chained.cluster.calls) == writes
    flush(chained, "near", 3)
    await chained.run(5)
    again = {p["metadata"]["annotations"]["sophia.ai/chains-hash"] for p in chained.cluster.all("Pod")}
    assert again.isdisjoint(marks)


async def test_pods_are_left_alone_before_the_first_flush(harness: Harness) -> None:
    assert harness.cluster.all("Pod")
    assert not [p for p in harness.cluster.all("Pod") if "sophia.ai/chains-hash" in str(p["metadata"])]


async def test_an_edited_chain_is_put_right(harness: Harness) -> None:
    harness.cluster.edit("ConfigMap", "app-1-near", lambda o: o["data"].update({"chain.json": "{}", "other": "x"}))
    await harness.run(5)
    found = harness.cluster.find("ConfigMap", "app-1-near")
    assert found is not None
    assert set(found["data"]) == {"chain.json"}
    assert prefixes(harness, "app-1") == ["emb:g1r1:"]


async def test_a_tier_that_is_gone_is_named_and_no_release_goes_back_to_what_was_flushed(harness: Harness) -> None:
    flush(harness, "near", 4)
    await harness.run(5)
    harness.cluster.remove("CacheTier", "near")
    harness.cluster.remove("Secret", "near-cache-binding")
    harness.change("app:2", bindings=BINDINGS)
    await harness.run(5)
    reason, message = stalled(harness)
    assert reason == "BindingNotFound"
    assert "CacheTier shop/near, named in spec.bindings, is missing: create it; app-1 keeps serving" in message
    assert prefixes(harness, "app-1") == ["emb:g4r1:"]
    assert harness.state("app-2") is None


async def test_a_tier_below_that_is_missing_or_has_no_binding_is_named_and_waited_for() -> None:
    made = Harness(managed_service(bindings=BINDINGS))
    made.cluster.add(memory())
    made.cluster.add(binding())
    await made.run(5)
    assert stalled(made)[0] == "BindingNotFound"
    assert "CacheTier shop/far, below near of spec.bindings, is missing: create it" in stalled(made)[1]
    made.cluster.add(tier("far"))
    await made.run(5)
    assert "far, below near of spec.bindings, has no Secret shop/far-cache-binding yet" in stalled(made)[1]
    event = made.wakeups.event((NAMESPACE, NAME))
    event.clear()
    made.cluster.add(binding("far"))
    assert event.is_set()
    await made.run_until(made.settled)


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"next": "near"}, "ChainCycle", "comes back to itself (near -> near): mend spec.next of one"),
        ({"redis": {}}, "InvalidSpec", "CacheTier shop/near cannot be read: spec.redis: "),
    ],
)
async def test_a_tier_that_cannot_be_used_is_told_and_makes_no_release(
    harness: Harness, spec: Object, reason: str, words: str
) -> None:
    harness.cluster.edit("CacheTier", "near", lambda o: o["spec"].update(spec))
    await harness.run(5)
    assert stalled(harness)[0] == reason
    assert words in stalled(harness)[1]
    assert harness.state("app-2") is None
    assert harness.shares() == {"app-1": 100}


async def test_a_pool_and_a_level_of_one_name_are_told(chained: Harness) -> None:
    chained.change("app:2", bindings={**BINDINGS, "pools": [{"name": "far"}]})
    await chained.run(5)
    reason, message = stalled(chained)
    assert reason == "InvalidSpec"
    assert "ConnectionPool far and CacheTier far (in the chain of near) cannot be mounted at the same place" in message
    assert chained.state("app-2") is None


async def test_a_level_s_place_that_is_taken_is_told(chained: Harness) -> None:
    mount = {"name": "scratch", "mountPath": "/bindings/far"}
    container = {"name": "app", "image": "app:2", "volumeMounts": [mount]}
    template = {"spec": {"containers": [container], "volumes": [{"name": "scratch", "emptyDir": {}}]}}
    chained.change("app:2", template=template, bindings=BINDINGS)
    await chained.run(5)
    assert stalled(chained)[0] == "InvalidSpec"
    assert "mounts a volume of its own at /bindings/far, where the binding of CacheTier far goes" in stalled(chained)[1]


async def test_nothing_secret_is_told(chained: Harness) -> None:
    flush(chained, "far", 2)
    await chained.run(5)
    hidden = binding()["data"]["password"]
    kinds = ("Release", "ManagedService", "Deployment", "ConfigMap")
    told = [str(o) for kind in kinds for o in chained.cluster.all(kind)]
    assert not [text for text in (*told, str(chained.cluster.events)) if hidden in text or "hidden" in text]


# --- the warm stage ---


async def test_each_stage_waits_until_its_release_is_warm() -> None:
    made = Harness(managed_service(bindings=BINDINGS))
    for obj in (tier(warm=True), binding()):
        made.cluster.add(obj)
    await made.run_until(made.settled)
    made.change("app:2", bindings=BINDINGS, rollout=WARM)
    await made.run(120)  # longer than the progress deadline
    assert made.state("app-2") == "SmokeTesting"
    assert made.shares() == {"app-1": 100}
    assert made.condition("Reconciling") == (
        "True",
        "WarmingUp",
        "release app-2: CacheTier near has not begun to warm app-2 up",
    )
    event = made.wakeups.event((NAMESPACE, NAME))
    event.clear()
    warmed(made, 49)
    assert event.is_set()
    await made.run(20)
    assert made.shares() == {"app-1": 100}
    warmed(made, 50)
    await made.run_until(lambda: made.shares().get("app-2") == 25)
    await made.run(60)
    assert made.shares() == {"app-1": 75, "app-2": 25}
    warmed(made, 100, "Done")
    await made.run_until(lambda: made.state("app-2") == "Promoted")


@pytest.mark.parametrize(("intent", "ends"), [(Intent.PROMOTE, "Promoted"), (Intent.ABORT, "RolledBack")])
async def test_a_warm_up_that_failed_holds_until_a_person_promotes_or_aborts(intent: Intent, ends: str) -> None:
    made = await served(tier(warm=True), binding())
    made.change("app:2", bindings=BINDINGS, rollout=WARM)
    await made.run(10)
    warmed(made, 80, "Failed")
    await made.run(30)
    assert stalled(made)[0] == "WarmUpFailed"
    assert "failed to warm app-2 up, at 80 %; promote the release as it is; or abort it, mend" in stalled(made)[1]
    assert made.shares() == {"app-1": 100}
    made.intend("app-2", intent)
    await made.run_until(lambda: made.state("app-2") == ends)
