"""The operator is killed at each step of an act: its successor goes on with what is written, and acts no second
time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hack.rig.api import Api
from hack.rig.caches import NAMESPACE, Cache
from hack.rig.recoveries import Policy, phase_of, rule
from tests.e2e import operators

_KEYS = 9000
_RATE = 500


@pytest.mark.disruptive
def test_operator_killed_at_each_step_of_an_act(cluster: Api, cached: Callable[..., Cache], policy: Policy) -> None:
    cache = cached(namespaces=[NAMESPACE], managed={"maxMemoryMegabytes": 24, "evictionPolicy": "NoEviction"})
    cache.fill(_KEYS, size=2000)
    step = {"action": "FlushNamespace", "timeoutSeconds": 120, "parameters": {"keysPerSecond": _RATE}}
    policy.apply(["CacheTier"], [rule("HighMemory", thresholdPercent=70, escalation=[step])], stableSeconds=5)
    seen: list[str] = []
    names: set[str] = set()
    for phases in (("Pending", "Claimed", "Running"), ("Running",), ("Verifying",)):
        operators.fresh(cluster)
        found = policy.wait_action("FlushNamespace", *phases, seconds=90)
        killed = operators.kill(cluster)
        seen.append(phase_of(found))
        names.add(found["metadata"]["uid"])
        killed.wait_back(cluster)
    policy.wait_helped("FlushNamespace", seconds=120)
    time.sleep(6)
    assert {a["metadata"]["uid"] for a in policy.actions()} == names
    assert len(names) == 1, seen
    (act,) = cache.status()["acts"]
    assert act["phase"] == "Done", act
    # One flush, of which every key was deleted once.
    assert cache.count("emb:*") == 0
    flushes = cache.status()["flushes"]
    assert [f["phase"] for f in flushes] == ["Done"], flushes
