"""Every bound of every field holds: at the API server and offline alike, and at the field that it is declared for."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from sophia_operator.api.schema.crd import object_schema
from sophia_operator.api.schema.kinds import KINDS
from sophia_operator.cli.lint import check_text
from sophia_operator.cli.object_check import path_text
from tests.api.examples import examples
from tests.api.kube import Api, Object, RefusedError
from tests.api.mutations import Mutation, mutations, unset

_SCHEMAS: Final = {kind.name: object_schema(kind) for kind in KINDS}
# Between them, these set every field.
_WHOLE: Final = [e.documents[0] for e in examples("valid") if str(e).endswith(("-full", "-custom"))]


def _cases(part: str) -> list[Any]:
    return [
        pytest.param(document, mutation, id=f"{document['kind']}-{mutation}")
        for document in _WHOLE
        if part in document
        for mutation in mutations(_SCHEMAS[document["kind"]]["properties"][part], document[part], (part,))
    ]


@pytest.fixture(scope="module")
def home(api: Api, crds: dict[str, Object]) -> str:
    """A namespace with the objects whose status is to be broken."""
    namespace = "bounds"
    api.create_namespace(namespace)
    for document in _WHOLE:
        if "status" in document:
            api.submit(document, namespace)
    return namespace


def _offline(document: Object) -> set[str]:
    # JSON is YAML, and is written in no time.
    return {finding.path for finding in check_text(json.dumps(document), "file").findings}


@pytest.mark.parametrize(("document", "mutation"), _cases("spec") + _cases("status"))
def test_a_broken_bound_is_found_offline(document: Object, mutation: Mutation) -> None:
    assert path_text(mutation.at) in _offline(mutation.apply(document))


@pytest.mark.apiserver
@pytest.mark.parametrize(("document", "mutation"), _cases("spec"))
def test_a_broken_bound_of_the_spec_is_refused(document: Object, mutation: Mutation, api: Api, home: str) -> None:
    broken = mutation.apply(document)
    broken["metadata"] = {"name": "new"}
    with pytest.raises(RefusedError) as caught:
        api.submit(broken, home, dry_run=True)
    assert path_text(mutation.at) in {field for field, _ in caught.value.causes}


@pytest.mark.apiserver
@pytest.mark.parametrize(("document", "mutation"), _cases("status"))
def test_a_broken_bound_of_the_status_is_refused(document: Object, mutation: Mutation, api: Api, home: str) -> None:
    with pytest.raises(RefusedError) as caught:
        api.submit_status(mutation.apply(document), home, dry_run=True)
    assert path_text(mutation.at) in {field for field, _ in caught.value.causes}


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_the_whole_examples_set_every_field(kind: str) -> None:
    documents = [document for document in _WHOLE if document["kind"] == kind]
    schema = _SCHEMAS[kind]["properties"]
    missing = [path for part in ("spec", "status") for path in unset(schema[part], _parts(documents, part), part)]
    # The release's plan is the service's rollout: the same model, whole in the service's example.
    assert [path for path in missing if not path.startswith("spec.snapshot.plan.")] == []


def _parts(documents: list[Object], part: str) -> list[Any]:
    return [document[part] for document in documents if part in document]
