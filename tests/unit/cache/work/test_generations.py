"""Numbers of generations."""

from __future__ import annotations

from sophia_operator.api.cache_tier_status import CacheTierStatus, NamespaceStatus
from sophia_operator.core.cache.views import BoundRelease
from sophia_operator.core.cache.work.generations import first_generation, in_use, numbers, raised
from tests.support.cache_work_scene import spec


def status(first: int, **known: int) -> CacheTierStatus:
    entries = [NamespaceStatus(name=name, generation=number) for name, number in known.items()]
    return CacheTierStatus(first_generation=first, namespaces=entries)


def test_they_begin_with_one() -> None:
    assert numbers(CacheTierStatus(), spec()) == {"texts": 1, "images": 1}


def test_a_namespace_that_is_new_or_comes_back_begins_with_the_highest_ever() -> None:
    assert numbers(status(1, images=4), spec()) == {"texts": 4, "images": 4}
    assert numbers(status(7, images=4), spec()) == {"texts": 7, "images": 4}
    assert first_generation(status(7, images=4)) == 7


def test_those_that_are_flushed_are_raised() -> None:
    assert raised({"texts": 3, "images": 1}, ["texts"]) == {"texts": 4, "images": 1}


def test_in_use_is_what_somebody_may_read() -> None:
    releases = [BoundRelease("shop-6", "shop", 6, False, None), BoundRelease("shop-7", "shop", 7, True, 6)]
    assert in_use({"texts": 3, "images": 1}, releases) == {
        "g3": "namespace texts", "g3r6": "release shop-6", "g3r7": "release shop-7",
        "g1": "namespace images", "g1r6": "release shop-6", "g1r7": "release shop-7",
    }  # fmt: skip
