"""`chain.json`: what applications are told of the levels of a cache, in the order in which they are asked.

All of it but the numbers of generations is frozen in a release. So it is made in two steps: the frozen chain, and the
numbers, which a flush by generation raises while the release runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sophia_operator.api.cache_tier import CacheLevel, CacheNamespace, CacheTierSpec, MemoryLevel
from sophia_operator.core.cache import names
from sophia_operator.core.cache.views import Link, TierView

FILE: Final = "chain.json"
VERSION: Final = 1

#: By the name of the tier, and of the namespace.
Generations = Mapping[str, Mapping[str, int]]


def chain(tier: TierView, below: tuple[Link, ...], *, revision: int | None = None) -> dict[str, Any]:
    """The content of `chain.json`; with a revision, that of a release that has generations of its own."""
    return with_generations(frozen_chain(tier, below), generations(tier, below), revision=revision)


def chain_text(tier: TierView, below: tuple[Link, ...], *, revision: int | None = None) -> str:
    """The text of `chain.json`."""
    return text(chain(tier, below, revision=revision))


def text(content: Mapping[str, Any]) -> str:
    """A chain as JSON: the same for the same chain to the last byte."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def frozen_chain(tier: TierView, below: tuple[Link, ...]) -> dict[str, Any]:
    """The chain without generations. It ends above a tier that is not there."""
    levels = [_level(tier.name, tier.spec)]
    for link in below:
        if link.spec is None:
            break
        levels.append(_level(link.name, link.spec))
    return {"version": VERSION, "writeStrategy": tier.spec.write_strategy.value, "levels": levels}


def with_generations(frozen: Mapping[str, Any], numbers: Generations, *, revision: int | None = None) -> dict[str, Any]:
    """A frozen chain with the generation of each namespace; one that is not known is in its first."""
    levels = [
        {**level, "namespaces": [_with_generation(n, numbers.get(level["name"], {}), revision) for n in of_level]}
        for level in frozen["levels"]
        for of_level in (level["namespaces"],)
    ]
    return {**frozen, "levels": levels}


def generations(tier: TierView, below: tuple[Link, ...]) -> dict[str, dict[str, int]]:
    """The numbers that a chain has now."""
    own = {namespace.name: namespace.generation for namespace in tier.status.namespaces}
    return {tier.name: own} | {link.name: dict(link.generations) for link in below}


def _level(name: str, spec: CacheTierSpec) -> dict[str, Any]:
    level: dict[str, Any] = {"name": name, "level": spec.level.value, "binding": name}
    if spec.level is CacheLevel.MEMORY:
        level["memory"] = _memory(spec.memory or MemoryLevel())
    level["namespaces"] = [_namespace(namespace) for namespace in sorted(spec.namespaces, key=lambda n: n.name)]
    return level


def _memory(memory: MemoryLevel) -> dict[str, Any]:
    return {
        "maxEntries": memory.max_entries,
        "ttlSeconds": memory.ttl_seconds,
        "invalidation": memory.invalidation.value,
    }


def _namespace(namespace: CacheNamespace) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": namespace.name,
        "prefix": namespace.prefix,
        "ttlSeconds": namespace.ttl_seconds,
    }
    if namespace.max_memory_megabytes is not None:
        content["maxMemoryMegabytes"] = namespace.max_memory_megabytes
    if namespace.tags:
        content["tags"] = sorted(namespace.tags)
    return content


def _with_generation(namespace: Mapping[str, Any], numbers: Mapping[str, int], revision: int | None) -> dict[str, Any]:
    number, prefix = numbers.get(namespace["name"], 1), namespace["prefix"]
    return {
        **namespace,
        "generation": names.generation(number, revision),
        "keyPrefix": names.key_prefix(prefix, number, revision),
    }
