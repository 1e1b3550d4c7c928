"""The generated CRDs keep the API's rules, and each rule can tell a schema that breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sophia_operator.api.schema.kinds import KINDS
from tests.support.crd_lint import lint

Crd = dict[str, Any]

_CRDS: Final = Path(__file__).resolve().parents[3] / "crds"


@pytest.mark.parametrize("file", sorted(_CRDS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_crds_keep_the_rules(file: Path) -> None:
    assert lint(yaml.safe_load(file.read_text())) == []


def test_every_kind_has_its_file() -> None:
    assert {file.stem for file in _CRDS.glob("*.yaml")} == {kind.crd_name for kind in KINDS}


def _service() -> Crd:
    crd: Crd = yaml.safe_load((_CRDS / "managedservices.sophia.ai.yaml").read_text())
    return crd


def _spec(crd: Crd) -> Crd:
    spec: Crd = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return spec


def _status(crd: Crd) -> Crd:
    status: Crd = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    return status


def _add(name: str, **field: Any) -> Callable[[Crd], object]:
    field = {"description": "A field.", "type": "string", "maxLength": 1} | field
    return lambda crd: _spec(crd).update({name: {k: v for k, v in field.items() if v is not None}})


def _column(path: str, kind: str = "string") -> Callable[[Crd], object]:
    column = {"name": "New", "type": kind, "jsonPath": path}
    return lambda crd: crd["spec"]["versions"][0]["additionalPrinterColumns"].append(column)


@pytest.mark.parametrize(
    ("breaks", "problem"),
    [
        (_add("a", type="number"), "spec.a: is a float; use a string with a pattern"),
        (
            lambda crd: _spec(crd)["ports"].pop("x-kubernetes-list-type"),
            "spec.ports: is a list without x-kubernetes-list-type",
        ),
        (lambda crd: _spec(crd)["ports"].pop("maxItems"), "spec.ports: is a list without maxItems"),
        (_add("a", maxLength=None), "spec.a: is a string without maxLength, enum or format"),
        (
            lambda crd: _spec(crd)["ports"]["items"]["properties"]["name"].pop("maxLength"),
            "spec.ports[].name: is a string without maxLength, enum or format",
        ),
        (_add("a", type="integer", maximum=3), "spec.a: is an integer without minimum"),
        (_add("a", type="integer", minimum=3), "spec.a: is an integer without maximum"),
        (
            _add("a", type="object", additionalProperties={"type": "string", "maxLength": 3}),
            "spec.a: is a map without maxProperties",
        ),
        (
            _add("a", type="object", maxProperties=3, additionalProperties={"type": "string"}),
            "spec.a.*: is a string without maxLength, enum or format",
        ),
        (_add("a", description=None), "spec.a: has no description"),
        (_add("a", description="No stop"), "spec.a: has a description that does not end with a full stop"),
        (_add("a_b"), "spec.a_b: is not in camelCase"),
        (
            _add("timeout", type="integer", minimum=0, maximum=9),
            "spec.timeout: is a time whose name does not end in its unit",
        ),
        (_add("keepDuration", pattern="^[0-9]+s$"), "spec.keepDuration: is a time whose name does not end in its unit"),
        (
            _add("keepSeconds", type="integer", minimum=0, maximum=9),
            "spec.keepSeconds: ends in Seconds, and its description does not say seconds",
        ),
        (
            _add("sharePercent", type="integer", minimum=0, maximum=9),
            "spec.sharePercent: ends in Percent, and its description does not say percents",
        ),
        (_add("keepSeconds", description="In seconds."), "spec.keepSeconds: ends in Seconds and is no integer"),
        (lambda crd: _status(crd).pop("conditions"), "status.conditions: is missing"),
        (
            lambda crd: _status(crd)["conditions"].update({"x-kubernetes-list-map-keys": ["reason"]}),
            "status.conditions: is not a map list keyed by type",
        ),
        (
            lambda crd: _status(crd)["conditions"]["items"]["properties"].pop("reason"),
            "status.conditions: lacks the fields ['reason']",
        ),
        (
            lambda crd: crd["spec"]["versions"][0]["subresources"].pop("status"),
            "version v1alpha1: has no status subresource",
        ),
        (
            lambda crd: crd["spec"]["versions"][0]["subresources"]["scale"].update({"specReplicasPath": ".spec.size"}),
            "version v1alpha1: specReplicasPath .spec.size leads to None, not to integer",
        ),
        (_column(".status.nowhere"), "column New: .status.nowhere leads nowhere"),
        (
            _column('.status.conditions[?(@.kind=="Ready")].status'),
            'column New: .status.conditions[?(@.kind=="Ready")].status leads nowhere',
        ),
        (_column(".spec.replicas"), "column New: .spec.replicas leads to integer, not to string"),
    ],
)
def test_each_rule_can_fail(breaks: Callable[[Crd], object], problem: str) -> None:
    crd = copy.deepcopy(_service())
    breaks(crd)
    assert problem in lint(crd)
