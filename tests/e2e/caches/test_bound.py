"""A ManagedService that is bound to a chain: its pods use it, releases have generations of their own, and a stage waits
until the new one is warm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from hack.rig.api import Json
from hack.rig.caches import NAMESPACE, Cache
from hack.rig.services import Service, rollout

Make = Callable[..., Cache]
#: The kubelet is made to look at once; without that it takes up to a minute and more.
_LOOK_SECONDS = 20.0


def plan(warm: int | None = None) -> dict[str, Any]:
    first: dict[str, int] = {"weightPercent": 50, "observeSeconds": 2}
    if warm is not None:
        first["warmPercent"] = warm
    stages = [first, {"weightPercent": 100, "observeSeconds": 2}]
    return rollout(gates=[], smokeTests=[], stages=stages)


def bound(cached: Make, **spec: Any) -> tuple[Cache, Service]:
    """A service of the demo app, bound to a memory level above Redis, that serves its first release."""
    far = cached("far", **spec)
    Cache(far.api, far.namespace).apply(level="Memory", namespaces=[NAMESPACE], next="far")
    service = Service(far.api, "app", far.namespace)
    apply(service, "1")
    service.wait_settled(1, seconds=120)
    return far, service


def apply(service: Service, mark: str, warm: int | None = None) -> None:
    env = {"DEMO_ORIGIN_MS": "5", "MARK": mark}
    service.apply(plan=plan(warm), replicas=1, bindings={"caches": [{"name": "near"}]}, env=env)


def pod(service: Service, revision: int) -> Json:
    found = service.api.list("Pod", service.namespace, f"sophia.ai/release={service.name}-{revision}")
    (there,) = [p for p in found if not p["metadata"].get("deletionTimestamp")]
    return there


def ask(service: Service, revision: int, key: str) -> Json:
    """GET through the cache of the release's pod."""
    url = f"http://{pod(service, revision)['status']['podIP']}:8080/cached/emb/{key}"
    answer = httpx.get(url, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def test_pods_use_the_chain_and_each_release_has_its_own_entries(cached: Make) -> None:
    far, service = bound(cached)
    assert ask(service, 1, "one")["level"] == "origin"
    assert ask(service, 1, "one")["level"] in ("far", "near")
    assert far.count("emb:g1r1:*") == 1
    apply(service, "2")
    service.wait_settled(2, seconds=120)
    assert ask(service, 2, "one")["level"] == "origin"
    assert far.count("emb:g1r*") == 2


def test_flush_by_generation_reaches_pods_that_run(cached: Make) -> None:
    far, service = bound(cached)
    ask(service, 1, "one")
    before = pod(service, 1)["metadata"]["uid"]
    far.patch(flush={"name": "next", "kind": "Generation", "namespaceName": "emb"})

    def led() -> bool:
        ask(service, 1, "one")
        return far.count("emb:g2r1:*") == 1

    far.api.until("the pod to use the new generation", led, seconds=_LOOK_SECONDS)
    assert pod(service, 1)["metadata"]["uid"] == before
    assert service.release(2) is None


def test_change_of_policy_is_a_release(cached: Make) -> None:
    far, service = bound(cached)
    far.patch(namespaces=[{**NAMESPACE, "ttlSeconds": 60}])
    service.wait_settled(2, seconds=120)
    ask(service, 2, "one")
    with far.client() as client:
        assert 0 < client.ttl("emb:g1r2:one") <= 60


def test_stage_waits_until_the_new_release_is_warm(cached: Make) -> None:
    far, service = bound(cached, warmUp={"maxPerSecond": 20})
    far.fill(200, prefix="emb:g1r1:", ex=3600)
    apply(service, "2", warm=80)
    service.wait_state(2, "SmokeTesting", seconds=120)

    def waits() -> bool:
        found = service.condition("Reconciling")
        return found is not None and found["reason"] == "WarmingUp"

    service.api.until("the service to say that it waits", waits, seconds=60)
    assert service.weights().get("green") == 0
    service.wait_stage(2, 0, effective=False, seconds=60)
    # How far it is, is how far the cursor is through the table: of 200 keys 160 on average, give or take six or so.
    assert far.count("emb:g1r2:*") >= 130
    service.wait_settled(2, seconds=120)
    far.api.until("every entry to be there", lambda: far.count("emb:g1r2:*") >= 200, seconds=60)


def test_stage_that_needs_warmth_and_a_tier_without_warm_up_are_told(cached: Make) -> None:
    _, service = bound(cached)
    apply(service, "2", warm=80)

    def told() -> bool:
        found = service.condition("Stalled")
        return found is not None and found["reason"] == "WarmUpFailed" and "has no spec.warmUp" in found["message"]

    service.api.until("the service to say what is missing", told, seconds=120)
    assert service.status()["stable"]["revision"] == 1
    service.intend(2, "Promote")
    service.wait_settled(2, seconds=120)
