"""The real API server takes the CRDs: names, structural schema, and the cost of the CEL rules."""

from __future__ import annotations

import pytest

from sophia_operator.api.schema.kinds import KINDS
from tests.api.kube import Api, Object

pytestmark = pytest.mark.apiserver


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_the_crd_is_established_and_structural(kind: str, crds: dict[str, Object]) -> None:
    conditions = {c["type"]: c["status"] for c in crds[kind]["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_discovery_shows_names_and_subresources(kind: object, api: Api, crds: dict[str, Object]) -> None:
    resources = {r["name"]: r for r in api.get("/apis/sophia.ai/v1alpha1")["resources"]}
    for declared in KINDS:
        found = resources[declared.plural]
        assert found["shortNames"] == list(declared.short_names)
        assert found["categories"] == ["sophia"]
        assert f"{declared.plural}/status" in resources
        assert (f"{declared.plural}/scale" in resources) == (declared.scale is not None)
