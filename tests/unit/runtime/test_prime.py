"""Before any loop starts the store holds all that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from sophia_operator.ports import ClusterError, Object, Refusal
from sophia_operator.runtime.prime import prime
from sophia_operator.runtime.store import ObjectStore
from sophia_operator.runtime.wakeups import Feed, Wakeups


def _object(kind: str, namespace: str, name: str) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": name, "resourceVersion": "7"}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


class Listing:
    """Pages of objects by (kind, namespace); `refusals` are raised first, one each time the kind is listed."""

    def __init__(self, pages: dict[tuple[str, str | None], list[list[Object]]]) -> None:
        self.pages = pages
        self.refusals: dict[str, list[Refusal]] = {}
        self.asked: list[tuple[str, str | None]] = []

    async def list_objects(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Sequence[Object]]:
        del api_version, labels, fields
        self.asked.append((kind, namespace))
        for number, page in enumerate(self.pages.get((kind, namespace), [[]])):
            # A list breaks off in its middle, where it hurts.
            if number == len(self.pages.get((kind, namespace), [[]])) - 1 and self.refusals.get(kind):
                raise ClusterError(self.refusals[kind].pop(0), "no")
            yield page


def _feed() -> tuple[ObjectStore, Feed]:
    store = ObjectStore()
    return store, Feed(store, Wakeups())


async def test_every_page_of_every_kind_is_in_the_store() -> None:
    pods: list[list[Object]] = [
        [_object("Pod", "a", "one"), _object("Pod", "b", "two")],
        [_object("Pod", "a", "three")],
    ]
    store, feed = _feed()
    await prime(feed, Listing({("Pod", None): pods, ("Secret", None): [[_object("Secret", "a", "key")]]}))
    assert {name for name, _, _ in store.versions("Pod")} == {("a", "one"), ("b", "two"), ("a", "three")}
    assert store.get("Secret", "a", "key") is not None


async def test_a_list_that_breaks_off_is_made_again_and_a_kind_that_is_not_installed_is_left_out() -> None:
    listing = Listing({("Pod", None): [[_object("Pod", "a", "one")], [_object("Pod", "a", "two")]]})
    listing.refusals = {"Pod": [Refusal.UNAVAILABLE, Refusal.FORBIDDEN], "HTTPRoute": [Refusal.NOT_FOUND]}
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    store, feed = _feed()
    await prime(feed, listing, sleep=sleep)
    assert waits == [0.5, 1.0]
    assert store.get("Pod", "a", "two") is not None
    assert listing.asked.count(("Pod", None)) == 3
    assert listing.asked.count(("HTTPRoute", None)) == 1
    assert ("GatewayClass", None) in listing.asked  # what comes after it is listed all the same


async def test_only_the_namespaces_that_are_watched_are_listed() -> None:
    listing = Listing({})
    _, feed = _feed()
    await prime(feed, listing, namespaces=("a", "b"))
    assert [where for kind, where in listing.asked if kind == "Release"] == ["a", "b"]
    assert [where for kind, where in listing.asked if kind == "GatewayClass"] == [None]


async def test_what_only_pools_need_is_left_out_when_it_stays_forbidden(caplog: pytest.LogCaptureFixture) -> None:
    """An operator that is newer than its rights rolls services out as before."""
    listing = Listing({("Pod", None): [[_object("Pod", "a", "one")]]})
    listing.refusals = {
        "ConnectionPool": [Refusal.FORBIDDEN] * 99,
        "PodDisruptionBudget": [Refusal.FORBIDDEN, Refusal.UNAVAILABLE],
    }
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    store, feed = _feed()
    forbidden = await prime(feed, listing, sleep=sleep)
    assert [kind.plural for kind in forbidden] == ["connectionpools"]
    assert waits == [0.5, 1.0, 2.0, 0.5, 1.0]
    assert store.get("Pod", "a", "one") is not None
    assert "may not list connectionpools" in caplog.text


async def test_what_services_need_is_waited_for_though_it_is_forbidden() -> None:
    listing = Listing({})
    listing.refusals = {"Release": [Refusal.FORBIDDEN] * 10}
    _, feed = _feed()

    async def sleep(_: float) -> None:
        return

    assert await prime(feed, listing, sleep=sleep) == frozenset()
    assert listing.asked.count(("Release", None)) == 11


async def test_each_kind_that_is_forbidden_does_not_take_as_long_as_the_first() -> None:
    """Else an operator that is newer than its rights would not be ready for long."""
    listing = Listing({})
    listing.refusals = {kind: [Refusal.FORBIDDEN] * 99 for kind in ("ConnectionPool", "CacheTier", "ModelRoute")}
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    _, feed = _feed()
    forbidden = await prime(feed, listing, sleep=sleep)
    assert {kind.plural for kind in forbidden} == {"connectionpools", "cachetiers", "modelroutes"}
    assert waits == [0.5, 1.0, 2.0, 0.5, 0.5]
