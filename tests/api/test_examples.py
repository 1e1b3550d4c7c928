"""Every valid example is taken whole, and every invalid one is refused, for its one reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.examples import Example, examples, rule_messages
from tests.api.kube import Api, Object, RefusedError

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("crds")]


def missing(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """The parts of `wanted` that `found` lacks or has otherwise; defaults that the server added do not count."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key in found:
                yield from missing(value, found[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (ours, theirs) in enumerate(zip(wanted, found, strict=True)):
            yield from missing(ours, theirs, f"{path}[{index}]")
    elif wanted != found:
        yield path


@pytest.mark.parametrize("example", examples("valid"), ids=str)
def test_a_valid_example_is_accepted_and_nothing_of_it_is_pruned(example: Example, api: Api, namespace: str) -> None:
    for document in example.documents:
        found = api.submit(document, namespace)
        assert list(missing(document, found)) == []


@pytest.mark.parametrize("example", examples("invalid"), ids=str)
def test_an_invalid_example_is_refused_for_its_one_reason(example: Example, api: Api, namespace: str) -> None:
    assert example.expect, "the header `# expect:` is missing"
    *accepted, refused = example.documents
    for document in accepted:
        api.submit(document, namespace)
    with pytest.raises(RefusedError) as caught:
        api.submit(refused, namespace)
    expected = [example.expect, example.also] if example.also else [example.expect]
    messages = [message for _, message in caught.value.causes]
    assert len(messages) == len(expected), messages
    assert all(part in message for part, message in zip(expected, messages, strict=True)), messages
    assert caught.value.causes[0][0] == example.at


def test_no_rule_is_without_an_example_that_breaks_it_and_nothing_else(crds: dict[str, Object]) -> None:
    declared = {
        message
        for crd in crds.values()
        for version in crd["spec"]["versions"]
        for message in rule_messages(version["schema"]["openAPIV3Schema"])
    }
    # That each is the one cause of its refusal is what the test above asserts of these examples.
    broken = {example.expect for example in examples("invalid") if not example.also}
    assert declared - broken == set()


def test_the_comparison_sees_what_was_pruned() -> None:
    wanted = {"a": 1, "b": [{"c": 1, "d": 2}], "e": {"f": 1}}
    assert list(missing(wanted, {"a": 1, "b": [{"c": 1}], "e": {"f": 2}, "g": 3})) == [".b[0].d", ".e.f"]
    assert list(missing([1, 2], [1])) == [""]
