from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from sophia_operator.adapters import kubernetes_access
from sophia_operator.adapters.kubernetes import KubernetesCluster
from sophia_operator.api.common import VERSION
from sophia_operator.api.schema.crd import Kind
from sophia_operator.api.schema.kinds import KINDS
from tests.api.kube import Api, RefusedError
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name

ROOT = Path(__file__).resolve().parents[3]


class Server(Api):
    """The API server as another writer sees it."""

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object."""
        return self._send("POST", path, body)

    def patch(self, path: str, change: dict[str, Any]) -> dict[str, Any]:
        """Merge a change into an object."""
        return self._send("PATCH", path, change, headers={"Content-Type": "application/merge-patch+json"})


class Site:
    """The test's namespace, as another writer sees it."""

    def __init__(self, api: Server, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def path(self, api_version: str, plural: str, name: str = "") -> str:
        """Where the API has the objects of a kind, or one of them."""
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, api_version: str, plural: str, obj: dict[str, Any]) -> dict[str, Any]:
        """Create an object there."""
        obj = obj | {"metadata": obj["metadata"] | {"namespace": self.namespace}}
        return self.api.post(self.path(api_version, plural), obj)

    def items(self, api_version: str, plural: str) -> dict[str, dict[str, Any]]:
        """All objects of a kind, by name."""
        found = self.api.get(self.path(api_version, plural))["items"]
        return {o["metadata"]["name"]: o for o in found}


@pytest.fixture(scope="session")
def api(apiserver: Path) -> Iterator[Server]:
    """The API server with our CRDs, as its administrator sees it."""
    connection = Server(apiserver)
    for kind in KINDS:
        install(connection, kind)
    yield connection
    connection.close()


def install(connection: Server, kind: Kind) -> None:
    """Install the kind's CRD, until it can be listed."""
    connection.apply_crd(yaml.safe_load((ROOT / "crds" / f"{kind.crd_name}.yaml").read_text()))
    _wait_for_storage(connection, kind.crd_name)


def _wait_for_storage(connection: Server, crd_name: str) -> None:
    """A kind that is Established cannot be listed for a moment all the same."""
    plural, _, group = crd_name.partition(".")
    for _ in range(100):
        try:
            connection.get(f"/apis/{group}/{VERSION}/{plural}")
        except RefusedError as error:
            if "initializing" not in str(error) and "not find" not in str(error):
                raise
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def namespace(api: Server) -> str:
    """A namespace of the test's own."""
    name = f"loop-{uuid4().hex[:12]}"
    api.create_namespace(name)
    return name


@pytest.fixture
def requests() -> list[tuple[str, str, str]]:
    """(verb, kind, code) of every request."""
    return []


@pytest.fixture
async def cluster(apiserver: Path, requests: list[tuple[str, str, str]]) -> AsyncIterator[KubernetesCluster]:
    """The adapter, speaking to the real API server."""
    access = await kubernetes_access.load(apiserver)
    made = KubernetesCluster(access.client(), observer=lambda *r: requests.append(r))
    yield made
    await made.close()


@pytest.fixture
def config_map(namespace: str) -> dict[str, Any]:
    """A ConfigMap to be applied."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": namespace},
        "data": {"a": "1", "b": "2"},
    }
