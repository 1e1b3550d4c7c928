"""Who asks for a recovery, and who approves one, is who they say, and may: at a real API server, with the roles and the
admission policy that we install."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sophia_operator.api.recovery_action_rules import ELSEWHERE
from tests.api.kube import TIMEOUT_SECONDS, Api, Object, RefusedError

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("crds")]

ROOT: Final = Path(__file__).resolve().parents[2]
NAMESPACE: Final = "recovery-admission"
OPERATOR: Final = "system:serviceaccount:sophia-system:sophia-operator"
#: Declares services in the namespace, and may ask for a recovery.
EDITOR: Final = "eve"
#: May write what an approver writes, but has no right to approve.
PATCHER: Final = "pat"
APPROVER: Final = "ann"

_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
_PLURALS: Final = {
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "ValidatingAdmissionPolicy": f"{_ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
}
_ACTIONS: Final = f"/apis/sophia.ai/v1alpha1/namespaces/{NAMESPACE}/recoveryactions"
_TARGET: Final = {"kind": "ConnectionPool", "name": "orders"}
_TRIGGER: Final = {
    "policy": "pools",
    "symptom": "ConnectionLost",
    "since": "2026-01-01T00:00:00Z",
    "step": 1,
    "timeoutSeconds": 60,
}

As = Callable[[str], Api]


def action(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "RecoveryAction",
        "metadata": {"name": name},
        "spec": {"target": _TARGET, "action": "Reconnect", **spec},
    }


def installed(api: Api) -> None:
    """What `manifests/base` has of rights and admission; the policy in force in this test's namespace only."""
    for file in ("rbac.yaml", "admission.yaml"):
        for obj in yaml.safe_load_all((ROOT / "manifests/base" / file).read_text()):
            if obj["kind"] == "ValidatingAdmissionPolicyBinding":
                selector = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
                obj["spec"]["matchResources"] = {"namespaceSelector": selector}
            if obj["kind"] in _PLURALS:
                api.apply(f"{_PLURALS[obj['kind']]}/{obj['metadata']['name']}", obj)


def bind(api: Api, user: str, role: str) -> None:
    api.post(
        f"{_RBAC}/namespaces/{NAMESPACE}/rolebindings",
        {
            "metadata": {"name": f"{user}-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )


@pytest.fixture(scope="module")
def as_user(api: Api, apiserver: Path, crds: dict[str, Object]) -> Iterator[As]:
    """Clients of the API server as other users, once the policy is in force."""
    del crds
    api.create_namespace(NAMESPACE)
    installed(api)
    patches = {"apiGroups": ["sophia.ai"], "resources": ["recoveryactions"], "verbs": ["get", "patch", "update"]}
    api.post(f"{_RBAC}/clusterroles", {"metadata": {"name": "patches"}, "rules": [patches]})
    for user, role in (
        (EDITOR, "sophia-operator-edit"),
        (EDITOR, "sophia-operator-view"),
        (PATCHER, "patches"),
        (PATCHER, "sophia-operator-edit"),
        (APPROVER, "sophia-operator-approve"),
        (APPROVER, "sophia-operator-edit"),
    ):
        bind(api, user, role)
    with ExitStack() as stack:
        made: dict[str, Api] = {}

        def client(user: str) -> Api:
            if user not in made:
                made[user] = Api(apiserver, user)
                stack.callback(made[user].close)
            return made[user]

        _await_policy(api)
        yield client


def _await_policy(api: Api) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            api.submit(action("trial", requestedBy="nobody"), NAMESPACE, dry_run=True)
        except RefusedError:
            return
        assert time.monotonic() < deadline, "the policy is not in force"
        time.sleep(0.1)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        call()
    ((_, message),) = caught.value.causes
    return str(message)


def test_the_operator_says_why_it_acts_and_nobody_else_does(as_user: As, api: Api) -> None:
    as_user(OPERATOR).post(_ACTIONS, action("by-the-operator", trigger=_TRIGGER))
    for client in (as_user(EDITOR), as_user(APPROVER), api):
        said = refusal(lambda client=client: client.post(_ACTIONS, action("mine", trigger=_TRIGGER)))  # type: ignore[misc]
        assert "trigger says why the operator made an action, and only the operator sets it" in said


def test_a_person_asks_in_their_own_name(as_user: As) -> None:
    as_user(EDITOR).post(_ACTIONS, action("asked", requestedBy=EDITOR, reason="the pool hangs"))
    said = refusal(lambda: as_user(EDITOR).post(_ACTIONS, action("false", requestedBy=APPROVER)))
    assert "requestedBy must be your own name, eve" in said


def test_who_may_approve_does_so_in_their_own_name_and_once(as_user: As) -> None:
    as_user(OPERATOR).post(_ACTIONS, action("to-approve", trigger=_TRIGGER, approvalRequired=True))
    path, approver = f"{_ACTIONS}/to-approve", as_user(APPROVER)
    said = refusal(lambda: approver.merge(path, {"spec": {"approved": True, "approvedBy": EDITOR}}))
    assert "approvedBy must be your own name, ann" in said
    found = approver.merge(path, {"spec": {"approved": True, "approvedBy": APPROVER}})
    assert (found["spec"]["approved"], found["spec"]["approvedBy"]) == (True, APPROVER)
    said = refusal(lambda: approver.merge(path, {"spec": {"approved": False}}))
    assert "immutable" in said
    said = refusal(lambda: approver.merge(path, {"spec": {"approved": None, "approvedBy": None}}))
    assert "immutable" in said


@pytest.mark.parametrize("answer", [True, False])
def test_who_may_not_approve_is_told_what_is_missing(answer: bool, as_user: As) -> None:
    name = f"not-yours-{answer}".lower()
    as_user(OPERATOR).post(_ACTIONS, action(name, trigger=_TRIGGER, approvalRequired=True))
    change = {"spec": {"approved": answer, "approvedBy": PATCHER}}
    said = refusal(lambda: as_user(PATCHER).merge(f"{_ACTIONS}/{name}", change))
    assert "pat may not approve: approved needs the verb approve on recoveryactions.sophia.ai" in said
    assert f"in namespace {NAMESPACE}, as in ClusterRole sophia-operator-approve" in said
    # Nor by making one that is approved already, nor without any right to write it.
    made = action(f"{name}-made", requestedBy=PATCHER, approved=answer, approvedBy=PATCHER)
    assert "pat may not approve" in refusal(lambda: as_user(PATCHER).post(_ACTIONS, made))
    assert "cannot patch" in refusal(lambda: as_user(EDITOR).merge(f"{_ACTIONS}/{name}", change))


def test_an_action_is_about_an_object_beside_it(as_user: As) -> None:
    target = {**_TARGET, "namespace": "kube-system"}
    for user, spec in ((EDITOR, {"requestedBy": EDITOR}), (OPERATOR, {"trigger": _TRIGGER})):
        made = action("elsewhere", **spec)
        made["spec"]["target"] = target
        said = refusal(lambda user=user, made=made: as_user(user).post(_ACTIONS, made))  # type: ignore[misc]
        assert ELSEWHERE in said
    target["namespace"] = NAMESPACE
    made = action("beside", requestedBy=EDITOR)
    made["spec"]["target"] = target
    assert as_user(EDITOR).post(_ACTIONS, made)["spec"]["target"] == target


def test_what_is_no_answer_stays_free(as_user: As) -> None:
    """Labels change, and what was answered may be written again as it is."""
    as_user(EDITOR).post(_ACTIONS, action("labelled", requestedBy=EDITOR))
    path = f"{_ACTIONS}/labelled"
    as_user(APPROVER).merge(path, {"spec": {"approved": False, "approvedBy": APPROVER}})
    found = as_user(PATCHER).merge(path, {"metadata": {"labels": {"seen": "yes"}}, "spec": {"approved": False}})
    assert found["metadata"]["labels"] == {"seen": "yes"}
    assert found["spec"]["approvedBy"] == APPROVER


def test_who_asks_may_approve_their_own_only_with_the_right(as_user: As) -> None:
    mine = action("own", requestedBy=APPROVER, approvalRequired=True, approved=True, approvedBy=APPROVER)
    assert as_user(APPROVER).post(_ACTIONS, mine)["spec"]["approved"] is True


def test_the_status_is_the_operators_alone(as_user: As) -> None:
    as_user(EDITOR).post(_ACTIONS, action("claimed", requestedBy=EDITOR))
    claim = {"status": {"phase": "Claimed", "claimedAt": "2026-01-01T00:00:00Z"}}
    for user in (EDITOR, PATCHER, APPROVER):
        said = refusal(lambda user=user: as_user(user).merge(f"{_ACTIONS}/claimed/status", claim))  # type: ignore[misc]
        assert "cannot patch" in said
    assert as_user(OPERATOR).merge(f"{_ACTIONS}/claimed/status", claim)["status"]["phase"] == "Claimed"
