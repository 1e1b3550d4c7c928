"""What a flush takes away, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from sophia_operator.api.cache_flush import Flush
from sophia_operator.api.cache_tier import CacheTierSpec
from sophia_operator.core.cache.views import BoundRelease
from sophia_operator.core.cache.work.generations import numbers
from sophia_operator.core.cache.work.scope import MOST_PATTERNS, Scope, scope, words
from tests.support.cache_work_scene import NAMESPACES, spec, tier

RELEASE = BoundRelease("shop-7", "shop", 7, False, 6)
POSTGRESQL = {"level": "PostgreSQL", "redis": None, "postgresql": {"poolRef": {"name": "pool"}}, "warmUp": None}
MEMORY = {"level": "Memory", "redis": None, "warmUp": None}


def found(wish: CacheTierSpec | None = None, known: dict[str, int] | None = None, **flush: Any) -> Scope | str:
    view = tier(wish or spec())
    one = Flush.model_validate({"name": "f", **flush})
    return scope(view, one, numbers(view.status, view.spec) | (known or {}), [RELEASE])


@pytest.mark.parametrize(
    ("flush", "says"),
    [
        ({"namespaceName": "nobody"}, "there are: texts, images"),
        ({"tag": "nobody"}, "tags are: model, slow"),
        ({"tag": "nobody", "kind": "Generation"}, "tags are: model, slow"),
        ({"pattern": "other:*"}, "begin it with exactly one of these, without wildcards: emb:, emb2:"),
        ({"pattern": "emb3:x*"}, "emb:, emb2:"),
        ({"generation": "g1"}, "in use, by namespace texts"),
        ({"generation": "g1r7"}, "in use, by release shop-7"),
        ({"flushAll": "another"}, "must be the name of this tier, tier"),
    ],
)
def test_it_is_refused_with_a_reason(flush: dict[str, Any], says: str) -> None:
    refusal = found(**flush)
    assert isinstance(refusal, str)
    assert says in refusal


@pytest.mark.parametrize(
    ("flush", "patterns"),
    [
        ({"namespaceName": "texts"}, ("emb:*",)),
        ({"tag": "model"}, ("emb:*", "emb2:*")),
        ({"tag": "slow"}, ("emb:*",)),
        ({"pattern": "emb:*doc"}, ("emb:*doc",)),
        ({"generation": "g2"}, ("emb:g2:*", "emb2:g2:*")),
        ({"generation": "g1r6"}, ("emb:g1r6:*", "emb2:g1r6:*")),
        ({"generation": "g0r7"}, ("emb:g0r7:*", "emb2:g0r7:*")),
        ({"namespaceName": "images", "kind": "Generation"}, ("emb2:g1[:r]*",)),
    ],
)
def test_it_takes_that(flush: dict[str, Any], patterns: tuple[str, ...]) -> None:
    chosen = found(**flush)
    assert isinstance(chosen, Scope)
    assert chosen.patterns == patterns
    assert all(p.startswith(chosen.allowed) for p in patterns)
    assert not chosen.everything


def test_a_generation_is_in_use_where_one_namespace_has_it() -> None:
    assert isinstance(found(known={"texts": 3}, generation="g1"), str)
    assert isinstance(found(known={"texts": 3, "images": 2}, generation="g1"), Scope)
    assert isinstance(found(known={"texts": 3, "images": 2}, generation="g2r7"), str)


def test_everything_needs_the_name_of_the_tier() -> None:
    chosen = found(flushAll="tier")
    assert isinstance(chosen, Scope)
    assert chosen.everything


def test_patterns_are_never_more_than_the_status_holds() -> None:
    many = [{"name": f"n{i}", "prefix": f"p{i}", "tags": ["all"]} for i in range(32)]
    chosen = found(spec(namespaces=many), {f"n{i}": 57 for i in range(32)}, tag="all", kind="Generation")
    assert isinstance(chosen, Scope)
    assert len(chosen.patterns) == 32 <= MOST_PATTERNS
    assert chosen.patterns[0] == "p0:g57[:r]*"
    assert "TTL" in chosen.message


def test_keys_of_another_namespace_within_are_never_taken() -> None:
    """The API refuses such prefixes; were they there all the same, nothing of another namespace goes."""
    wish = spec()
    within = wish.namespaces[1].model_copy(update={"prefix": "emb:sub"})
    wish = wish.model_copy(update={"namespaces": [wish.namespaces[0], within]})
    refusal = found(wish, namespaceName="texts")
    assert isinstance(refusal, str)
    assert "images" in refusal
    assert isinstance(found(wish, tag="model"), Scope)
    assert isinstance(found(wish, namespaceName="images"), Scope)


def test_in_memory_there_is_only_a_new_generation() -> None:
    wish = spec(**MEMORY)
    assert "kind Generation" in str(found(wish, namespaceName="texts"))
    assert "kind Generation" in str(found(wish, flushAll="tier"))
    assert isinstance(found(wish, namespaceName="texts", kind="Generation"), Scope)


def test_in_a_table_entries_have_tags() -> None:
    chosen = found(spec(**POSTGRESQL), tag="slow")
    assert isinstance(chosen, Scope)
    assert (chosen.patterns, chosen.allowed, chosen.tag) == (("emb:*",), ("emb:", "emb2:"), "slow")
    nobody = found(spec(**POSTGRESQL), tag="nobody")
    assert isinstance(nobody, Scope)
    assert (nobody.patterns, nobody.tag) == ((), "nobody")


def test_words_tell_flushes_apart() -> None:
    flushes: list[dict[str, Any]] = [
        {"namespaceName": "texts"}, {"namespaceName": "texts", "kind": "Generation"}, {"tag": "texts"},
        {"pattern": "texts:*"}, {"generation": "g1"}, {"flushAll": "texts"},
    ]  # fmt: skip
    told = {words(Flush.model_validate({"name": "f", **flush})) for flush in flushes}
    assert len(told) == len(flushes)
    assert NAMESPACES["texts"]["name"] in " ".join(told)
