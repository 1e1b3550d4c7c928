"""An operator that is newer than its rights, on a real API server: what only pools need is forbidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.component.loop.conftest import Server
from tests.component.loop.conftest import api as api  # noqa: PLC0414 - fixtures, handed on by their names
from tests.component.loop.conftest import apiserver as apiserver  # noqa: PLC0414
from tests.component.loop.conftest import namespace as namespace  # noqa: PLC0414
from tests.component.loop.test_operator_process import ServiceSite, Start, serve, wait_until
from tests.component.loop.test_operator_process import start as start  # noqa: PLC0414

pytestmark = pytest.mark.apiserver

_RULES = [
    {"apiGroups": ["sophia.ai"], "resources": [f"{kind}{part}"], "verbs": ["*"]}
    for kind in ("managedservices", "releases")
    for part in ("", "/status", "/finalizers")
] + [
    {"apiGroups": [group], "resources": ["*"], "verbs": ["*"]}
    for group in (
        *("", "apps", "discovery.k8s.io", "gateway.networking.k8s.io"),
        *("coordination.k8s.io", "events.k8s.io", "apiextensions.k8s.io"),
    )
]


def of_the_version_before(api: Server, namespace: str, kubeconfig: Path, folder: Path) -> Path:
    """Access with the rights of an operator that knew no pools."""
    roles = "/apis/rbac.authorization.k8s.io/v1"
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    api.post(f"{roles}/clusterroles", {"metadata": {"name": f"before-{namespace}"}, "rules": _RULES})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"before-{namespace}"}
    binding = {"metadata": {"name": f"before-{namespace}"}, "roleRef": reference, "subjects": [subject]}
    api.post(f"{roles}/clusterrolebindings", binding)
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    known = {a["metadata"]["name"] for a in api.get(accounts)["items"]}
    if "default" not in known:
        api.post(accounts, {"metadata": {"name": "default"}})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = api.post(f"{accounts}/default/token", asked)["status"]["token"]
    config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / "before.kubeconfig"
    path.write_text(json.dumps(config))
    return path


async def test_services_are_rolled_out_and_the_log_says_what_is_missing(
    api: Server, namespace: str, apiserver: Path, start: Start, tmp_path: Path
) -> None:
    kubeconfig = of_the_version_before(api, namespace, apiserver, tmp_path)
    site = ServiceSite(api, namespace)
    operator = await start(f"--kubeconfig={kubeconfig}")
    await serve(site)

    async def ready() -> bool:
        return await operator.health("/readyz") == 200

    await wait_until(ready, "it is ready")
    assert await operator.health("/healthz") == 200
    log = operator.log.read_text()
    assert "may not list connectionpools" in log
    assert "may not list poddisruptionbudgets" in log
    assert "may not list modelroutes" in log
    assert "may not list recoveryactions" in log
    assert "what is of kind RecoveryPolicy or RecoveryAction does not work" in log
    assert "Traceback" not in log
    # Once the rights are there, the process asks to be started anew.
    role = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/before-{namespace}"
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    api.put(role, api.get(role) | {"rules": [everything]})
    assert await operator.stop() == 0
    again = await start(f"--kubeconfig={kubeconfig}")

    async def ready_again() -> bool:
        return await again.health("/readyz") == 200

    await wait_until(ready_again, "it is ready with all its rights")
    assert "may not list" not in again.log.read_text()
