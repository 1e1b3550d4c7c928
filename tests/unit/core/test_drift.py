"""Drift, on objects as a real API server returned them (`tests/golden/live`)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sophia_operator.core import drift, names
from tests.golden import cases

Object = dict[str, Any]

LIVE: Final = Path(cases.__file__).parent / "live"
KEPT: Final = sorted(path.stem for path in LIVE.glob("*.yaml"))


def pairs(case: str) -> list[tuple[Object, Object]]:
    """What the case renders, each with what the API server made of it."""
    desired = cases.load(case).render().objects
    live = yaml.safe_load((LIVE / f"{case}.yaml").read_text())
    return [(d, _stamp(found, d)) for d, found in zip(desired, live, strict=True)]


def _stamp(live: Object, desired: Object) -> Object:
    live["metadata"]["annotations"][names.ANNOTATION_APPLIED] = drift.applied_hash(desired)
    return live


def pair(case: str, kind: str) -> tuple[Object, Object]:
    """The last of the case's objects of that kind."""
    return [p for p in pairs(case) if p[0]["kind"] == kind][-1]


def test_there_are_live_objects() -> None:
    assert len(KEPT) >= 6


@pytest.mark.parametrize("case", KEPT)
def test_defaults_are_no_drift(case: str) -> None:
    for desired, live in pairs(case):
        assert drift.first_difference(desired, live) is None
        assert not drift.needs_apply(desired, live)
        assert not drift.needs_apply(desired, live, drift.fingerprint(live))


def test_a_missing_object_is_applied() -> None:
    desired, _ = pair("mid-rollout", "Service")
    assert drift.needs_apply(desired, None)
    assert drift.needs_apply(desired, None, "v1:whatever")


EDITS: Final[list[tuple[str, str, Callable[[Object], Any]]]] = [
    ("HTTPRoute", "spec.rules[1].backendRefs[1].weight", lambda o: _ref(o, 1).update(weight=11)),
    ("HTTPRoute", "spec.rules[1].backendRefs[0].weight", lambda o: _ref(o, 0).pop("weight")),
    ("HTTPRoute", "spec.rules[1].timeouts", lambda o: o["spec"]["rules"][1].update(timeouts={"request": "1s"})),
    ("HTTPRoute", "spec.rules[1].backendRefs[0].filters", lambda o: _ref(o, 0).update(filters=[])),
    ("HTTPRoute", "spec.rules[1].matches", lambda o: o["spec"]["rules"][1].update(matches=[{"path": {"value": "/x"}}])),
    ("HTTPRoute", "spec.rules", lambda o: o["spec"]["rules"].reverse() or o["spec"]["rules"].pop()),
    ("HTTPRoute", "spec.hostnames[0]", lambda o: o["spec"].update(hostnames=["x.example.com"])),
    ("HTTPRoute", "metadata.labels.sophia.ai/service", lambda o: o["metadata"]["labels"].pop("sophia.ai/service")),
    ("HTTPRoute", "metadata.ownerReferences", lambda o: o["metadata"]["ownerReferences"].clear()),
    ("HTTPRoute", "metadata.ownerReferences", lambda o: o["metadata"]["ownerReferences"][0].update(uid="other")),
    ("Service", "spec.selector.extra", lambda o: o["spec"]["selector"].update(extra="yes")),
    ("Service", "spec.selector.sophia.ai/release", lambda o: o["spec"]["selector"].update({names.LABEL_RELEASE: "x"})),
    ("Service", "spec.ports", lambda o: o["spec"]["ports"].append({"name": "more", "port": 1})),
    ("Service", "spec.ports[0].targetPort", lambda o: o["spec"]["ports"][0].update(targetPort=8081)),
    ("Deployment", "spec.replicas", lambda o: o["spec"].update(replicas=4)),
    ("Deployment", "spec.template.spec.containers[0].image", lambda o: _container(o).update(image="other")),
    ("Deployment", "spec.template.spec.containers[0].lifecycle", lambda o: _container(o).pop("lifecycle")),
    ("Deployment", "spec.template.spec.containers", lambda o: o["spec"]["template"]["spec"]["containers"].append({})),
    (
        "Deployment",
        "spec.template.spec.containers[0].resources.requests.cpu",
        lambda o: _container(o)["resources"]["requests"].update(cpu="501m"),
    ),
]


def _ref(route: Object, index: int) -> Object:
    ref: Object = route["spec"]["rules"][1]["backendRefs"][index]
    return ref


def _container(deployment: Object) -> Object:
    container: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize(("kind", "where", "edit"), EDITS)
def test_an_edit_is_drift_and_named(kind: str, where: str, edit: Callable[[Object], Any]) -> None:
    desired, live = pair("mid-rollout", kind)
    remembered = drift.fingerprint(live)
    edit(live)
    assert drift.first_difference(desired, live) == where
    assert drift.needs_apply(desired, live)
    assert drift.needs_apply(desired, live, remembered)


@pytest.mark.parametrize("kind", ["Service", "HTTPRoute", "Deployment"])
def test_what_is_other_peoples_is_not_looked_at(kind: str) -> None:
    desired, live = pair("mid-rollout", kind)
    remembered = drift.fingerprint(live)
    live["status"] = {"parents": [], "readyReplicas": 3}
    live["metadata"] |= {"generation": 99, "resourceVersion": "12345", "managedFields": [{}], "uid": "new"}
    live["metadata"]["labels"]["example.com/team"] = "search"
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "7"
    assert drift.fingerprint(live) == remembered
    assert not drift.needs_apply(desired, live)


def test_another_owner_beside_ours_is_no_drift() -> None:
    desired, live = pair("mid-rollout", "Deployment")
    live["metadata"]["ownerReferences"].insert(0, {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n"})
    assert not drift.needs_apply(desired, live)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Service", lambda o: o["spec"]["ports"][0].update(port=81)),
        ("Service", lambda o: o["metadata"]["labels"].update({"sophia.ai/color": "red"})),
        ("Service", lambda o: o["metadata"]["annotations"].update({"sophia.ai/applied-hash": "v1:x"})),
        ("Service", lambda o: o["metadata"]["ownerReferences"][0].update(uid="x")),
    ],
)
def test_the_fingerprint_covers_what_is_ours(kind: str, change: Callable[[Object], Any]) -> None:
    _, live = pair("mid-rollout", kind)
    before = drift.fingerprint(live)
    change(live)
    assert drift.fingerprint(live) != before


def test_a_change_of_what_is_desired_is_applied_though_the_live_object_holds_it() -> None:
    """A field that is wanted no more can only be taken away by an apply."""
    desired, live = pair("mid-rollout", "HTTPRoute")
    wanted = copy.deepcopy(desired)
    del wanted["metadata"]["labels"]["app.kubernetes.io/part-of"]
    assert drift.matches(wanted, live)
    assert drift.needs_apply(wanted, live)
    assert drift.needs_apply(wanted, live, drift.fingerprint(live))


def test_a_webhook_that_changes_what_is_applied_is_not_fought() -> None:
    desired, live = pair("mid-rollout", "Deployment")
    live["spec"]["template"]["spec"]["containers"].append({"name": "mesh", "image": "registry.example/mesh"})
    remembered = drift.fingerprint(live)
    assert not drift.needs_apply(desired, live, remembered)
    live["spec"]["replicas"] = 1
    assert drift.needs_apply(desired, live, remembered)


def test_with_memory_a_value_that_became_empty_is_drift() -> None:
    """Without memory it cannot be told from a value that the API server drops."""
    desired, live = pair("as-users-write", "Deployment")
    assert drift.first_difference(desired, live, strict=True) is not None, "the server dropped something"
    remembered = drift.fingerprint(live)
    assert not drift.needs_apply(desired, live, remembered)
    del live["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]
    assert not drift.needs_apply(desired, live)
    assert drift.needs_apply(desired, live, remembered)


def test_the_stamp_is_the_hash_of_the_rest() -> None:
    desired, _ = pair("mid-rollout", "Service")
    before = copy.deepcopy(desired)
    stamped = drift.stamped(desired)
    assert desired == before, "the rendered object stays as it is"
    assert stamped["metadata"]["annotations"] == {names.ANNOTATION_APPLIED: drift.applied_hash(desired)}
    assert drift.applied_hash(stamped) == drift.applied_hash(desired)
    assert drift.stamped(stamped) == stamped
    assert drift.applied_hash(desired).startswith("v1:")

    with_more = copy.deepcopy(desired)
    with_more["metadata"]["annotations"] = {"example.com/a": "b"}
    assert set(drift.stamped(with_more)["metadata"]["annotations"]) == {"example.com/a", names.ANNOTATION_APPLIED}
    assert drift.applied_hash(with_more) != drift.applied_hash(desired)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("0.5", "500m"),
        ("1Gi", "1024Mi"),
        ("1Gi", "1073741824"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        (1, "1"),
        (0.25, "250m"),
        ("2000M", "2G"),
        ("1E", "1000P"),
        (".5", "500m"),
        ("+1", "1"),
        ("5.", "5"),
        ("100n", "0.1u"),
    ],
)
def test_quantities_that_mean_the_same(wanted: Any, found: str) -> None:
    assert drift.matches({"resources": {"limits": {"cpu": wanted}}}, {"resources": {"limits": {"cpu": found}}})
    assert drift.matches({"sizeLimit": wanted}, {"sizeLimit": found})
    assert drift.matches({"divisor": wanted}, {"divisor": found})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("0.5", "501m"), ("1Gi", "1G"), ("1", "1m"), ("many", "lots"), ("1Zi", "1"), (True, "1"), ("1", ["1"])],
)
def test_quantities_that_differ(wanted: Any, found: Any) -> None:
    assert not drift.matches({"limits": {"cpu": wanted}}, {"limits": {"cpu": found}})


def test_only_quantities_are_compared_as_quantities() -> None:
    assert not drift.matches({"env": [{"value": "0.5"}]}, {"env": [{"value": "500m"}]})
    assert not drift.matches({"labels": {"cpu": "1Gi"}}, {"labels": {"cpu": "1024Mi"}})


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (80, "80", True),
        ("http", "http", True),
        (80, "081", False),
        (True, 1, False),
        (1, True, False),
        ("true", True, False),
        (False, 0, False),
        ({}, [], False),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        (None, "anything", True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ("a", {"a": 1}, False),
    ],
)
def test_values(wanted: Any, found: Any, same: bool) -> None:
    assert drift.matches({"x": wanted}, {"x": found}) is same


@pytest.mark.parametrize("nothing", ["", 0, False, [], {}, {"a": {"b": []}}])
def test_what_stands_for_nothing_may_be_missing_unless_strict(nothing: Any) -> None:
    assert drift.matches({"x": nothing}, {})
    assert not drift.matches({"x": nothing}, {}, strict=True)
    assert drift.matches({"x": None}, {}, strict=True)


@pytest.mark.parametrize("something", [1, "0", True, [0], {"a": [0]}])
def test_something_may_not_be_missing(something: Any) -> None:
    assert not drift.matches({"x": something}, {})
