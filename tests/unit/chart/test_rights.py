"""The operator's rights, as rendered: the least that works, each with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.helm import NAMESPACE, pick, render, render_text

READ = {"get", "list", "watch"}
WRITES = {
    "deployments",
    "services",
    "httproutes",
    "configmaps",
    "secrets",
    "releases",
    "managedservices",
    "managedservices/status",
    "releases/status",
    "managedservices/finalizers",
    "releases/finalizers",
    "connectionpools",
    "connectionpools/status",
    "connectionpools/finalizers",
    "cachetiers",
    "cachetiers/status",
    "cachetiers/finalizers",
    "modelroutes",
    "modelroutes/status",
    "modelroutes/finalizers",
    "recoverypolicies",
    "recoverypolicies/status",
    "recoveryactions",
    "recoveryactions/status",
    "statefulsets",
    "poddisruptionbudgets",
    "pods",
    "events",
}


def rules(role: Any) -> list[tuple[str, frozenset[str]]]:
    return [(resource, frozenset(rule["verbs"])) for rule in role["rules"] for resource in rule["resources"]]


def test_every_rule_says_what_it_is_for() -> None:
    lines = render_text({"watchNamespaces": ["shop"]}).splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("- apiGroups:")]
    assert len(starts) > 15
    # One comment may stand over several rules in a row.
    unexplained = [lines[i : i + 3] for i in starts if not lines[i - 1].startswith(("#", "  verbs:"))]
    assert unexplained == []
    first = [i for i, line in enumerate(lines) if line == "rules:"]
    assert all(lines[i + 1].startswith("#") for i in first)


def test_nothing_is_granted_by_wildcard() -> None:
    for role in (o for o in render() if o["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            for part in ("apiGroups", "resources", "verbs"):
                assert "*" not in rule[part], role["metadata"]["name"]


def test_it_writes_what_it_owns_and_only_reads_the_rest() -> None:
    granted = rules(pick(render(), "ClusterRole", "sophia-operator"))
    assert {resource for resource, verbs in granted if not verbs <= READ} == WRITES
    by_name = dict(granted)
    assert by_name["managedservices"] == READ | {"patch"}, "it never writes a spec, only its finalizer"
    assert by_name["releases"] == READ | {"create", "delete"}, "the intent is for people"
    assert by_name["managedservices/status"] == {"patch"}
    assert by_name["connectionpools"] == READ | {"patch"}
    assert by_name["connectionpools/status"] == {"patch"}
    assert by_name["cachetiers"] == READ | {"patch"}
    assert by_name["cachetiers/status"] == {"patch"}
    assert by_name["modelroutes"] == READ | {"patch"}
    assert by_name["modelroutes/status"] == {"patch"}
    assert by_name["recoverypolicies"] == READ | {"patch"}
    assert by_name["recoverypolicies/status"] == {"patch"}
    assert by_name["recoveryactions"] == READ | {"create", "patch", "delete", "operate"}
    assert by_name["recoveryactions/status"] == {"patch"}
    assert by_name["statefulsets"] == READ | {"create", "patch"}, "they go with their tier"
    assert by_name["pods"] == READ | {"patch", "delete"}, "marks, and nodes of tiers that are to be made anew"


def test_watching_some_namespaces_takes_the_rights_elsewhere_away() -> None:
    objects = render({"watchNamespaces": ["shop", "chat"]})
    everywhere = rules(pick(objects, "ClusterRole", "sophia-operator"))
    assert all(verbs <= READ for _, verbs in everywhere)
    assert not {resource for resource, _ in everywhere} & {"secrets", "configmaps", "pods", "managedservices"}
    roles = {o["metadata"]["namespace"]: o for o in objects if o["kind"] == "Role"}
    assert set(roles) == {"shop", "chat", NAMESPACE}
    assert {r for r, verbs in rules(roles["shop"]) if not verbs <= READ} == WRITES
    bindings = {o["metadata"]["namespace"]: o for o in objects if o["kind"] == "RoleBinding"}
    assert set(bindings) == set(roles)
    for namespace, binding in bindings.items():
        assert binding["roleRef"]["name"] == roles[namespace]["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "sophia-operator", "namespace": NAMESPACE}]


def test_the_lease_is_in_its_own_namespace_only() -> None:
    objects = render()
    assert "leases" not in dict(rules(pick(objects, "ClusterRole", "sophia-operator")))
    lease = pick(objects, "Role", "sophia-operator-lease")
    assert lease["metadata"]["namespace"] == NAMESPACE
    assert rules(lease) == [("leases", frozenset({"get", "patch"})), ("leases", frozenset({"create"}))]
    assert lease["rules"][0]["resourceNames"] == ["sophia-operator"]
    deployment = pick(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert "--lease-name=sophia-operator" in deployment["args"]


@pytest.mark.parametrize(
    ("role", "aggregated", "expected"),
    [
        (
            "view",
            {"view", "edit", "admin"},
            {
                "managedservices": READ,
                "releases": READ,
                "connectionpools": READ,
                "cachetiers": READ,
                "modelroutes": READ,
                "recoverypolicies": READ,
                "recoveryactions": READ,
            },
        ),
        (
            "edit",
            {"edit", "admin"},
            {
                "managedservices": {"create", "update", "patch", "delete"},
                "connectionpools": {"create", "update", "patch", "delete"},
                "cachetiers": {"create", "update", "patch", "delete"},
                "modelroutes": {"create", "update", "patch", "delete"},
                "recoverypolicies": {"create", "update", "patch", "delete"},
                "recoveryactions": {"create", "delete"},
                "managedservices/scale": {"get", "update", "patch"},
                "connectionpools/scale": {"get", "update", "patch"},
                "releases": {"update", "patch"},
            },
        ),
    ],
)
def test_people_get_rights_with_view_and_edit(role: str, aggregated: set[str], expected: dict[str, set[str]]) -> None:
    found = pick(render(), "ClusterRole", f"sophia-operator-{role}")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {
        label.removeprefix(prefix) for label in found["metadata"]["labels"] if label.startswith(prefix)
    } == aggregated
    assert dict(rules(found)) == expected


def test_people_on_call_may_steer_rollouts_and_nothing_else() -> None:
    found = rules(pick(render(), "ClusterRole", "sophia-operator-oncall"))
    assert [(resource, verbs) for resource, verbs in found if not verbs <= READ] == [("releases", frozenset({"patch"}))]


def test_to_approve_is_a_right_of_its_own() -> None:
    objects = render()
    found = rules(pick(objects, "ClusterRole", "sophia-operator-approve"))
    writes = [(resource, verbs) for resource, verbs in found if not verbs <= READ]
    assert writes == [("recoveryactions", frozenset({"patch", "approve"}))]
    others = {o["metadata"]["name"]: dict(rules(o)) for o in objects if o["kind"] in ("Role", "ClusterRole")}
    assert "aggregate" not in str(pick(objects, "ClusterRole", "sophia-operator-approve")["metadata"]["labels"])
    for name in others.keys() - {"sophia-operator-approve"}:
        assert "approve" not in others[name].get("recoveryactions", ()), name
    for name in others.keys() - {"sophia-operator"}:
        assert "operate" not in others[name].get("recoveryactions", ()), name


def test_the_admission_policy_may_be_left_out() -> None:
    found = {o["kind"] for o in render()} - {o["kind"] for o in render({"recovery": {"admissionPolicy": False}})}
    assert found == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def test_the_admission_policy_names_the_role_that_it_asks_for() -> None:
    objects = render({"fullnameOverride": "other"})
    policy = pick(objects, "ValidatingAdmissionPolicy")
    assert "as in ClusterRole other-approve" in str(policy["spec"]["validations"])
    assert pick(objects, "ClusterRole", "other-approve")
    assert pick(objects, "ValidatingAdmissionPolicyBinding")["spec"]["policyName"] == policy["metadata"]["name"]
