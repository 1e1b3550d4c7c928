"""Gateways, and the HTTPRoutes of others, as the store has them. Pure functions, no I/O.

Each adds to `depends` what it looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sophia_operator.api.traffic import ParentRef
from sophia_operator.ports import Object
from sophia_operator.runtime.observe_route import Controllers, Gateways
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import HOSTNAME, Dependency


def gateways_of(
    store: ObjectStore, namespace: str, parents: Iterable[ParentRef], depends: set[Dependency]
) -> dict[tuple[str, str], Object | None]:
    """The Gateways by (namespace, name); None for one that is not there. `namespace` is that of the HTTPRoute."""
    out: dict[tuple[str, str], Object | None] = {}
    for parent in parents:
        where = (parent.namespace or namespace, parent.name)
        out[where] = store.get("Gateway", *where)
        depends.add(("Gateway", *where))
    return out


def controllers_of(store: ObjectStore, gateways: Gateways, depends: set[Dependency]) -> Controllers:
    """The controller of each Gateway."""
    out: dict[tuple[str, str], str | None] = {}
    for where, gateway in gateways.items():
        class_name = gateway["spec"].get("gatewayClassName", "") if gateway is not None else ""
        if class_name:
            depends.add(("GatewayClass", "", class_name))
        found = store.get("GatewayClass", "", class_name) if class_name else None
        out[where] = found["spec"].get("controllerName") if found is not None else None
    return out


def routes_claiming(store: ObjectStore, hostnames: Sequence[str], depends: set[Dependency]) -> Sequence[Object]:
    """HTTPRoutes that claim one of the host names; without any, those that claim every host."""
    found: dict[tuple[str, str], Object] = {}
    for hostname in hostnames or [""]:
        depends.add((HOSTNAME, "", hostname))
        for route in store.routes_for(hostname):
            found[route["metadata"]["namespace"], route["metadata"]["name"]] = route
    return list(found.values())
