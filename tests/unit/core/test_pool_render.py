from __future__ import annotations

import json
from typing import Any

import pytest

from sophia_operator.core.pool import names
from sophia_operator.core.pool.scripts import GRACE_SECONDS, drain_script
from tests.golden import pool_cases

_TLS = {"tls": {"secretName": "orders-tls"}}


def objects(spec: dict[str, Any] | None = None, size: int = 20, **rest: Any) -> dict[str, Any]:
    raw = {"pool": {"name": "orders", "spec": spec or {}, "status": {"size": size}}} | rest
    return {f"{o['kind']}/{o['metadata']['name']}": dict(o) for o in pool_cases.parse(raw).render().objects}


def template(spec: dict[str, Any] | None = None, size: int = 20, **rest: Any) -> Any:
    return objects(spec, size, **rest)["Deployment/orders-pool"]["spec"]["template"]


@pytest.mark.parametrize(
    "live",
    [
        {"size": 14},
        {"spec": {"instances": 7}},
        {"spec": {"size": {"min": 1, "max": 90, "reserve": 7}}},
        {"spec": {"maxClients": 7, "mode": "Session", "queryTimeoutSeconds": 7, "idleTimeoutSeconds": 7}},
        {"spec": {"parameters": {"server_lifetime": "7", "max_prepared_statements": "7", "tcp_keepidle": "7"}}},
        {"spec": {"database": {"host": "elsewhere", "port": 1, "name": "x", "credentialsSecretRef": {"name": "y"}}}},
        {"access": {"username": "other", "password": "other", "ca": "other"}},
        {"spec": _TLS, "certificate": "a"},
    ],
    ids=json.dumps,
)
def test_what_pgbouncer_takes_live_changes_no_pod_template(live: dict[str, Any]) -> None:
    assert objects(**live) != objects(), "the change is one"
    assert template(**live) == template()


def test_what_the_operator_alone_does_changes_nothing_in_the_cluster() -> None:
    assert objects({"paused": True, "role": "ReadOnly", "healthCheck": {"intervalSeconds": 1}}) == objects()


def test_a_renewed_certificate_comes_with_the_configuration_and_changes_no_pod_template() -> None:
    """In one Secret: so that no instance shows the new marker with the old certificate."""
    before, after = (objects(_TLS, certificate=x) for x in ("a", "b"))
    assert after["Deployment/orders-pool"] == before["Deployment/orders-pool"]
    contents = [found["Secret/orders-pool-config"]["data"] for found in (before, after)]
    for name in ("tls.crt", "tls.key", "common.ini"):
        assert contents[0][name] != contents[1][name]


@pytest.mark.parametrize(
    "new",
    [
        {"spec": {"parameters": {"listen_backlog": "7"}}},
        {"spec": {"parameters": {"track_extra_parameters": "search_path"}}},
        {"spec": {"image": "other"}},
        {"spec": {"template": {"labels": {"a": "b"}}}},
    ],
    ids=json.dumps,
)
def test_what_needs_a_new_pod_changes_the_template(new: dict[str, Any]) -> None:
    assert template(**new) != template()


def test_the_order_is_what_pods_need_first() -> None:
    kinds = [key.split("/", 1)[0] for key in objects()]
    assert kinds == ["Secret", "Secret", "Service", "PodDisruptionBudget", "Deployment"]


def test_the_binding_holds_nothing_of_the_server() -> None:
    binding = objects()["Secret/orders-pool-binding"]
    case = pool_cases.load("plain")
    access = case.observed.access
    assert access is not None
    text = pool_cases.to_yaml(case.render()).split("servicebinding.io/postgresql")[1].split("kind: ")[0]
    assert access.client_password in text
    for secret in (access.username, access.password, access.admin_password, case.pool.spec.database.host):
        assert secret not in text
    assert binding["type"] == "servicebinding.io/postgresql"


@pytest.mark.parametrize("before", ["orders", "orders_a", "sophia"])
def test_another_user_at_the_server_changes_nothing_for_applications(before: str) -> None:
    """Two users that take turns are how a password is changed without a gap: whatever they are called."""
    first = objects(access={"username": before})["Secret/orders-pool-binding"]
    assert objects(access={"username": "orders_b"})["Secret/orders-pool-binding"] == first


@pytest.mark.parametrize(("required", "ends"), [(True, "?sslmode=require"), (False, "/orders")])
def test_the_uri_asks_for_tls_where_the_pool_does(required: bool, ends: str) -> None:
    spec = {"tls": {"secretName": "orders-tls", "required": required}}
    case = pool_cases.parse({"pool": {"name": "orders", "spec": spec}, "certificate": "a"})
    [uri] = [x for x in pool_cases.to_yaml(case.render()).splitlines() if x.strip().startswith("uri: ")]
    assert uri.endswith(ends)


def test_labels_of_users_do_not_hide_a_pod_from_its_pool() -> None:
    labels = template({"template": {"labels": {names.LABEL_POOL: "other", "team": "shop"}}})["metadata"]["labels"]
    assert labels[names.LABEL_POOL] == "orders"
    assert labels["team"] == "shop"


@pytest.mark.parametrize("name", pool_cases.CASES)
def test_no_password_stands_outside_of_a_secret(name: str) -> None:
    case = pool_cases.load(name)
    shown = json.dumps([o for o in case.render().objects if o["kind"] != "Secret"])
    access = case.observed.access
    for secret in (access.password, access.client_password, access.admin_password) if access else ():
        assert secret not in shown
    assert "orders-pool" in shown or "reports-pool" in shown


def drain_seconds() -> tuple[int, int, int]:
    """To notice, to leave, to finish: as the script has them."""
    notice, leave, finish = (int(line.split(":-")[1].rstrip("}")) for line in drain_script(5432).splitlines()[2:5])
    return notice, leave, finish


def test_the_next_pod_goes_when_the_one_before_gave_back_what_no_transaction_holds() -> None:
    """The budget counts one pod that drains beside the one that starts: a second one would be too many."""
    notice, leave, _ = drain_seconds()
    deployment = objects()["Deployment/orders-pool"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert deployment["minReadySeconds"] > notice + leave


def test_draining_is_over_before_the_kubelet_kills() -> None:
    assert sum(drain_seconds()) + 5 <= GRACE_SECONDS
