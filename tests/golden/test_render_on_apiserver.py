"""What is rendered, as a real API server takes it: accepted, changed only by defaults, and repaired when edited.

`UPDATE_GOLDEN=1` writes what the server makes of some cases to `live/`, for the unit tests of drift.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from kubernetes import client, config, dynamic
from kubernetes.dynamic.exceptions import NotFoundError

from hack.cluster import manifests, versions
from sophia_operator.core import drift
from tests.golden import cases
from tests.golden.test_render import UPDATE
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name

pytestmark = pytest.mark.apiserver

#: Cases whose live objects are kept for the unit tests.
KEPT: Final = ("mid-rollout", "rules", "config-copies", "own-pre-stop", "traffic-none", "as-users-write")
_TIMEOUT_SECONDS: Final = 30
_MANAGER: Final = "sophia-operator"

Object = dict[str, Any]


class Server:
    """Applies and edits objects on the API server, as the operator and as a person."""

    def __init__(self, kubeconfig: Path) -> None:
        access = client.Configuration()
        config.load_kube_config(config_file=str(kubeconfig), client_configuration=access)
        self._client = dynamic.DynamicClient(client.ApiClient(access))

    def apply(self, obj: Object, manager: str = _MANAGER) -> Object:
        answer = self._kind(obj).server_side_apply(
            body=obj,
            name=obj["metadata"]["name"],
            namespace=obj["metadata"].get("namespace"),
            field_manager=manager,
            force_conflicts=True,
            _request_timeout=_TIMEOUT_SECONDS,
        )
        return _plain(answer)

    def replace(self, obj: Object) -> Object:
        return _plain(self._kind(obj).replace(body=obj, _request_timeout=_TIMEOUT_SECONDS))

    def namespace(self, name: str) -> None:
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def install(self, crd: Object) -> None:
        self.apply(crd)
        group, version = crd["spec"]["group"], next(v["name"] for v in crd["spec"]["versions"] if v["storage"])
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while True:
            try:
                self._client.resources.invalidate_cache()
                found = self._client.resources.get(api_version=f"{group}/{version}", kind=crd["spec"]["names"]["kind"])
                self._client.get(found, namespace="default")
            except (NotFoundError, dynamic.exceptions.ResourceNotFoundError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _kind(self, obj: Object) -> Any:
        return self._client.resources.get(api_version=obj["apiVersion"], kind=obj["kind"])


@pytest.fixture(scope="module")
def server(apiserver: Path) -> Server:
    connection = Server(apiserver)
    crds = manifests.module_files(
        "sigs.k8s.io/gateway-api",
        versions.of("gateway-api"),
        ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
    )
    for crd in yaml.safe_load_all(crds):
        connection.install(crd)
    return connection


def objects_of(name: str, server: Server, suffix: str = "") -> list[Object]:
    """What the case renders, in a namespace of its own."""
    raw = cases.read(name)
    raw["service"].setdefault("namespace", f"{name}{suffix}")
    case = cases.parse(raw)
    server.namespace(case.service.namespace)
    return list(case.render().objects)


@pytest.mark.parametrize("name", cases.CASES)
def test_the_server_accepts_it_and_its_defaults_are_no_drift(name: str, server: Server) -> None:
    desired = objects_of(name, server)
    live = [server.apply(drift.stamped(obj)) for obj in desired]
    for wanted, found in zip(desired, live, strict=True):
        assert drift.first_difference(wanted, found) is None
        assert not drift.needs_apply(wanted, found), "after a restart of the operator"
        assert not drift.needs_apply(wanted, found, drift.fingerprint(found)), "after its own write"
    again = [server.apply(drift.stamped(obj)) for obj in desired]
    assert [o["metadata"]["resourceVersion"] for o in again] == [o["metadata"]["resourceVersion"] for o in live]
    if UPDATE and name in KEPT:
        (Path(__file__).parent / "live").mkdir(exist_ok=True)
        text = yaml.safe_dump([_without_chance(o, cases.load(name).service.namespace) for o in live], sort_keys=False)
        (Path(__file__).parent / "live" / f"{name}.yaml").write_text(text)


Edit = Callable[[Object], Any]

EDITS: Final[dict[str, tuple[str, Edit]]] = {
    "weight": ("HTTPRoute", lambda o: o["spec"]["rules"][-1]["backendRefs"][1].update(weight=50)),
    "rule removed": ("HTTPRoute", lambda o: o["spec"]["rules"].pop(0)),
    "rule added": ("HTTPRoute", lambda o: o["spec"]["rules"].append({"backendRefs": []})),
    "timeout added": ("HTTPRoute", lambda o: o["spec"]["rules"][-1].update(timeouts={"request": "1s"})),
    "hostname": ("HTTPRoute", lambda o: o["spec"].update(hostnames=["other.example.com"])),
    "label removed": ("HTTPRoute", lambda o: o["metadata"]["labels"].pop("sophia.ai/service")),
    "owner removed": ("HTTPRoute", lambda o: o["metadata"].pop("ownerReferences")),
    "hash removed": ("HTTPRoute", lambda o: o["metadata"].pop("annotations")),
    "selector": ("Service", lambda o: o["spec"]["selector"].update({"sophia.ai/release": "chat-7"})),
    "selector narrowed": ("Service", lambda o: o["spec"]["selector"].update(extra="yes")),
    "target port": ("Service", lambda o: o["spec"]["ports"][0].update(targetPort=1)),
    "type": ("Service", lambda o: o["spec"].update(type="NodePort")),
    "replicas": ("Deployment", lambda o: o["spec"].update(replicas=1)),
    "image": (
        "Deployment",
        lambda o: o["spec"]["template"]["spec"]["containers"][0].update(image="registry.example/other"),
    ),
    "paused drain": (
        "Deployment",
        lambda o: o["spec"]["template"]["spec"]["containers"][0].pop("lifecycle"),
    ),
    "zero made nothing": ("Deployment", lambda o: o["spec"].update(revisionHistoryLimit=10)),
    "unavailable": ("Deployment", lambda o: o["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1)),
}


def assert_seen_and_repaired(server: Server, desired: Object, change: Edit) -> None:
    """Somebody's change of an object is drift, with and without memory of our own write, and one apply mends it."""
    before = server.apply(drift.stamped(desired))
    edited = copy.deepcopy(before)
    change(edited)
    found = server.replace(edited)

    assert drift.needs_apply(desired, found), "after a restart of the operator"
    assert drift.needs_apply(desired, found, drift.fingerprint(before)), "with the memory of its own write"

    repaired = server.apply(drift.stamped(desired))
    assert drift.first_difference(desired, repaired) is None
    assert not drift.needs_apply(desired, repaired, drift.fingerprint(repaired))


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_seen_and_repaired(edit: str, server: Server) -> None:
    kind, change = EDITS[edit]
    desired = next(o for o in objects_of("mid-rollout", server, "-edited") if o["kind"] == kind)
    assert_seen_and_repaired(server, desired, change)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Deployment", {"metadata": {"annotations": {"example.com/note": "hello"}}}),
        ("Deployment", {"metadata": {"labels": {"example.com/team": "search"}}}),
        ("HTTPRoute", {"metadata": {"annotations": {"example.com/note": "hello"}}}),
        ("Service", {"metadata": {"finalizers": ["example.com/wait"]}}),
    ],
)
def test_what_others_add_beside_is_theirs(kind: str, change: Object, server: Server) -> None:
    desired = next(o for o in objects_of("mid-rollout", server, "-beside") if o["kind"] == kind)
    before = server.apply(drift.stamped(desired))
    theirs: Object = {"apiVersion": desired["apiVersion"], "kind": kind, **copy.deepcopy(change)}
    theirs["metadata"] |= {k: desired["metadata"][k] for k in ("name", "namespace")}
    after = server.apply(theirs, manager="somebody-else")
    assert not drift.needs_apply(desired, after)
    assert not drift.needs_apply(desired, after, drift.fingerprint(before))


def _plain(answer: Any) -> Object:
    plain: Object = answer.to_dict()
    return plain


def _without_chance(live: Object, namespace: str) -> Object:
    """The object without what is different each time."""
    out = copy.deepcopy(live)
    meta = out["metadata"]
    for field in ("managedFields", "creationTimestamp", "resourceVersion", "uid"):
        meta.pop(field, None)
    meta["namespace"] = namespace
    meta["annotations"].pop("sophia.ai/applied-hash")
    if "clusterIP" in out["spec"]:
        out["spec"] |= {"clusterIP": "10.78.0.7", "clusterIPs": ["10.78.0.7"]}
    return out
