"""The CacheTiers that a service is bound to, with those below them, as the store has them. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from sophia_operator.api.binding_version import MAX_CHAIN, MAX_LEVELS, BindingKind
from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.api.conditions import Reason
from sophia_operator.api.managed_service import CacheBinding, CacheGeneration
from sophia_operator.core.cache.chain import frozen_chain
from sophia_operator.core.cache.names import binding_secret
from sophia_operator.core.cache.views import Link, TierView
from sophia_operator.core.views import BindingView, Blocker, CacheView, LevelView
from sophia_operator.ports import Object
from sophia_operator.runtime.store import ObjectStore, tier_mark
from sophia_operator.runtime.wakeups import TIER, Dependency

KIND: Final = BindingKind.CACHE_TIER.value


@dataclass(frozen=True, slots=True)
class _Level:
    """One tier of a chain. `spec` is None when it is not there; `wrong` says why it cannot be read."""

    name: str
    obj: Object | None
    spec: CacheTierSpec | None
    wrong: str = ""


def cache_view(
    store: ObjectStore, namespace: str, wanted: CacheBinding, blockers: list[Blocker], depends: set[Dependency]
) -> BindingView:
    """One binding, with the chain as it would be frozen now. Adds what keeps it from being one."""
    levels = _levels(store, namespace, wanted.name, blockers)
    for level in levels:
        depends.add((TIER, "", tier_mark(namespace, level.name)))
        depends.add(("Secret", namespace, binding_secret(level.name)))
    blockers += [Blocker(Reason.INVALID_SPEC, level.wrong) for level in levels if level.wrong]
    first, *below = (_level_view(store, namespace, level) for level in levels)
    text = _frozen(namespace, levels)
    if text is not None and len(text) > MAX_CHAIN:
        words = f"the chain of CacheTier {namespace}/{wanted.name} takes more than {MAX_CHAIN} characters"
        blockers.append(Blocker(Reason.INVALID_SPEC, f"{words}: give its tiers fewer namespaces"))
        text = None
    return BindingView(
        BindingKind.CACHE_TIER,
        wanted.name,
        tuple(wanted.containers),
        first.secret_name,
        first.hash if text is not None else None,
        first.exists,
        own_generation=wanted.generation is CacheGeneration.PER_RELEASE,
        chain=text,
        levels=tuple(below),
    )


def tiers(
    store: ObjectStore, namespace: str, names: Iterable[str], depends: set[Dependency]
) -> Mapping[str, CacheView]:
    """Those of the tiers that are there and can be read."""
    out = {}
    for name in names:
        depends.add((TIER, "", tier_mark(namespace, name)))
        level = _level(store, namespace, name)
        if level.obj is None or level.spec is None:
            continue
        try:
            status = CacheTierStatus.model_validate(level.obj.get("status") or {})
        except ValidationError:
            continue
        out[name] = CacheView(
            numbers={n.name: n.generation for n in status.namespaces},
            warms=level.spec.warm_up is not None,
            warm_ups={w.release: w for w in status.warm_ups},
        )
    return out


def _levels(store: ObjectStore, namespace: str, name: str, blockers: list[Blocker]) -> list[_Level]:
    """The tier and those below it, as far as there are any."""
    out: list[_Level] = []
    following: str | None = name
    while following is not None:
        if following in {level.name for level in out}:
            way = " -> ".join([*(level.name for level in out), following])
            words = f"the chain of CacheTier {namespace}/{name} comes back to itself ({way}): mend spec.next of one"
            blockers.append(Blocker(Reason.CHAIN_CYCLE, words))
            break
        if len(out) > MAX_LEVELS:
            words = f"the chain of CacheTier {namespace}/{name} has more than {MAX_LEVELS + 1} levels: shorten it"
            blockers.append(Blocker(Reason.INVALID_SPEC, words))
            break
        out.append(_level(store, namespace, following))
        spec = out[-1].spec
        following = spec.next if spec is not None else None
    return out


def _level(store: ObjectStore, namespace: str, name: str) -> _Level:
    obj = store.get(KIND, namespace, name)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return _Level(name, None, None)
    try:
        return _Level(name, obj, CacheTierSpec.model_validate(obj["spec"]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in ("spec", *first["loc"]))
        return _Level(name, obj, None, f"CacheTier {namespace}/{name} cannot be read: {where}: {first['msg']}")


def _level_view(store: ObjectStore, namespace: str, level: _Level) -> LevelView:
    secret = binding_secret(level.name)
    # Without the tier nobody knows what goes on at the Secret that it left behind.
    found = store.config_hash("Secret", namespace, secret) if level.spec is not None else None
    return LevelView(level.name, secret, found, level.obj is not None)


def _frozen(namespace: str, levels: Iterable[_Level]) -> str | None:
    """chain.json without what changes while releases run; None while the tier is missing."""
    first, *below = levels
    if first.obj is None or first.spec is None:
        return None
    tier = TierView(
        namespace=namespace,
        name=first.name,
        uid=first.obj["metadata"].get("uid", ""),
        generation=0,
        resource_version="",
        created_at=datetime.fromisoformat(first.obj["metadata"]["creationTimestamp"]),
        spec=first.spec,
        status=CacheTierStatus(),
    )
    chain = frozen_chain(tier, tuple(Link(level.name, level.spec) for level in below))
    return json.dumps(chain, separators=(",", ":"), ensure_ascii=False)
