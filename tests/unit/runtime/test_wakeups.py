"""Who looks again when something changes, and who is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.core.names import LABEL_SERVICE
from sophia_operator.core.pool.names import LABEL_POOL
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import HOSTNAME, SERVER, Feed, Wakeups

APP = ("shop", "app")
OTHER = ("shop", "other")


@pytest.fixture
def causes() -> list[str]:
    return []


@pytest.fixture
def wakeups(causes: list[str]) -> Wakeups:
    made = Wakeups(causes.append)
    made.event(APP)
    made.event(OTHER)
    return made


@pytest.fixture
def feed(wakeups: Wakeups) -> Feed:
    return Feed(ObjectStore(), wakeups)


def obj(kind: str, name: str, version: int = 1, service: str | None = None, **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": name, "resourceVersion": str(version)}
    metadata |= rest.pop("metadata", {})
    if service is not None:
        metadata["labels"] = {LABEL_SERVICE: service}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}


def woken(wakeups: Wakeups) -> set[tuple[str, str]]:
    out = {service for service in (APP, OTHER) if wakeups.event(service).is_set()}
    for service in out:
        wakeups.event(service).clear()
    return out


def test_a_service_and_its_children_wake_it_alone(wakeups: Wakeups, feed: Feed, causes: list[str]) -> None:
    feed.seen(obj("ManagedService", "app", spec={}))
    assert woken(wakeups) == {APP}
    feed.seen(obj("Pod", "app-1-x", service="app", status={}))
    assert woken(wakeups) == {APP}
    feed.gone(obj("Pod", "app-1-x", version=2, service="app", status={}))
    assert woken(wakeups) == {APP}
    assert causes == ["ManagedService", "Pod", "Pod"]


def test_what_is_no_news_wakes_nobody(wakeups: Wakeups, feed: Feed) -> None:
    feed.seen(obj("Pod", "p", service="app", status={"phase": "Running"}))
    woken(wakeups)
    feed.seen(obj("Pod", "p", version=2, service="app", status={"phase": "Running", "podIP": "10.0.0.1"}))
    feed.gone(obj("Pod", "q", service="app"))
    assert woken(wakeups) == set()


def test_dependencies_wake_those_that_have_them(wakeups: Wakeups, feed: Feed) -> None:
    wakeups.depend(APP, frozenset({("ConfigMap", "shop", "settings"), ("Gateway", "infra", "gw")}))
    wakeups.depend(OTHER, frozenset({("Gateway", "infra", "gw")}))
    feed.seen(obj("ConfigMap", "settings", data={"a": "1"}))
    assert woken(wakeups) == {APP}
    feed.seen(obj("ConfigMap", "unrelated", data={"a": "1"}))
    assert woken(wakeups) == set()
    feed.seen(obj("Gateway", "gw", metadata={"namespace": "infra"}, spec={}))
    assert woken(wakeups) == {APP, OTHER}
    wakeups.depend(APP, frozenset())
    feed.gone(obj("Gateway", "gw", version=2, metadata={"namespace": "infra"}, spec={}))
    assert woken(wakeups) == {OTHER}


def test_a_route_of_others_wakes_by_its_host_names_and_only_when_its_spec_changes(wakeups: Wakeups, feed: Feed) -> None:
    wakeups.depend(APP, frozenset({(HOSTNAME, "", "a.example.com")}))

    def route(version: int, generation: int, *hostnames: str) -> dict[str, Any]:
        spec = {"hostnames": list(hostnames)}
        return obj(
            "HTTPRoute", "theirs", version, metadata={"generation": generation}, spec=spec, status={"v": version}
        )

    feed.seen(route(1, 1, "a.example.com"))
    assert woken(wakeups) == {APP}
    feed.seen(route(2, 1, "a.example.com"))
    assert woken(wakeups) == set()
    feed.seen(route(3, 2, "b.example.com"))
    assert woken(wakeups) == {APP}
    feed.seen(route(4, 3, "c.example.com"))
    assert woken(wakeups) == set()


def test_a_service_that_runs_no_loop_is_forgotten(wakeups: Wakeups, causes: list[str]) -> None:
    wakeups.depend(APP, frozenset({("ConfigMap", "shop", "settings")}))
    wakeups.forget(APP)
    wakeups.changed(("ConfigMap", "shop", "settings"), "ConfigMap")
    wakeups.wake(APP, "ManagedService")
    assert causes == []


def test_a_gateway_wakes_for_its_address_not_for_the_number_of_its_routes(wakeups: Wakeups, feed: Feed) -> None:
    def gateway(version: int, routes: int, address: str) -> dict[str, Any]:
        listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
        status = {"addresses": [{"value": address}], "listeners": [{"name": "http", "attachedRoutes": routes}]}
        spec = {"gatewayClassName": "contour", "listeners": listeners}
        return obj("Gateway", "gw", version=version, spec=spec, status=status)

    wakeups.depend(APP, frozenset({("Gateway", "shop", "gw")}))
    feed.seen(gateway(1, routes=1, address="10.0.0.7"))
    assert woken(wakeups) == {APP}
    feed.seen(gateway(2, routes=2, address="10.0.0.7"))
    assert woken(wakeups) == set()
    feed.seen(gateway(3, routes=2, address="10.0.0.8"))
    assert woken(wakeups) == {APP}


@pytest.fixture
def pools() -> Wakeups:
    made = Wakeups()
    made.event(APP)
    made.event(OTHER)
    return made


@pytest.fixture
def both(wakeups: Wakeups, pools: Wakeups) -> Feed:
    return Feed(ObjectStore(), wakeups, pools)


def a_pool(name: str, version: int = 1, host: str = "db", granted: int | None = None, **status: Any) -> dict[str, Any]:
    budget = {"budget": {"granted": granted}} if granted is not None else {}
    return obj("ConnectionPool", name, version, spec={"database": {"host": host}}, status=budget | status)


def test_a_service_and_a_pool_of_the_same_name_leave_each_other_alone(
    wakeups: Wakeups, pools: Wakeups, both: Feed
) -> None:
    both.seen(obj("ManagedService", "app", spec={}))
    assert (woken(wakeups), woken(pools)) == ({APP}, set())
    both.seen(obj("Pod", "p", service="app", status={}))
    assert (woken(wakeups), woken(pools)) == ({APP}, set())
    both.seen(a_pool("app"))
    assert (woken(wakeups), woken(pools)) == (set(), {APP})
    both.seen(obj("Pod", "q", metadata={"labels": {LABEL_POOL: "app"}}, status={}))
    assert (woken(wakeups), woken(pools)) == (set(), {APP})


def test_a_secret_wakes_services_and_pools_that_name_it(wakeups: Wakeups, pools: Wakeups, both: Feed) -> None:
    for loops in (wakeups, pools):
        loops.depend(APP, frozenset({("Secret", "shop", "password")}))
    both.seen(obj("Secret", "password", data={"a": "1"}))
    assert (woken(wakeups), woken(pools)) == ({APP}, {APP})


def test_pools_of_a_server_are_woken_by_what_another_one_takes_of_it_and_by_nothing_else(
    pools: Wakeups, both: Feed
) -> None:
    pools.depend(OTHER, frozenset({(SERVER, "", "db.shop:5432")}))
    both.seen(a_pool("app", 1))
    assert woken(pools) == {APP, OTHER}
    both.seen(a_pool("app", 2, granted=10))
    assert woken(pools) == {APP, OTHER}
    both.seen(a_pool("app", 3, granted=10, inUse=4))
    assert woken(pools) == {APP}
    both.seen(a_pool("app", 4, host="db.elsewhere", granted=10))
    assert woken(pools) == {APP, OTHER}
    both.seen(a_pool("app", 5, host="db.elsewhere", granted=20))
    assert woken(pools) == {APP}
    both.seen(a_pool("app", 6, granted=20))
    woken(pools)
    both.gone(a_pool("app", 7, granted=20))
    assert woken(pools) == {APP, OTHER}


def test_pods_of_pools_say_where_they_are_and_those_of_services_do_not(
    wakeups: Wakeups, pools: Wakeups, both: Feed
) -> None:
    for label, loops in ((LABEL_SERVICE, wakeups), (LABEL_POOL, pools)):
        both.seen(obj("Pod", label[-4:], metadata={"labels": {label: "app"}}, status={}))
        woken(loops)
        both.seen(obj("Pod", label[-4:], 2, metadata={"labels": {label: "app"}}, status={"podIP": "10.0.0.1"}))
    assert (woken(wakeups), woken(pools)) == (set(), {APP})
