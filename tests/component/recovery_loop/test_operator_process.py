"""Recovery with the operator as a process on a real API server, killed in the middle of an act."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.component.loop.conftest import Server
from tests.component.loop.conftest import api as api  # noqa: PLC0414 - fixtures, handed on by their names
from tests.component.loop.conftest import apiserver as apiserver  # noqa: PLC0414
from tests.component.loop.conftest import namespace as namespace  # noqa: PLC0414
from tests.component.loop.test_operator_process import Process, Start, wait_until
from tests.component.loop.test_operator_process import start as start  # noqa: PLC0414
from tests.component.recovery_loop.test_on_apiserver import CRASHES, RecoverySite
from tests.support.fake_pools_harness import connection_pool, secret
from tests.support.fake_recovery_harness import asked, policy

pytestmark = pytest.mark.apiserver

_API = "sophia.ai/v1alpha1"


async def value(operator: Process, sample: str) -> float | None:
    """A number that Prometheus would see."""
    lines = (await operator.metrics()).splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(sample)), None)


def phases(site: RecoverySite) -> dict[str, str]:
    """Where every action is, by what it does."""
    return {a["spec"]["action"]: a.get("status", {}).get("phase", "") for a in site.actions().values()}


async def test_a_policy_from_its_first_incident_to_its_deletion(api: Server, namespace: str, start: Start) -> None:
    """The database is nowhere: nothing helps, people are told, and the operator keeps its hands off."""
    site = RecoverySite(api, namespace)
    operator = await start("--lease-seconds=3")
    site.create("v1", "secrets", secret())
    site.create(_API, "connectionpools", connection_pool(database={"host": "no-such-host.invalid"}))
    ladder = [{"action": "Reconnect", "timeoutSeconds": 5}, {"action": "Notify"}]
    rules: list[dict[str, Any]] = [{"symptom": "ConnectionLost", "forSeconds": 1, "escalation": ladder}]
    site.create(_API, "recoverypolicies", policy(rules=rules))
    await wait_until(lambda: phases(site).get("Reconnect") in ("Claimed", "Running", "Verifying"), "it is claimed")
    (name,) = site.actions()
    assert await operator.stop(signal.SIGKILL) != 0
    again = await start("--lease-seconds=3", identity="two")
    await wait_until(lambda: phases(site) == {"Reconnect": "Failed", "Notify": "Succeeded"}, "people are told")
    assert name in site.actions(), "the next process goes on with the act of the one before"
    gave_up = f'sophia_recovery_gave_up{{namespace="{namespace}",policy="pools"}}'

    async def given_up() -> bool:
        return await value(again, gave_up) == 1

    await wait_until(given_up, "it is given up")
    assert len(site.actions()) == 2
    assert await value(again, "sophia_recovery_policies") == 1
    api._send("DELETE", site.path(_API, "recoverypolicies", "pools"))
    await wait_until(lambda: not site.items(_API, "recoverypolicies"), "the policy goes, finalizer and all")
    for found in site.actions():
        api._send("DELETE", site.path(_API, "recoveryactions", found))
    await wait_until(lambda: not site.actions(), "actions go, finalizers and all")

    async def forgotten() -> bool:
        lines = (await again.metrics()).splitlines()
        mine = [line for line in lines if line.startswith("sophia_recovery") and f'namespace="{namespace}"' in line]
        return not mine and await value(again, "sophia_recovery_policies") == 0

    await wait_until(forgotten, "the metrics go")
    assert "Traceback" not in again.log.read_text()
    assert await again.stop() == 0


async def test_a_pod_that_crashes_and_what_a_person_asks_for(api: Server, namespace: str, start: Start) -> None:
    site = RecoverySite(api, namespace)
    operator = await start()
    site.create("v1", "secrets", secret())
    site.create(_API, "connectionpools", connection_pool(database={"host": "no-such-host.invalid"}))
    uid = site.crash()
    site.create(_API, "recoverypolicies", policy(rules=CRASHES, mode="Approve"))
    await wait_until(lambda: phases(site) == {"RestartPod": "AwaitingApproval"}, "a person is asked")
    assert "orders-pool-1" in site.items("v1", "pods")
    (name,) = site.actions()
    api.patch(site.path(_API, "recoveryactions", name), {"spec": {"approved": True, "approvedBy": "eve"}})
    await wait_until(lambda: "orders-pool-1" not in site.items("v1", "pods"), "the pod is deleted")
    await wait_until(lambda: site.actions()[name]["status"].get("did"), "it is told")
    assert site.actions()[name]["status"]["did"] == [f"deleted pod orders-pool-1, uid {uid}"]
    site.create(_API, "recoveryactions", asked("drill", dryRun=True))
    await wait_until(lambda: site.actions()["drill"].get("status", {}).get("phase") == "Skipped", "a dry run")
    assert "RECONNECT would be given" in site.actions()["drill"]["status"]["would"]
    site.create(_API, "recoveryactions", asked("lost", pool="nowhere"))
    await wait_until(lambda: site.actions()["lost"].get("status", {}).get("phase") == "Refused", "a wrong name")
    assert "Traceback" not in operator.log.read_text()
    assert await operator.stop() == 0
