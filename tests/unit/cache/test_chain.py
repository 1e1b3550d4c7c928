from __future__ import annotations

import json
from typing import Any

from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.core.cache.chain import chain, chain_text, frozen_chain, generations, text, with_generations
from sophia_operator.core.cache.views import Link, TierView
from tests.golden import cache_cases

_NAMESPACES = [{"name": "views", "prefix": "v:page"}, {"name": "embeddings", "prefix": "emb"}]


def tier(numbers: dict[str, int] | None = None, **spec: Any) -> TierView:
    given = {"level": "Redis", "redis": {"managed": {}}, "namespaces": _NAMESPACES} | spec
    status = {"namespaces": [{"name": name, "generation": number} for name, number in (numbers or {}).items()]}
    return cache_cases.parse({"tier": {"name": "hot", "spec": given, "status": status}}).tier


def link(name: str, numbers: dict[str, int] | None = None, **spec: Any) -> Link:
    given = {"level": "Memory", "namespaces": _NAMESPACES} | spec
    return Link(name, CacheTierSpec.model_validate(given), numbers or {})


def prefixes(content: dict[str, Any]) -> dict[str, list[str]]:
    return {level["name"]: [n["keyPrefix"] for n in level["namespaces"]] for level in content["levels"]}


def test_each_level_counts_its_own_generations() -> None:
    found = chain(tier({"views": 3}), (link("cold", {"embeddings": 2}),))
    assert prefixes(found) == {"hot": ["emb:g1:", "v:page:g3:"], "cold": ["emb:g2:", "v:page:g1:"]}


def test_a_release_has_generations_of_its_own_at_every_level() -> None:
    found = chain(tier({"views": 3}), (link("cold"),), revision=7)
    assert prefixes(found) == {"hot": ["emb:g1r7:", "v:page:g3r7:"], "cold": ["emb:g1r7:", "v:page:g1r7:"]}
    assert [n["generation"] for n in found["levels"][0]["namespaces"]] == ["g1r7", "g3r7"]


def test_it_ends_above_a_tier_that_is_not_there() -> None:
    found = chain(tier(), (link("warm"), Link("gone", None), link("cold")))
    assert [level["name"] for level in found["levels"]] == ["hot", "warm"]


def test_a_flush_by_generation_changes_nothing_that_is_frozen() -> None:
    below = (link("cold", {"embeddings": 2}),)
    raised = (link("cold", {"embeddings": 9}),)
    assert frozen_chain(tier(), below) == frozen_chain(tier({"views": 3}), raised)
    assert chain(tier(), below) != chain(tier(), raised)


def test_a_frozen_chain_gets_the_numbers_of_now() -> None:
    before, after = tier(), tier({"views": 3})
    frozen = json.loads(text(frozen_chain(before, ())))
    assert with_generations(frozen, generations(after, ())) == chain(after, ())
    # So does one that was frozen with the numbers that it had.
    whole = json.loads(chain_text(before, (), revision=6))
    assert with_generations(whole, generations(after, ()), revision=7) == chain(after, (), revision=7)


def test_what_is_frozen_keeps_a_namespace_that_the_tier_has_no_more() -> None:
    frozen = frozen_chain(tier(), ())
    numbers = generations(tier({}, namespaces=[]), ())
    assert prefixes(with_generations(frozen, numbers)) == {"hot": ["emb:g1:", "v:page:g1:"]}


def test_the_text_does_not_depend_on_the_order_in_which_users_write() -> None:
    turned = tier(namespaces=[{"prefix": "emb", "tags": ["b", "a"], "name": "embeddings"}, _NAMESPACES[0]])
    tagged = tier(namespaces=[_NAMESPACES[0], {"name": "embeddings", "prefix": "emb", "tags": ["a", "b"]}])
    assert chain_text(turned, ()) == chain_text(tagged, ())
    assert chain_text(turned, ()).endswith("}\n")


def test_only_the_memory_of_clients_has_a_policy_of_its_own() -> None:
    hot, local = chain(tier(), (link("local", memory={"maxEntries": 5}),))["levels"]
    assert "memory" not in hot
    assert local["memory"] == {"maxEntries": 5, "ttlSeconds": 300, "invalidation": "ClientTracking"}
