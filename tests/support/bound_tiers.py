"""CacheTiers that services are bound to, as objects: what their own loops would have made of them."""

from __future__ import annotations

import base64
from typing import Any

Json = dict[str, Any]
NAMESPACE = "shop"


def tier(name: str = "near", *, below: str | None = None, ttl: int = 60, warm: bool = False, **spec: Any) -> Json:
    """A Redis level with one namespace, `emb`."""
    out: Json = {
        "level": "Redis",
        "redis": {"managed": {}},
        "namespaces": [{"name": "emb", "prefix": "emb", "ttlSeconds": ttl}],
        **spec,
    }
    if below is not None:
        out["next"] = below
    if warm:
        out["warmUp"] = {}
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "CacheTier",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": out,
    }


def memory(name: str = "near", below: str | None = "far") -> Json:
    """A Memory level above another one."""
    out = tier(name, below=below, level="Memory")
    del out["spec"]["redis"]
    return out


def binding(name: str = "near", host: str = "one") -> Json:
    """The Secret that says how to connect to a tier."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in (("host", host), ("password", "hidden"))}
    metadata = {"name": f"{name}-cache-binding", "namespace": NAMESPACE, "labels": {"sophia.ai/cache": name}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "servicebinding.io/redis", "data": data}


def warm_up(release: str, percent: int, phase: str = "Running", message: str = "") -> Json:
    """How far a tier says that it has warmed a release."""
    return {
        "release": release,
        "phase": phase,
        "percent": percent,
        "message": message,
        "startedAt": "2036-01-01T12:00:00Z",  # later than any release of a test begins
    }
