from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from sophia_operator.api.schema.kinds import KINDS
from tests.api.kube import Api, Object
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def api(apiserver: Path) -> Iterator[Api]:
    """A client of the real API server."""
    connection = Api(apiserver)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def crds(api: Api) -> dict[str, Object]:
    """The CRDs as the API server holds them, by kind, applied from the files that users apply."""
    files = [ROOT / "crds" / f"{kind.crd_name}.yaml" for kind in KINDS]
    applied = [api.apply_crd(yaml.safe_load(file.read_text())) for file in files]
    return {crd["spec"]["names"]["kind"]: crd for crd in applied}


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace of the test's own."""
    name = f"example-{uuid4().hex[:12]}"
    api.create_namespace(name)
    return name
