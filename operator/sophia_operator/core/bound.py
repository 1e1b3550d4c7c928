"""What a release is bound to: as a snapshot has it, and as it counts for the release's hash."""

from __future__ import annotations

from collections.abc import Iterable

from sophia_operator.api.binding_version import BindingKind, BindingVersion, LevelVersion
from sophia_operator.api.release import ReleaseState
from sophia_operator.core import names
from sophia_operator.core.hashing import BoundContent, versioned_hash
from sophia_operator.core.views import BindingView


def binding_version(service: str, bound: BindingView) -> BindingVersion | None:
    """The binding for the snapshot of a release made now; None while a part of it is missing."""
    if bound.hash is None:
        return None
    levels = []
    for level in bound.levels:
        if level.hash is None:
            return None
        copy_name = names.config_copy_name(service, level.secret_name, level.hash)
        levels.append(
            LevelVersion(name=level.name, secret_name=level.secret_name, hash=level.hash, copy_name=copy_name)
        )
    return BindingVersion(
        kind=bound.kind,
        name=bound.name,
        containers=sorted(bound.containers),
        secret_name=bound.secret_name,
        hash=bound.hash,
        copy_name=names.config_copy_name(service, bound.secret_name, bound.hash),
        own_generation=bound.own_generation,
        chain=bound.chain,
        levels=levels,
        model=bound.model,
        choice=bound.choice,
        chosen=bound.chosen,
        prompt_version=bound.prompt_version,
    )


def binding_versions(service: str, bound: Iterable[BindingView]) -> list[BindingVersion] | None:
    """All of them, sorted; None while a part of one is missing."""
    out = []
    for view in sorted(bound, key=lambda b: (b.kind, b.name)):
        version = binding_version(service, view)
        if version is None:
            return None
        out.append(version)
    return out


def content_of(bound: BindingVersion) -> BoundContent:
    """What of the binding is a change of the service when it changes."""
    if bound.kind is BindingKind.CONNECTION_POOL:
        return BoundContent(bound.kind.value, bound.name, bound.hash, tuple(bound.containers))
    if bound.kind is BindingKind.MODEL_ROUTE:
        # Which model serves now is not in it: a switch is no release.
        asked = [bound.hash, bound.model, bound.choice, bound.prompt_version]
        return BoundContent(bound.kind.value, bound.name, versioned_hash(asked), tuple(bound.containers))
    # The numbers of generations are not in the chain: a flush is no release.
    parts = [bound.hash, bound.own_generation, bound.chain, [[level.name, level.hash] for level in bound.levels]]
    return BoundContent(bound.kind.value, bound.name, versioned_hash(parts), tuple(bound.containers))


def tiers_of(bound: BindingVersion) -> tuple[str, ...]:
    """Names of the CacheTiers of a binding, in the order in which they are asked; none for any other kind."""
    if bound.kind is not BindingKind.CACHE_TIER:
        return ()
    return (bound.name, *(level.name for level in bound.levels))


#: In these a release has its pods, and may wait until it is warm.
WARMING_STATES = frozenset({ReleaseState.SMOKE_TESTING, ReleaseState.SHIFTING})
