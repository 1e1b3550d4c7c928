"""Versioned hashes of what users wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

HASH_VERSION: Final = "v1"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def versioned_hash(value: Any) -> str:
    """`v1:<sha256 of the canonical JSON>`."""
    return f"{HASH_VERSION}:{hashlib.sha256(canonical_json(value).encode()).hexdigest()}"


def release_hash(
    template: Mapping[str, Any], ports: Sequence[Mapping[str, Any]], config: Sequence[tuple[str, str, str]]
) -> str:
    """Hash of what a release runs: the template, the ports and (kind, name, content hash) of its configuration.

    The rollout plan and the size are not in it: changing how to roll out is no change to roll out.
    """
    return versioned_hash({"template": template, "ports": list(ports), "config": sorted(config)})


def content_hash(salt: str, data: Mapping[str, Any]) -> str:
    """Hash of a ConfigMap's or Secret's content. The salt keeps guessable secrets from being looked up."""
    return versioned_hash({"salt": salt, "data": data})
