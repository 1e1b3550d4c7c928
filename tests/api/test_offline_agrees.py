"""What `kubectl sophia lint` says of the examples is what the API server says of them: no cluster is needed here."""

from __future__ import annotations

import re
from typing import Final

import pytest

from sophia_operator.api.schema.crd import object_schema
from sophia_operator.api.schema.kinds import KINDS
from sophia_operator.cli.lint import check_files
from tests.api.examples import Example, examples, rule_messages

_PARAMETERS: Final = "parameters: "


@pytest.mark.parametrize("example", examples("valid"), ids=str)
def test_a_valid_example_passes_offline(example: Example) -> None:
    report = check_files([example.path])
    assert report.findings == []
    assert report.objects == len(example.documents)


@pytest.mark.parametrize("example", [e for e in examples("invalid") if not e.offline], ids=str)
def test_an_invalid_example_is_found_offline_at_the_same_field(example: Example) -> None:
    findings = check_files([example.path]).findings
    assert findings != []
    if example.at == "<nil>":  # how the API server names the whole object
        assert {finding.path for finding in findings} == {"metadata"}
    elif example.at:
        assert {finding.path for finding in findings} == {example.at}


@pytest.mark.parametrize("example", [e for e in examples("invalid") if e.offline], ids=str)
def test_what_only_the_cluster_knows_passes_offline(example: Example) -> None:
    assert check_files([example.path]).findings == []


def test_a_rule_is_told_in_the_same_words_offline_and_by_the_api_server() -> None:
    declared = {message for kind in KINDS for message in rule_messages(object_schema(kind))}
    told = {e: [f.message for f in check_files([e.path]).findings] for e in examples("invalid") if not e.offline}
    said = {e.expect: messages for e, messages in told.items() if e.expect in declared and not e.also}
    # A CEL rule names all parameters of one kind; offline, the one that is wrong is named, with its value.
    parameters = {rule: messages for rule, messages in said.items() if rule.startswith(_PARAMETERS)}
    others = {rule: messages for rule, messages in said.items() if rule not in parameters}
    assert others == {rule: [rule] for rule in others}
    assert len(others) > 10
    for rule, (message,) in parameters.items():
        wrong = re.match(r"parameters\.([-\w]+): ", message)
        assert wrong is not None
        assert wrong[1] in rule or "only these are allowed" in rule
