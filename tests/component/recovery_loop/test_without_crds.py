"""An operator that is newer than the CRDs: the kinds of recovery are not installed, and come later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import controlplane
from sophia_operator.api.schema.kinds import KINDS
from tests.component.loop.conftest import Server, install
from tests.component.loop.conftest import namespace as namespace  # noqa: PLC0414 - fixtures, handed on by their names
from tests.component.loop.test_operator_process import ServiceSite, Start, serve, wait_until
from tests.component.loop.test_operator_process import start as start  # noqa: PLC0414
from tests.support.fake_recovery_harness import asked, policy, pool

pytestmark = pytest.mark.apiserver

_API = "sophia.ai/v1alpha1"
_RECOVERY = ("RecoveryPolicy", "RecoveryAction")


@pytest.fixture(scope="module")
def apiserver() -> Iterator[Path]:
    """An API server of its own: what is installed there is for everybody."""
    with controlplane.running() as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="module")
def api(apiserver: Path) -> Iterator[Server]:
    connection = Server(apiserver)
    for kind in KINDS:
        if kind.name not in _RECOVERY:
            install(connection, kind)
    yield connection
    connection.close()


async def test_services_are_rolled_out_and_recovery_begins_once_it_is_installed(
    api: Server, namespace: str, start: Start
) -> None:
    site = ServiceSite(api, namespace)
    operator = await start()
    await serve(site)

    async def ready() -> bool:
        return await operator.health("/readyz") == 200

    await wait_until(ready, "it is ready")
    for kind in KINDS:
        if kind.name in _RECOVERY:
            install(api, kind)
    site.create(_API, "connectionpools", pool("orders"))
    site.create(_API, "recoverypolicies", policy())
    site.create(_API, "recoveryactions", asked("drill", dryRun=True))

    def drilled() -> bool:
        found = site.items(_API, "recoveryactions")["drill"].get("status", {})
        return bool(found.get("phase") == "Skipped")

    await wait_until(drilled, "a dry run")
    targets = 'sophia_recovery_targets{namespace="' + namespace + '",policy="pools"} 1.0'

    async def looked() -> bool:
        return targets in await operator.metrics()

    await wait_until(looked, "the policy is looked at")
    assert await operator.health("/healthz") == 200
    assert "Traceback" not in operator.log.read_text()
    assert await operator.stop() == 0
