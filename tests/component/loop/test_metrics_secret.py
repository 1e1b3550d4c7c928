"""A Secret for Prometheus that is missing: no rollout starts that could get no evidence."""

from __future__ import annotations

from tests.component.loop.test_obstacles import served, stalled
from tests.support.fake_cluster_harness import NAMESPACE

ACCESS = {"prometheus": {"url": "http://prometheus.test", "secretName": "prometheus-login"}}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "prometheus-login", "namespace": NAMESPACE},
    "data": {"token": "eA=="},
}


async def test_a_change_waits_for_the_secret_that_opens_prometheus() -> None:
    harness = await served()
    rollout = harness.cluster.find("ManagedService", "app")
    assert rollout is not None
    harness.change("app:2", rollout=rollout["spec"]["rollout"] | {"metrics": ACCESS})
    await harness.run(5)
    assert stalled(harness, "ConfigNotFound", "Secret shop/prometheus-login, named in spec.rollout.metrics.prometheus")
    assert stalled(harness, "ConfigNotFound", "create it; app-1 keeps serving")
    assert harness.shares() == {"app-1": 100}
    assert harness.state("app-2") == "Pending"
    harness.cluster.add(SECRET)
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
