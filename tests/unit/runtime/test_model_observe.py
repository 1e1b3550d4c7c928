"""A route as a pass sees it: its HTTPRoute, the Gateway, and pods of a gateway that somebody else runs."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.conditions import Reason
from sophia_operator.api.model_route_status import ModelRouteStatus
from sophia_operator.core.model.names import LABEL_ROUTE, workload
from sophia_operator.core.model.render.way import http_route_of
from sophia_operator.core.model.views import GatewayPod, ModelKept, ModelRouteView
from sophia_operator.core.names import MANAGER
from sophia_operator.runtime.models.access import RouteFound
from sophia_operator.runtime.models.observe import RouteSight, observe, route_view
from sophia_operator.runtime.store import ObjectStore
from tests.support.model_routes import http_route, model_route, portkey_route, view

OURS = {
    "labels": {LABEL_ROUTE: "chat", "app.kubernetes.io/managed-by": MANAGER},
    "ownerReferences": [{"kind": "ModelRoute", "name": "chat", "uid": "uid-1", "controller": True}],
}
PORTKEY = {
    "portkey": {
        "selector": {"app": "portkey"},
        "httpRoute": {"parentRefs": [{"name": "gw"}], "hostnames": ["models.example.com"]},
    }
}


def stored(*objects: dict[str, Any]) -> ObjectStore:
    store = ObjectStore()
    for number, obj in enumerate(objects, 1):
        meta = {"namespace": "shop", "uid": f"uid-of-{number}", "resourceVersion": str(number)}
        assert store.put(obj | {"metadata": meta | obj["metadata"]})
    return store


def gateway(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gw"},
        "spec": {"gatewayClassName": "c", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        "status": {"addresses": [{"value": "10.0.0.9"}], **status},
    }


def gateway_class() -> dict[str, Any]:
    meta = {"name": "c", "namespace": ""}
    return {"apiVersion": "v1", "kind": "GatewayClass", "metadata": meta, "spec": {"controllerName": "example.com/c"}}


def live(name: str = "chat-models", *, generation: int = 1, accepted: bool = True, **more: Any) -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": "True" if accepted else "False", "reason": "R", "observedGeneration": generation}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parents = [{"parentRef": {"name": "gw"}, "controllerName": "example.com/c", "conditions": conditions}]
    spec = {
        "parentRefs": [{"name": "gw"}],
        "hostnames": ["models.example.com"],
        "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}]}],
    }
    meta = {"name": name, "generation": 1, "creationTimestamp": "2026-03-01T12:00:00Z"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": meta | more.pop("metadata", OURS),
        "spec": spec | more,
        "status": {"parents": parents},
    }


def foreign(path: str = "/v1", **more: Any) -> dict[str, Any]:
    rules = [{"matches": [{"path": {"type": "PathPrefix", "value": path}}]}]
    found = live("theirs", metadata={}, rules=rules, **more)
    found["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return found


def seen(store: ObjectStore, route: ModelRouteView | None = None) -> RouteSight:
    return observe(store, route or view(http_route()), RouteFound(), ModelKept())


@pytest.mark.parametrize(
    ("obj", "caught_up", "accepted"),
    [(live(), True, True), (live(generation=0), False, None), (live(accepted=False), True, False)],
)
def test_what_the_controllers_say_of_the_http_route(obj: dict[str, Any], caught_up: bool, accepted: bool) -> None:
    found = seen(stored(gateway(), gateway_class(), obj)).observed
    assert found.http_route is not None
    assert (found.http_route.caught_up, found.http_route.accepted) == (caught_up, accepted)
    assert (found.gateway_url, found.blockers) == ("http://10.0.0.9:80", ())


def test_before_there_is_an_http_route_nothing_is_said_of_it() -> None:
    sight = seen(stored(gateway()))
    assert (sight.observed.http_route, sight.observed.blockers) == (None, ())
    assert {("Gateway", "shop", "gw"), ("hostname", "", "models.example.com")} <= sight.depends_on


def test_a_gateway_that_is_not_there() -> None:
    sight = seen(stored())
    assert [b.reason for b in sight.observed.blockers] == [Reason.GATEWAY_NOT_FOUND]
    assert sight.observed.gateway_url is None


def test_an_http_route_of_somebody_else_is_not_taken_for_ours() -> None:
    found = seen(stored(gateway(), live(metadata={}))).observed
    assert found.http_route is None


def test_a_host_name_that_another_route_answers() -> None:
    found = seen(stored(gateway(), foreign())).observed
    assert [b.reason for b in found.blockers] == [Reason.HOSTNAME_TAKEN]
    assert seen(stored(gateway(), foreign("/images"))).observed.blockers == ()


def test_the_live_http_route_stays_while_another_one_cannot_take_its_place() -> None:
    wanted = http_route(way={"hostnames": ["taken.example.com"], "path": "/api"})
    theirs = foreign("/api", hostnames=["taken.example.com"])
    sight = seen(stored(gateway(), gateway_class(), live(), theirs), view(wanted))
    way = http_route_of(sight.route)
    assert way is not None
    assert (way.hostnames, way.path) == (["models.example.com"], "/v1")
    assert way.data_plane is not None, "what the HTTPRoute does not say is as the spec has it"
    assert sight.observed.http_route is not None
    assert sight.observed.http_route.accepted
    assert ("hostname", "", "taken.example.com") in sight.depends_on
    # Without one there is nothing to keep.
    assert http_route_of(seen(stored(gateway(), theirs), view(wanted)).route) == http_route_of(view(wanted))


def test_a_portkey_route_keeps_its_http_route_as_well() -> None:
    wanted = {"portkey": PORTKEY["portkey"] | {"httpRoute": {"parentRefs": [{"name": "no"}], "hostnames": ["b.com"]}}}
    sight = seen(stored(gateway(), live()), view(portkey_route(gateway=wanted)))
    way = http_route_of(sight.route)
    assert way is not None
    assert ([p.name for p in way.parent_refs], way.hostnames) == (["gw"], ["models.example.com"])
    assert [b.reason for b in sight.observed.blockers] == [Reason.GATEWAY_NOT_FOUND]


def endpoint(pod: str, address: str, **more: Any) -> dict[str, Any]:
    target = {"kind": "Pod", "name": pod, "uid": f"uid-{pod}"}
    return {"addresses": [address], "conditions": {"ready": True}, "targetRef": target} | more


def slice_of(*endpoints: dict[str, Any], name: str = "s1", service: str = "chat-models") -> dict[str, Any]:
    labels = OURS["labels"] | {"kubernetes.io/service-name": service}  # type: ignore[operator]
    meta = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "EndpointSlice", "metadata": meta, "endpoints": list(endpoints)}


def service(**meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": workload("chat"), **(meta or OURS)}}


def pods(*objects: dict[str, Any], **spec: Any) -> tuple[GatewayPod, ...]:
    return seen(stored(*objects), view(model_route(**spec))).observed.pods


def test_pods_are_those_that_the_endpoint_slices_of_our_service_list() -> None:
    found = pods(
        service(),
        slice_of(endpoint("b", "10.4.0.2"), endpoint("a", "10.4.0.1", conditions={"ready": False})),
        slice_of(endpoint("b", "fd00::2"), endpoint("c", "10.4.0.3", conditions={}), name="s2"),
        slice_of(endpoint("other", "10.4.0.9"), name="s3", service="another"),
    )
    assert found == (
        GatewayPod("a", "10.4.0.1", ready=False, uid="uid-a"),
        GatewayPod("b", "10.4.0.2", ready=True, uid="uid-b"),
        GatewayPod("c", "10.4.0.3", ready=True, uid="uid-c"),
    )


def test_what_ends_and_what_is_no_pod_is_no_replica() -> None:
    ending = endpoint("a", "10.4.0.1", conditions={"ready": True, "terminating": True})
    external = endpoint("b", "10.4.0.2", targetRef={})
    assert pods(service(), slice_of(ending, external, endpoint("c", "x", addresses=[]))) == ()


def test_behind_a_service_of_somebody_else_are_no_pods_of_ours() -> None:
    assert pods(service(labels={}), slice_of(endpoint("a", "10.4.0.1"))) == ()
    behind_portkey = seen(stored(service(), slice_of(endpoint("a", "10.4.0.1"))), view(portkey_route()))
    assert behind_portkey.observed.pods != ()


def test_of_other_endpoint_slices_addresses_are_not_kept() -> None:
    piece = slice_of(endpoint("a", "10.4.0.1"))
    del piece["metadata"]["labels"][LABEL_ROUTE]
    found = stored(piece).all("EndpointSlice")[0]
    assert found["endpoints"] == [{"conditions": {"ready": True}, "targetRef": {"name": "a"}}]


def test_a_status_that_cannot_be_read_is_built_anew() -> None:
    obj = http_route()
    obj["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-03-01T12:00:00Z"}
    assert route_view(obj | {"status": {"revision": "many"}}).status == ModelRouteStatus()


def test_lists_have_one_order_whatever_the_api_server_makes_of_them() -> None:
    names = [{"name": "second"}, {"name": "primary"}]
    shares = [{"name": "second", "percent": 0}, {"name": "primary", "percent": 100}]
    one = view(http_route(), models=names, shares=shares)
    assert one.status == view(http_route(), models=names[::-1], shares=shares[::-1]).status
    acts = [
        {"name": name, "uid": name, "action": "SwitchModel", "phase": "Done", "startedAt": f"2026-03-01T12:00:0{at}Z"}
        for name, at in (("b", 1), ("a", 2))
    ]
    read = view(http_route(), acts=acts[::-1]).status
    assert [a.name for a in read.acts] == ["b", "a"]


def test_what_the_route_is_asked_for_and_that_it_waits_for_that() -> None:
    action: dict[str, Any] = {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryAction",
        "metadata": {"name": "switch-1"},
        "spec": {
            "target": {"kind": "ModelRoute", "name": "chat"},
            "action": "SwitchModel",
            "parameters": {"model": "second"},
        },
        "status": {"phase": "Claimed", "claimedAt": "2026-03-01T12:00:00Z"},
    }
    other = action | {
        "metadata": {"name": "switch-2"},
        "spec": action["spec"] | {"target": {"kind": "ConnectionPool", "name": "chat"}},
    }
    sight = seen(stored(action, other), view(http_route(name="chat")))
    assert [(r.name, r.parameters.model, r.may_begin) for r in sight.observed.acts] == [("switch-1", "second", True)]
    assert any(dependency[2].endswith("ModelRoute/shop/chat") for dependency in sight.depends_on)
