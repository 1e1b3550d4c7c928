"""The chains that the pods of releases read: frozen with the release, but for the numbers of generations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sophia_operator.api.binding_version import BindingVersion
from sophia_operator.core import names
from sophia_operator.core.bound import tiers_of
from sophia_operator.core.cache.chain import FILE, text, with_generations
from sophia_operator.core.cache.names import generation
from sophia_operator.core.hashing import versioned_hash
from sophia_operator.core.render import metadata
from sophia_operator.core.views import CacheView, ReleaseView, ServiceView


def chain_names(release: ReleaseView) -> Iterator[str]:
    """Names of the ConfigMaps with the release's chains."""
    for bound in release.spec.snapshot.bindings:
        if bound.chain is not None:
            yield names.live_chain(release.name, bound.name)


def chains(
    service: ServiceView, releases: Sequence[ReleaseView], caches: Mapping[str, CacheView], present: set[str]
) -> list[dict[str, Any]]:
    """ConfigMaps with the chains of these releases; `present` names the ConfigMaps that there are.

    While a tier is missing, or cannot be read, nobody knows its numbers: then a chain that is there stays as it is,
    so that no release goes back to entries that were flushed.
    """
    out = []
    for release in releases:
        for bound in release.spec.snapshot.bindings:
            known = all(name in caches for name in tiers_of(bound))
            if bound.chain is not None and (known or names.live_chain(release.name, bound.name) not in present):
                out.append(_chain(service, release, bound, bound.chain, caches))
    return out


def raised(rendered: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By the release: hash of its chains, where a flush by generation has changed one."""
    texts: dict[str, list[str]] = {}
    for obj in rendered:
        texts.setdefault(obj["metadata"]["labels"][names.LABEL_RELEASE], []).append(obj["data"][FILE])
    return {
        release: versioned_hash(of_release)
        for release, of_release in texts.items()
        if any(_is_raised(one) for one in of_release)
    }


def _is_raised(chain: str) -> bool:
    levels = json.loads(chain)["levels"]
    return any(n["generation"].split("r")[0] != generation(1) for level in levels for n in level["namespaces"])


def _chain(
    service: ServiceView, release: ReleaseView, bound: BindingVersion, frozen: str, caches: Mapping[str, CacheView]
) -> dict[str, Any]:
    numbers = {name: caches[name].numbers for name in tiers_of(bound) if name in caches}
    revision = release.spec.revision if bound.own_generation else None
    content = with_generations(json.loads(frozen), numbers, revision=revision)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.release_config(service, release, names.live_chain(release.name, bound.name)),
        "data": {FILE: text(content)},
    }
