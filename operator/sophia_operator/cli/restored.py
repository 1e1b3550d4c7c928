"""What the spec of a service said of its bindings when a release of it was made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sophia_operator.api.binding_version import BindingKind, BindingVersion
from sophia_operator.api.managed_service import Bindings, CacheBinding, CacheGeneration, ModelBinding, PoolBinding

_Bound = TypeVar("_Bound", PoolBinding, CacheBinding, ModelBinding)


def bindings_of(versions: Iterable[BindingVersion]) -> Bindings:
    """The bindings of which those are the versions, in order."""
    of: dict[BindingKind, list[BindingVersion]] = {kind: [] for kind in BindingKind}
    for version in versions:
        of[version.kind].append(version)
    return in_order(
        Bindings(
            pools=[PoolBinding(name=v.name, containers=v.containers) for v in of[BindingKind.CONNECTION_POOL]],
            caches=[
                CacheBinding(
                    name=v.name,
                    containers=v.containers,
                    generation=CacheGeneration.PER_RELEASE if v.own_generation else CacheGeneration.SHARED,
                )
                for v in of[BindingKind.CACHE_TIER]
            ],
            models=[
                ModelBinding(name=v.name, containers=v.containers, model=v.choice, prompt_version=v.prompt_version)
                for v in of[BindingKind.MODEL_ROUTE]
            ],
        )
    )


def in_order(bindings: Bindings) -> Bindings:
    """The same bindings, sorted, with the containers of each: who says the same in another order says the same."""
    return Bindings(
        pools=[_sorted(b) for b in sorted(bindings.pools, key=lambda b: b.name)],
        caches=[_sorted(b) for b in sorted(bindings.caches, key=lambda b: b.name)],
        models=[_sorted(b) for b in sorted(bindings.models, key=lambda b: b.name)],
    )


def _sorted(binding: _Bound) -> _Bound:
    return binding.model_copy(update={"containers": sorted(binding.containers)})
