"""Versioned hashes of what users wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

HASH_VERSION: Final = "v1"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def versioned_hash(value: Any) -> str:
    """`v1:<sha256 of the canonical JSON>`."""
    return f"{HASH_VERSION}:{hashlib.sha256(canonical_json(value).encode()).hexdigest()}"


@dataclass(frozen=True, slots=True, order=True)
class BoundContent:
    """What a release is bound to, with the hash of how to connect to it, and who gets it."""

    kind: str
    name: str
    hash: str
    containers: tuple[str, ...] = ()


def release_hash(
    template: Mapping[str, Any],
    ports: Sequence[Mapping[str, Any]],
    config: Sequence[tuple[str, str, str]],
    bindings: Sequence[BoundContent] = (),
) -> str:
    """Hash of what a release runs: template, ports, (kind, name, content hash) of its configuration, and bindings.

    The rollout plan and the size are not in it: changing how to roll out is no change to roll out. Without bindings
    nothing speaks of them, so that releases keep the hash that they had before there were any.
    """
    what: dict[str, Any] = {"template": template, "ports": list(ports), "config": sorted(config)}
    if bindings:
        what["bindings"] = [[b.kind, b.name, b.hash, sorted(b.containers)] for b in sorted(bindings)]
    return versioned_hash(what)


def content_hash(salt: str, data: Mapping[str, Any]) -> str:
    """Hash of a ConfigMap's or Secret's content. The salt keeps guessable secrets from being looked up."""
    return versioned_hash({"salt": salt, "data": data})
