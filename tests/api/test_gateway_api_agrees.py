"""What we refuse of a rule or a parent, the Gateway API refuses too: nobody is kept from what an HTTPRoute takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from hack.cluster import manifests, versions
from sophia_operator.api.schema.crd import object_schema
from sophia_operator.api.schema.kinds import MANAGED_SERVICE
from sophia_operator.cli.yaml_source import Path
from tests.api.examples import Example, examples
from tests.api.kube import Api, Object, RefusedError
from tests.api.mutations import Mutation, mutations

pytestmark = pytest.mark.apiserver

_GATEWAY: Final = ("spec", "traffic", "gateway")
_PARTS: Final = ("parentRefs", "rules")
#: Bounds of our own: how much a service may have of each, and one for a text that has none.
_OURS: Final = {
    "spec.traffic.gateway.parentRefs-maxItems",
    "spec.traffic.gateway.parentRefs-minItems",
    "spec.traffic.gateway.parentRefs[0].name-pattern",
    "spec.traffic.gateway.rules-maxItems",
    *(f"spec.traffic.gateway.rules[{rule}].matches-maxItems" for rule in range(4)),
    *(f"spec.traffic.gateway.rules[{rule}].filters-maxItems" for rule in range(4)),
}


def _is_ours(mutation: Mutation) -> bool:
    return str(mutation) in _OURS or (".remove[" in str(mutation) and mutation.bound == "maxLength")


def _full() -> Object:
    (document,) = next(e for e in examples("valid") if str(e) == "service-full").documents
    first = document["spec"]["traffic"]["gateway"]["rules"][0]
    # The standard channel of the Gateway API does not have it yet.
    filters = [f for f in first["filters"] if f["type"] != "ExternalAuth"]
    rules = [{**first, "filters": filters}, *document["spec"]["traffic"]["gateway"]["rules"][1:]]
    gateway = {**document["spec"]["traffic"]["gateway"], "rules": rules}
    return {**document, "spec": {**document["spec"], "traffic": {"gateway": gateway}}}


def _cases() -> Iterator[Any]:
    schema = object_schema(MANAGED_SERVICE)
    value: Any = _full()
    for step in _GATEWAY:
        schema, value = schema["properties"][step], value[step]
    for part in _PARTS:
        path: Path = (*_GATEWAY, part)
        for mutation in mutations(schema["properties"][part], value[part], path):
            if not _is_ours(mutation):
                yield pytest.param(mutation, id=str(mutation))


def _route(service: Object) -> Object:
    """The parents and rules of a service, as they stand, in an HTTPRoute."""
    gateway = service["spec"]["traffic"]["gateway"]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "route"},
        "spec": {part: gateway[part] for part in _PARTS if part in gateway},
    }


@pytest.fixture(scope="module")
def gateway_api(api: Api) -> Api:
    """The API server, with the HTTPRoutes that the local cluster has."""
    files = ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"]
    text = manifests.module_files("sigs.k8s.io/gateway-api", versions.of("gateway-api"), files)
    for crd in yaml.safe_load_all(text):
        api.apply_crd(crd)
    return api


def _submit(api: Api, service: Object) -> None:
    api.submit(_route(service), "default", dry_run=True)


def check_taken(api: Api, service: Object) -> None:
    try:
        _submit(api, service)
    except RefusedError as error:
        pytest.fail(f"the Gateway API refuses it: {error}")


def test_the_whole_example_is_taken(gateway_api: Api) -> None:
    check_taken(gateway_api, _full())


@pytest.mark.parametrize("mutation", list(_cases()))
def test_a_bound_is_no_closer(gateway_api: Api, mutation: Mutation) -> None:
    with pytest.raises(RefusedError):
        _submit(gateway_api, mutation.apply(_full()))


@pytest.mark.parametrize(
    "example",
    [e for e in examples("invalid") if str(e).startswith(("service-route-", "service-parents-"))],
    ids=str,
)
def test_a_rule_is_no_closer(gateway_api: Api, example: Example) -> None:
    (document,) = example.documents
    with pytest.raises(RefusedError):
        _submit(gateway_api, document)


@pytest.mark.parametrize("name", ["service-route-as-the-gateway-api-has-it", "service-parents-by-section"])
def test_it_takes_what_we_call_its_own(gateway_api: Api, name: str) -> None:
    (example,) = (e for e in examples("valid") if str(e) == name)
    check_taken(gateway_api, example.documents[0])
