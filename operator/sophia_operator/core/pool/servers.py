"""Which server a pool's host and port mean, so that pools of one server are known to be that."""

from __future__ import annotations

import ipaddress
from typing import Final

_LOCAL: Final = "localhost"


def server_key(namespace: str, host: str, port: int) -> str:
    """The same text for every way to name the same server: `db`, `db.ns`, `db.ns.svc` and `db.ns.svc.cluster.local`.

    Names are compared, not addresses: an alias of a server is another server here.
    """
    name = _plain(host)
    address = _address(name)
    if address is not None:
        return f"{address}:{port}"
    labels = name.split(".")
    if len(labels) == 1 and name != _LOCAL:
        labels = [name, namespace]
    elif len(labels) > 2 and labels[2] == "svc":
        labels = labels[:2]
    return f"{'.'.join(labels)}:{port}"


def reachable_host(namespace: str, host: str) -> str:
    """The host as the operator finds it: a bare name is that of a Service in the pool's namespace, not in its own."""
    name = host.rstrip(".")
    bare = "." not in name and _address(name) is None and name.lower() != _LOCAL
    return f"{name}.{namespace}.svc" if bare else host


def _plain(host: str) -> str:
    return host.rstrip(".").lower()


def _address(name: str) -> str | None:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return None
