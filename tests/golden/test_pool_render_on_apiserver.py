"""What is rendered for a pool, as a real API server takes it: accepted, changed only by defaults, and repaired."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sophia_operator.core import drift
from tests.golden import pool_cases
from tests.golden.test_render_on_apiserver import Edit, Object, Server, assert_seen_and_repaired
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name

pytestmark = pytest.mark.apiserver

#: What a namespace with this label refuses is no restricted pod.
_RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def server(apiserver: Path) -> Server:
    return Server(apiserver)


def objects_of(name: str, server: Server, suffix: str = "") -> list[Object]:
    """What the case renders, in a namespace of its own."""
    namespace = f"pool-{name}{suffix}"
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": _RESTRICTED}})
    raw = yaml.safe_load((pool_cases.FOLDER / name / "in.yaml").read_text())
    return [dict(obj) for obj in pool_cases.parse(raw, namespace).render().objects]


@pytest.mark.parametrize("name", pool_cases.CASES)
def test_the_server_accepts_it_and_its_defaults_are_no_drift(name: str, server: Server) -> None:
    desired = objects_of(name, server)
    live = [server.apply(drift.stamped(obj)) for obj in desired]
    for wanted, found in zip(desired, live, strict=True):
        assert drift.first_difference(wanted, found) is None
        assert not drift.needs_apply(wanted, found), "after a restart of the operator"
        assert not drift.needs_apply(wanted, found, drift.fingerprint(found)), "after its own write"
    again = [server.apply(drift.stamped(obj)) for obj in desired]
    assert [o["metadata"]["resourceVersion"] for o in again] == [o["metadata"]["resourceVersion"] for o in live]


@pytest.mark.parametrize("name", ["plain", "everything"])
def test_its_pods_are_allowed_where_only_restricted_ones_are(name: str, server: Server) -> None:
    *_, deployment = objects_of(name, server, "-pod")
    template: Any = copy.deepcopy(deployment["spec"]["template"])
    template["metadata"] |= {"name": "one", "namespace": deployment["metadata"]["namespace"]}
    # Nobody makes the account that pods have by default, here.
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    account["metadata"]["namespace"] = template["metadata"]["namespace"]
    server.apply(account)
    pod = server.apply({"apiVersion": "v1", "kind": "Pod", **template})
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


EDITS: Final[dict[str, tuple[str, Edit]]] = {
    "user list": ("Secret", lambda o: o["data"].update({"userlist.txt": ""})),
    "file removed": ("Secret", lambda o: o["data"].pop("drain.sh")),
    "selector": ("Service", lambda o: o["spec"]["selector"].update({"sophia.ai/pool": "another"})),
    "unavailable": ("PodDisruptionBudget", lambda o: o["spec"].update(maxUnavailable=2)),
    "replicas": ("Deployment", lambda o: o["spec"].update(replicas=1)),
    "restart hash": ("Deployment", lambda o: o["spec"]["template"]["metadata"].pop("annotations")),
    "spread": ("Deployment", lambda o: o["spec"]["template"]["spec"].pop("topologySpreadConstraints")),
    "drain": ("Deployment", lambda o: o["spec"]["template"]["spec"]["containers"][0].pop("lifecycle")),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_seen_and_repaired(edit: str, server: Server) -> None:
    kind, change = EDITS[edit]
    desired = next(o for o in objects_of("plain", server, "-edited") if o["kind"] == kind)
    assert_seen_and_repaired(server, desired, change)
