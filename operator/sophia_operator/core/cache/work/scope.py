"""What a flush takes away: its patterns, or why it takes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sophia_operator.api.cache_flush import Flush, FlushKind
from sophia_operator.api.cache_tier import CacheLevel, CacheNamespace
from sophia_operator.core.cache.views import BoundRelease, TierView
from sophia_operator.core.cache.work.generations import in_use
from sophia_operator.core.cache.work.patterns import (
    beginning,
    just_before,
    of_generation,
    of_namespace,
    older_than,
    owner,
    touched,
)

#: As many patterns as the status holds.
MOST_PATTERNS: Final = 64
EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """What goes. `patterns` says it once the flush began, whatever happens to the spec meanwhile."""

    #: Namespaces that it is of, by their names; none for everything, and for a tag of entries.
    namespaces: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    #: No key goes that begins with none of these.
    allowed: tuple[str, ...] = ()
    everything: bool = False
    #: Entries with that tag go as well, if they begin with one of `allowed`: in a table.
    tag: str | None = None
    message: str = ""


def words(flush: Flush) -> str:
    """What it takes away, for people; other words mean that it is another flush."""
    if flush.flush_all is not None:
        return f"everything in {flush.flush_all}"
    if flush.generation is not None:
        return f"generation {flush.generation} of every namespace"
    if flush.pattern is not None:
        return f"keys that match {flush.pattern}"
    of = f"namespace {flush.namespace_name}" if flush.namespace_name is not None else f"all with tag {flush.tag}"
    return f"{of}, by a new generation" if flush.kind is FlushKind.GENERATION else of


def scope(tier: TierView, flush: Flush, numbers: Mapping[str, int], releases: Sequence[BoundRelease]) -> Scope | str:
    """What it takes away, with `numbers` as they are before; or why it is refused."""
    if tier.spec.level is CacheLevel.MEMORY and flush.kind is not FlushKind.GENERATION:
        return "entries in the memory of clients cannot be taken away one by one; use kind Generation"
    if flush.flush_all is not None:
        if flush.flush_all != tier.name:
            return f"flushAll must be the name of this tier, {tier.name}, and is {flush.flush_all}"
        return Scope(patterns=(EVERYTHING,), everything=True)
    if flush.pattern is not None:
        return _of_pattern(tier, flush.pattern)
    if flush.generation is not None:
        return _of_generation(tier, flush.generation, numbers, releases)
    if tier.spec.level is CacheLevel.POSTGRESQL and flush.tag is not None and flush.kind is FlushKind.PACED:
        return _of_tag(tier, flush.tag)
    chosen = _chosen(tier, flush)
    if isinstance(chosen, str):
        return chosen
    return _older(chosen, numbers) if flush.kind is FlushKind.GENERATION else _whole(chosen)


def _chosen(tier: TierView, flush: Flush) -> tuple[CacheNamespace, ...] | str:
    known = tier.spec.namespaces
    if flush.namespace_name is not None:
        found = tuple(n for n in known if n.name == flush.namespace_name)
        if not found:
            return f"there is no namespace {flush.namespace_name}; there are: {_list(n.name for n in known)}"
    else:
        found = tuple(n for n in known if flush.tag in n.tags)
        if not found:
            return (
                f"no namespace has the tag {flush.tag}; tags are: {_list(sorted({t for n in known for t in n.tags}))}"
            )
    for one in found:
        within = [n.name for n in touched(beginning(one.prefix), one, known) if n not in found]
        if within:
            return f"keys of {_list(within)} begin with the prefix of {one.name} too: flush it with a pattern"
    return found


def _whole(chosen: Sequence[CacheNamespace]) -> Scope:
    patterns = tuple(of_namespace(n.prefix) for n in chosen)
    return Scope(tuple(n.name for n in chosen), patterns, tuple(beginning(n.prefix) for n in chosen))


def _of_tag(tier: TierView, tag: str) -> Scope:
    """Entries of a table have tags of their own."""
    whole = _whole([n for n in tier.spec.namespaces if tag in n.tags])
    return replace(whole, allowed=tuple(beginning(n.prefix) for n in tier.spec.namespaces), tag=tag)


def _older(chosen: Sequence[CacheNamespace], numbers: Mapping[str, int]) -> Scope:
    """Its generation is raised by one, so the present one and all before it are old."""
    patterns = tuple(p for n in chosen for p in older_than(n.prefix, numbers[n.name] + 1))
    message = ""
    if len(patterns) > MOST_PATTERNS:
        patterns = tuple(just_before(n.prefix, numbers[n.name] + 1) for n in chosen)
        message = "only the last generation of each is taken away; what is older ends with its TTL"
    allowed = tuple(beginning(n.prefix) for n in chosen)
    return Scope(tuple(n.name for n in chosen), patterns, allowed, message=message)


def _of_pattern(tier: TierView, pattern: str) -> Scope | str:
    own = owner(pattern, tier.spec.namespaces)
    if own is None:
        known = _list(beginning(n.prefix) for n in tier.spec.namespaces)
        return (
            f"{pattern} can match keys of no namespace, or of several; begin it with exactly one of these, "
            f"without wildcards: {known}"
        )
    return Scope((own.name,), (pattern,), (beginning(own.prefix),))


def _of_generation(
    tier: TierView, generation: str, numbers: Mapping[str, int], releases: Sequence[BoundRelease]
) -> Scope | str:
    if not tier.spec.namespaces:
        return "there is no namespace, so there are no generations"
    user = in_use(numbers, releases).get(generation)
    if user is not None:
        return f"generation {generation} is in use, by {user}"
    patterns = tuple(of_generation(n.prefix, generation) for n in tier.spec.namespaces)
    allowed = tuple(beginning(n.prefix) for n in tier.spec.namespaces)
    return Scope(tuple(n.name for n in tier.spec.namespaces), patterns, allowed)


def _list(found: Iterable[str]) -> str:
    return ", ".join(found) or "none"
