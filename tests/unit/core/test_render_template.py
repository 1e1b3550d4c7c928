"""The pods of a release: a stable template, draining, and the copies of the configuration."""

from __future__ import annotations

import copy
import importlib.metadata
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_operator.api.release import Color, ConfigKind, ReleaseState, ReleaseStatus, Snapshot
from sophia_operator.core import names
from sophia_operator.core.render import ConfigCopy, ReleaseOwner, config_copy_object, drain_warnings
from sophia_operator.core.render.deployment import pod_template
from sophia_operator.core.views import ReleaseView
from tests.golden import cases

Object = dict[str, Any]
PORTS: Final = [{"name": "http", "port": 80}]


def release_with(template: Any, config: list[Object] | None = None, **plan: Any) -> ReleaseView:
    base = cases.load("mid-rollout").observed.releases[1]
    snapshot = Snapshot.model_validate({"template": template, "ports": PORTS, "config": config or [], "plan": plan})
    return replace(base, spec=base.spec.model_copy(update={"snapshot": snapshot}))


def rendered(template: Any, config: list[Object] | None = None, **plan: Any) -> Object:
    return pod_template("chat", release_with(template, config, **plan), Color.GREEN)


# --- stability: a changed template replaces every pod ---


def test_the_template_depends_on_the_snapshot_names_and_colour_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    case = cases.load("config-copies")

    def templates(case: cases.Case) -> list[Object]:
        return [o["spec"]["template"] for o in case.render().objects if o["kind"] == "Deployment"]

    before = templates(case)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "99.0.0")
    releases = tuple(
        replace(
            r,
            uid=f"another-{r.uid}",
            generation=41,
            resource_version="999",
            created_at=datetime(2030, 1, 1, tzinfo=UTC),
            status=ReleaseStatus(
                color=r.status.color, state=ReleaseState.ROLLING_BACK, attempt=5, base_replicas=9, phase="x"
            ),
        )
        for r in case.observed.releases
    )
    raw = cases.read("config-copies")
    raw["service"]["spec"] |= {"replicas": 99, "paused": True, "rollout": {"drainSeconds": 600}}
    raw["service"]["spec"]["template"] = {"spec": {}}
    raw["service"] |= {"generation": 77, "uid": "another"}
    service = cases.parse(raw).service
    placement = replace(
        case.placement,
        weights={Color.BLUE: 0, Color.GREEN: 100},
        replicas=dict.fromkeys(case.placement.replicas, 50),
        candidate=Color.GREEN,
    )
    changed = replace(case, service=service, observed=replace(case.observed, releases=releases), placement=placement)
    assert changed.render() != case.render()
    assert templates(changed) == before


def test_without_a_status_the_colour_is_that_of_the_place() -> None:
    """Else losing the status would change a label of the template, and so replace every pod."""
    case = cases.load("mid-rollout")
    lost = tuple(replace(r, status=ReleaseStatus()) for r in case.observed.releases)
    assert replace(case, observed=replace(case.observed, releases=lost)).render() == case.render()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 700) | st.sampled_from(["", "settings", "app", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "metadata", "labels", "spec", "containers", "initContainers", "volumes", "projected", "sources",
                "configMap", "secret", "name", "secretName", "envFrom", "env", "valueFrom", "configMapRef",
                "secretKeyRef", "lifecycle", "preStop", "terminationGracePeriodSeconds",
            ]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip
CONFIG: Final = [
    {"kind": kind, "name": "settings", "hash": "v1:" + "0" * 64, "copyName": f"chat-{kind.lower()}-copy"}
    for kind in ("ConfigMap", "Secret")
]


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "other"]), json_values))
def test_any_template_is_rendered_for_the_api_server_to_judge_and_left_alone(template: Object) -> None:
    before = copy.deepcopy(template)
    release = release_with(template, CONFIG, drainSeconds=10)
    once = pod_template("chat", release, Color.GREEN)
    drain_warnings(release.spec.snapshot)
    assert release.spec.snapshot.template == before
    assert pod_template("chat", release, Color.GREEN) == once


@given(st.dictionaries(st.sampled_from(["metadata", "spec"]), json_values))
def test_what_the_operator_adds_to_labels_wins_whatever_the_user_writes(template: Object) -> None:
    meta = {} if template.get("metadata") is None else template["metadata"]
    out = rendered(template)["metadata"]
    if not isinstance(meta, dict):
        assert out == meta
        return
    mine = {} if meta.get("labels") is None else meta["labels"]
    if not isinstance(mine, dict):
        assert out["labels"] == mine
        return
    ours = names.common_labels("chat", "workload") | names.pod_selector("chat", "chat-2") | {names.LABEL_COLOR: "green"}
    assert out["labels"] == mine | ours


# --- draining ---


def pod(grace: int | None = None, **lifecycle: Any) -> Object:
    spec: Object = {"containers": [{"name": "app"} | ({"lifecycle": lifecycle} if lifecycle else {})]}
    return {"spec": spec | ({} if grace is None else {"terminationGracePeriodSeconds": grace})}


EXEC: Final = {"exec": {"command": ["/bin/drain"]}}


@pytest.mark.parametrize(
    ("grace", "drain", "sleep", "grace_then", "warns"),
    [
        (None, 10, 10, 40, False),
        (None, 600, 600, 630, False),
        (None, 0, None, None, True),
        (30, 0, None, 30, True),
        (60, 10, 10, 60, False),
        (15, 10, 10, 15, False),
        (14, 10, 9, 14, True),
        (10, 10, 5, 10, True),
        (4, 10, 2, 4, True),
        (2, 10, 1, 2, True),
        (1, 10, None, 1, True),
        (0, 10, None, 0, True),
    ],
)
def test_draining(grace: int | None, drain: int, sleep: int | None, grace_then: int | None, warns: bool) -> None:
    out = rendered(pod(grace), drainSeconds=drain)["spec"]
    expected = None if sleep is None else {"preStop": {"sleep": {"seconds": sleep}}}
    assert out["containers"][0].get("lifecycle") == expected
    assert out.get("terminationGracePeriodSeconds") == grace_then
    assert bool(drain_warnings(release_with(pod(grace), drainSeconds=drain).spec.snapshot)) is warns


@given(grace=st.none() | st.integers(0, 700), drain=st.integers(0, 600))
def test_the_sleep_is_never_one_that_kubernetes_refuses(grace: int | None, drain: int) -> None:
    out = rendered(pod(grace), drainSeconds=drain)["spec"]
    lifecycle = out["containers"][0].get("lifecycle")
    if lifecycle is not None:
        seconds = lifecycle["preStop"]["sleep"]["seconds"]
        assert 0 < seconds <= drain
        assert seconds < out["terminationGracePeriodSeconds"]


def test_a_hook_of_the_users_own_is_kept_and_trusted() -> None:
    out = rendered(pod(60, preStop=EXEC, postStart=EXEC), drainSeconds=10)["spec"]
    assert out["containers"][0]["lifecycle"] == {"preStop": EXEC, "postStart": EXEC}
    for grace, drain in ((60, 10), (60, 0), (None, 10)):
        snapshot = release_with(pod(grace, preStop=EXEC), drainSeconds=drain).spec.snapshot
        assert drain_warnings(snapshot) == []
    (warning,) = drain_warnings(release_with(pod(12, preStop=EXEC), drainSeconds=10).spec.snapshot)
    assert "is 12" in warning
    assert "at least 15" in warning


def test_a_hook_goes_beside_what_else_is_there() -> None:
    assert rendered(pod(60, postStart=EXEC), drainSeconds=3)["spec"]["containers"][0]["lifecycle"] == {
        "postStart": EXEC,
        "preStop": {"sleep": {"seconds": 3}},
    }


def test_the_warning_names_the_containers_without_a_hook() -> None:
    template = pod(60)
    template["spec"]["containers"].append({"name": "safe", "lifecycle": {"preStop": EXEC}})
    (warning,) = drain_warnings(release_with(template, drainSeconds=0).spec.snapshot)
    assert "(app)" in warning


# --- copies of the configuration ---


def test_ephemeral_containers_use_copies_too() -> None:
    containers = [{"name": "debug", "envFrom": [{"configMapRef": {"name": "settings"}}]}]
    out = rendered({"spec": {"ephemeralContainers": containers}}, CONFIG)["spec"]
    assert out["ephemeralContainers"][0]["envFrom"] == [{"configMapRef": {"name": "chat-configmap-copy"}}]


def test_kinds_are_told_apart() -> None:
    volumes = [{"name": "a", "configMap": {"name": "settings"}}, {"name": "b", "secret": {"secretName": "settings"}}]
    only_secret = [c for c in CONFIG if c["kind"] == "Secret"]
    out = rendered({"spec": {"volumes": volumes}}, only_secret)["spec"]["volumes"]
    assert out == [volumes[0], {"name": "b", "secret": {"secretName": "chat-secret-copy"}}]


def copy_of(kind: ConfigKind, source: Object) -> Object:
    service = cases.load("config-copies").service
    owners = (ReleaseOwner("chat-1", "u1"), ReleaseOwner("chat-2", "u2"))
    return config_copy_object(service, ConfigCopy(kind, "settings", "chat-settings-abc", "v1:x", owners), source)


def test_the_copy_of_a_config_map() -> None:
    source = {
        "metadata": {"name": "settings", "labels": {"mine": "yes"}, "uid": "u"},
        "data": {"a": "1"},
        "binaryData": {"b": "AA=="},
        "immutable": False,
    }
    out = copy_of(ConfigKind.CONFIG_MAP, source)
    assert (out["apiVersion"], out["kind"], out["immutable"]) == ("v1", "ConfigMap", True)
    assert (out["data"], out["binaryData"]) == ({"a": "1"}, {"b": "AA=="})
    assert out["metadata"]["labels"] == names.common_labels("chat", "config")
    owners = out["metadata"]["ownerReferences"]
    assert [(o["kind"], o["name"], o["uid"]) for o in owners] == [
        ("Release", "chat-1", "u1"),
        ("Release", "chat-2", "u2"),
    ]
    # An object has at most one controller.
    assert not any("controller" in o for o in owners)
    out["data"]["a"] = "changed"
    assert source["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("given_type", "then"),
    [("kubernetes.io/tls", "kubernetes.io/tls"), ("kubernetes.io/service-account-token", "Opaque")],
)
def test_the_copy_of_a_secret(given_type: str, then: str) -> None:
    out = copy_of(ConfigKind.SECRET, {"data": {"k": "AA=="}, "type": given_type})
    assert (out["kind"], out["type"], out["data"], out["immutable"]) == ("Secret", then, {"k": "AA=="}, True)


def test_the_copy_of_an_empty_one() -> None:
    out = copy_of(ConfigKind.CONFIG_MAP, {"metadata": {}})
    assert "data" not in out
    assert "binaryData" not in out
