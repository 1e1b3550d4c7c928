"""Numbers of generations, and which of them are in use.

A number is of a namespace, and a namespace that is taken out of the spec is forgotten. So that one that comes back (or
another of the same prefix) never reads what was flushed, it begins with the highest number that any namespace of the
tier ever had, which the status keeps. At that number nothing was flushed by generation, so what may be there is good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.api.cache_tier_status import CacheTierStatus
from sophia_operator.core.cache import names
from sophia_operator.core.cache.views import BoundRelease


def numbers(status: CacheTierStatus, spec: CacheTierSpec) -> dict[str, int]:
    """Number of each namespace's generation, by its name."""
    known = {n.name: n.generation for n in status.namespaces}
    first = first_generation(status)
    return {n.name: known.get(n.name, first) for n in spec.namespaces}


def first_generation(status: CacheTierStatus) -> int:
    """Number that a namespace begins with: the highest of all that were ever used."""
    return max((status.first_generation, *(n.generation for n in status.namespaces)))


def raised(numbers: Mapping[str, int], flushed: Iterable[str]) -> dict[str, int]:
    """After a flush by generation of these namespaces: from now on nobody reads what was there."""
    wanted = frozenset(flushed)
    return {name: number + (name in wanted) for name, number in numbers.items()}


def in_use(numbers: Mapping[str, int], releases: Iterable[BoundRelease]) -> dict[str, str]:
    """Generations that somebody may read, as in `g1` and `g1r7`, and who."""
    bound = tuple(releases)
    found: dict[str, str] = {}
    for name, number in numbers.items():
        found.setdefault(names.generation(number), f"namespace {name}")
        for release in bound:
            found.setdefault(names.generation(number, release.revision), f"release {release.name}")
    return found
