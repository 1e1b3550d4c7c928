"""Bindings in pods: where they are mounted, what stands in the way, and what they do to a release's hash."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest

from sophia_operator.api.binding_version import BindingKind, BindingVersion
from sophia_operator.core.hashing import BoundContent, release_hash
from sophia_operator.core.render.bindings import add_bindings
from sophia_operator.core.render.obstacles import obstacles
from sophia_operator.core.views import BindingView

Object = dict[str, Any]
_A, _B = "v1:" + "a" * 64, "v1:" + "b" * 64
TEMPLATE: Final[Object] = {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}
PORTS: Final = [{"name": "http", "port": 80, "protocol": "TCP"}]
CONFIG: Final = [("Secret", "key", "v1:" + "1" * 64)]


def bound(name: str = "orders", *containers: str) -> BindingVersion:
    secret = f"{name}-pool-binding"
    return BindingVersion(
        kind=BindingKind.CONNECTION_POOL,
        name=name,
        containers=list(containers),
        secret_name=secret,
        hash=_A,
        copy_name=f"shop-{secret}-aaaaaaaaaa",
    )


def mounted(pod_spec: Object, *bindings: BindingVersion) -> Object:
    add_bindings(pod_spec, bindings, "shop-3")
    return pod_spec


def app(**fields: Any) -> Object:
    return {"name": "app", "image": "app:1", **fields}


def pool(name: str = "orders", *containers: str) -> BindingView:
    return BindingView(BindingKind.CONNECTION_POOL, name, containers, f"{name}-pool-binding", _A)


def problems(container: Object, *bindings: BindingView) -> list[str]:
    return obstacles({"spec": {"containers": [container]}}, bindings or [pool()])


# --- mounting ---


def test_a_container_without_anything_gets_the_mount_the_volume_and_the_variable() -> None:
    pod = mounted({"containers": [app()]}, bound())
    (container,) = pod["containers"]
    assert container["env"] == [{"name": "SERVICE_BINDING_ROOT", "value": "/bindings"}]
    assert container["volumeMounts"] == [{"name": "binding-orders", "mountPath": "/bindings/orders", "readOnly": True}]
    assert pod["volumes"] == [
        {"name": "binding-orders", "secret": {"secretName": "shop-orders-pool-binding-aaaaaaaaaa"}}
    ]


@pytest.mark.parametrize(
    ("root", "path"), [("/var/b", "/var/b/orders"), ("/var/b/", "/var/b/orders"), ("/", "/orders")]
)
def test_a_root_of_the_container_s_own_is_kept(root: str, path: str) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "SERVICE_BINDING_ROOT", "value": root}]
    pod = mounted({"containers": [app(env=copy.deepcopy(env))]}, bound())
    assert pod["containers"][0]["env"] == env
    assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == path


def test_only_named_containers_get_it() -> None:
    pod = mounted(
        {"initContainers": [app(name="migrate")], "containers": [app(), app(name="sidecar")]},
        bound("orders", "migrate"),
    )
    assert [m["mountPath"] for m in pod["initContainers"][0]["volumeMounts"]] == ["/bindings/orders"]
    assert pod["containers"] == [app(), app(name="sidecar")]


def test_without_a_container_that_gets_it_there_is_no_volume() -> None:
    pod = {"containers": [app()]}
    assert mounted(copy.deepcopy(pod), bound("orders", "gone")) == pod


def test_a_volume_s_name_is_taken_once() -> None:
    volumes = [{"name": "binding-orders"}, {"name": "binding-orders-2"}]
    pod = mounted({"containers": [app()], "volumes": volumes}, bound(), bound("orders-3"))
    assert [v["name"] for v in pod["volumes"][2:]] == ["binding-orders-3", "binding-orders-3-2"]


def test_names_of_volumes_stay_labels() -> None:
    name = "o" * 50
    pod = mounted({"containers": [app()], "volumes": [{"name": f"binding-{name}"}]}, bound(name))
    assert len(pod["volumes"][1]["name"]) <= 63


@pytest.mark.parametrize(
    "pod",
    [
        {"containers": "none"},
        {"containers": [None, "app"]},
        {"containers": [app()], "volumes": "none"},
        {"containers": [app(env="none")]},
        {"containers": [app(volumeMounts={})]},
        {"containers": [app(env=[{"name": "SERVICE_BINDING_ROOT"}, None], volumeMounts=[None])]},
    ],
)
def test_parts_of_the_wrong_shape_are_left_to_the_api_server(pod: Object) -> None:
    assert obstacles({"spec": "none"}, [pool()]) == []
    before = copy.deepcopy(pod)
    after = mounted(pod, bound())
    for field in ("image", "name"):
        assert str(after).count(field) >= str(before).count(field)


# --- what stands in the way ---


def test_nothing_stands_in_the_way_of_an_ordinary_container() -> None:
    fine = app(
        env=[{"name": "SERVICE_BINDING_ROOT", "value": "/b"}],
        volumeMounts=[{"name": "x", "mountPath": "/bindings/orders"}],
    )
    assert problems(fine) == []


def test_a_volume_of_the_container_s_own_at_the_place_is_told() -> None:
    (said,) = problems(app(volumeMounts=[{"name": "x", "mountPath": "/bindings/orders/"}]))
    assert "container app" in said
    assert "/bindings/orders, where the binding of ConnectionPool orders goes: mount it elsewhere" in said


@pytest.mark.parametrize(
    "root",
    [
        {"value": "bindings"},
        {"value": ""},
        {"value": "/a:b"},
        {"value": "$(HOME)/b"},
        {"value": "/b/$(POD)"},
        {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ],
)
def test_a_root_that_cannot_be_mounted_at_is_told(root: Object) -> None:
    (said,) = problems(app(env=[{"name": "SERVICE_BINDING_ROOT", **root}]))
    assert "sets SERVICE_BINDING_ROOT to something that bindings cannot be mounted at" in said
    assert "give it an absolute path" in said


def test_a_container_that_is_not_there_is_told() -> None:
    (said,) = problems(app(), pool("orders", "app", "worker"))
    assert said.startswith("spec.bindings.pools names container worker for orders, which spec.template does not have")


def test_a_container_that_gets_nothing_may_do_as_it_likes() -> None:
    odd = app(env=[{"name": "SERVICE_BINDING_ROOT", "value": "x"}])
    template = {"spec": {"containers": [odd, app(name="worker")]}}
    assert obstacles(template, [pool("orders", "worker")]) == []


# --- the hash ---


def test_without_bindings_the_hash_is_what_it_was_before_there_were_any() -> None:
    assert (
        release_hash(TEMPLATE, PORTS, CONFIG)
        == release_hash(TEMPLATE, PORTS, CONFIG, [])
        == "v1:16dd077ee6b7015e33dee51c7df5157c3d64357eff85e010ff710932515bd0f5"
    )


@pytest.mark.parametrize(
    "other",
    [
        [],
        [BoundContent("ConnectionPool", "orders", _B)],
        [BoundContent("ConnectionPool", "reports", _A)],
        [BoundContent("ConnectionPool", "orders", _A, ("app",))],
        [BoundContent("ConnectionPool", "orders", _A), BoundContent("ConnectionPool", "reports", _A)],
    ],
)
def test_what_is_bound_how_and_for_whom_is_in_the_hash(other: list[BoundContent]) -> None:
    one = release_hash(TEMPLATE, PORTS, CONFIG, [BoundContent("ConnectionPool", "orders", _A)])
    assert release_hash(TEMPLATE, PORTS, CONFIG, other) != one


def test_the_order_in_which_users_write_is_not_in_the_hash() -> None:
    first = BoundContent("ConnectionPool", "orders", _A, ("app", "worker"))
    again = BoundContent("ConnectionPool", "orders", _A, ("worker", "app"))
    second = BoundContent("ConnectionPool", "reports", _B)
    assert release_hash(TEMPLATE, PORTS, [], [first, second]) == release_hash(TEMPLATE, PORTS, [], [second, again])
