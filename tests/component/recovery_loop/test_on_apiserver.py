"""The loops of recovery on a real API server: its schemas, its merges of lists, its preconditions."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.adapters.kubernetes import KubernetesCluster
from sophia_operator.api.conditions import violations
from sophia_operator.core.names import MANAGER
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.runtime.recovery import observe
from tests.component.loop.conftest import Server, Site
from tests.component.loop.conftest import api as api  # noqa: PLC0414 - fixtures, handed on by their names
from tests.component.loop.conftest import apiserver as apiserver  # noqa: PLC0414
from tests.component.loop.conftest import cluster as cluster  # noqa: PLC0414
from tests.component.loop.conftest import namespace as namespace  # noqa: PLC0414
from tests.component.loop.conftest import requests as requests  # noqa: PLC0414
from tests.component.recovery_loop.on_server import Operator
from tests.support.fake_recovery_harness import policy, pool

pytestmark = pytest.mark.apiserver

_API = "sophia.ai/v1alpha1"
#: Everything at once: time is real here.
_QUICK: dict[str, Any] = {"forSeconds": 0, "clearSeconds": 0}
_LADDER = [{"action": "Reconnect", "timeoutSeconds": 20}]
LOST = [{"symptom": "ConnectionLost", "escalation": _LADDER, **_QUICK}]
CRASHES = [{"symptom": "PodCrashLoop", "escalation": [{"action": "RestartPod", "timeoutSeconds": 20}], **_QUICK}]


class RecoverySite(Site):
    """The test's namespace, with two pools and a policy."""

    def fill(self, rules: list[dict[str, Any]]) -> None:
        for name in ("orders", "users"):
            self.create(_API, "connectionpools", pool(name))
        self.create(_API, "recoverypolicies", policy(rules=rules, stableSeconds=0))

    def actions(self) -> dict[str, dict[str, Any]]:
        return self.items(_API, "recoveryactions")

    def are(self, phase: str) -> bool:
        found = [a.get("status", {}).get("phase") for a in self.actions().values()]
        return bool(found) and set(found) == {phase}

    def incidents(self) -> list[Any]:
        found: list[Any] = self.items(_API, "recoverypolicies")["pools"].get("status", {}).get("symptoms", [])
        return found

    def crash(self, name: str = "orders-pool-1") -> str:
        """A pod of the pool that ends again and again; returns its uid."""
        labels = {LABEL_POOL: "orders", "app.kubernetes.io/managed-by": MANAGER}
        containers = [{"name": "pgbouncer", "image": "pgbouncer:test"}]
        spec = {"containers": containers, "automountServiceAccountToken": False}
        made = self.create("v1", "pods", {"metadata": {"name": name, "labels": labels}, "spec": spec})
        waits = {"name": "pgbouncer", "image": "i", "imageID": "i", "ready": False, "restartCount": 7}
        waits |= {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        status = {"phase": "Running", "containerStatuses": [waits]}
        self.api.patch(self.path("v1", "pods", name) + "/status", {"status": status})
        uid: str = made["metadata"]["uid"]
        return uid


@pytest.fixture
def site(api: Server, namespace: str) -> RecoverySite:
    return RecoverySite(api, namespace)


async def settled(operator: Operator, site: RecoverySite) -> None:
    """Nothing is written any more, though every loop looks."""
    await operator.run_until(lambda: not site.incidents(), 10)
    for _ in range(3):
        await operator.step()
    writes = list(operator.mortal.writes)
    for _ in range(5):
        await operator.step()
    assert operator.mortal.writes == writes
    for found in site.actions().values():
        assert violations(observe.action_status(found).conditions, 1) == []


async def test_a_recovery_is_told_as_it_went(cluster: KubernetesCluster, namespace: str, site: RecoverySite) -> None:
    site.fill(LOST)
    operator = Operator(cluster, namespace)
    operator.stand_in.sick.add((namespace, "orders"))
    await operator.run_until(lambda: site.are("Succeeded"))
    await settled(operator, site)
    (action,) = site.actions().values()
    status = observe.action_status(action)
    assert (status.verified, status.did, status.false_fire) == ("Helped", ["RECONNECT"], False)
    assert status.claimed_at is not None
    assert status.started_at is not None
    assert status.ended_at is not None
    assert status.claimed_at <= status.started_at <= status.ended_at
    assert action["metadata"]["labels"]["sophia.ai/recovery-policy"] == "pools"
    assert 8 <= len(operator.mortal.writes) <= 14


@pytest.mark.parametrize("number", range(1, 13))
async def test_an_operator_that_ends_at_a_write_acts_once(
    cluster: KubernetesCluster, namespace: str, site: RecoverySite, number: int
) -> None:
    site.fill(LOST)
    operator = Operator(cluster, namespace, dies_after=number)
    operator.stand_in.sick.add((namespace, "orders"))
    await operator.run_until(lambda: site.are("Succeeded"))
    await settled(operator, site)
    assert operator.crashes == (1 if len(operator.mortal.writes) >= number else 0)
    assert len(site.actions()) == 1
    assert list(operator.stand_in.done) == [action["metadata"]["uid"] for action in site.actions().values()]


@pytest.mark.parametrize("number", range(1, 8))
async def test_an_operator_that_ends_at_a_write_deletes_one_pod(
    cluster: KubernetesCluster, namespace: str, site: RecoverySite, number: int
) -> None:
    """The one that is made in its place crashes as well, and is left alone: it has another uid."""
    site.fill(CRASHES)
    uid, operator = site.crash(), Operator(cluster, namespace, dies_after=number)
    await operator.run_until(lambda: "orders-pool-1" not in site.items("v1", "pods"))
    anew = site.crash()
    await operator.run_until(lambda: site.are("Verifying"), 10)
    for _ in range(5):
        await operator.step()
    assert site.items("v1", "pods")["orders-pool-1"]["metadata"]["uid"] == anew
    assert operator.crashes == 1
    (action,) = site.actions().values()
    assert action["status"]["did"] == [f"deleted pod orders-pool-1, uid {uid}"]
