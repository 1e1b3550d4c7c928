"""What each word of a person does where things stand: which Release gets which intent, or why none does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sophia_operator.api.managed_service import Bindings
from sophia_operator.cli.restored import in_order
from sophia_operator.cli.steer import gitops_owner
from tests.support.objects import (
    LATCHED,
    PLAN,
    ROLLING,
    SETTLED,
    ago,
    release,
    rolled_back,
    service,
    shifting,
    stable,
)
from tests.unit.cli.conftest import Run

STAMP = "[alice, 2026-03-02T03:14:00Z]"
KEPT_STATUS = {**SETTLED, "previous": {"name": "hello-1", "revision": 1, "color": "green"}}

Objects = list[dict[str, Any]]
SETTLED_NOW: Objects = [service(status=SETTLED), stable()]
ROLLING_NOW: Objects = [service(status=ROLLING), stable(), shifting()]
PAUSED_NOW: Objects = [service(status=ROLLING), stable(), shifting(spec={"intent": "Pause", "reason": "lunch"})]
STUCK_NOW: Objects = [
    service(status=ROLLING),
    stable(),
    shifting(pause={"since": ago(9), "reason": "InconclusiveLimit", "message": "no data", "generation": 1}),
]
HELD_NOW: Objects = [service(spec={"paused": True}, status=ROLLING), stable(), shifting()]
BACK_NOW: Objects = [service(status=ROLLING), stable(), release(3, "RollingBack", color="green")]
LATCHED_NOW: Objects = [service(status=LATCHED), stable(), rolled_back()]
KEPT_NOW: Objects = [
    service(status=KEPT_STATUS),
    stable(1, promoted=9000, color="green"),
    stable(promoted=100),
]
PENDING_NOW: Objects = [service(status=SETTLED), stable(), release(3, "Pending")]
PROMOTING_NOW: Objects = [service(status=ROLLING), stable(), shifting(spec={"intent": "Promote", "reason": "sure"})]


@pytest.mark.parametrize(
    ("objects", "words", "release_name", "intent"),
    [
        (ROLLING_NOW, ["pause"], "hello-3", "Pause"),
        (PENDING_NOW, ["pause"], "hello-3", "Pause"),
        (PAUSED_NOW, ["resume"], "hello-3", "Proceed"),
        (STUCK_NOW, ["resume"], "hello-3", "Proceed"),
        (ROLLING_NOW, ["promote"], "hello-3", "Promote"),
        (STUCK_NOW, ["promote"], "hello-3", "Promote"),
        (ROLLING_NOW, ["abort"], "hello-3", "Abort"),
        (PAUSED_NOW, ["abort"], "hello-3", "Abort"),
        (PENDING_NOW, ["abort"], "hello-3", "Abort"),
        (KEPT_NOW, ["abort"], "hello-2", "Abort"),
        (LATCHED_NOW, ["retry"], "hello-3", "Retry"),
        (ROLLING_NOW, ["rollback"], "hello-3", "Abort"),
        (ROLLING_NOW, ["rollback", "--to", "2"], "hello-3", "Abort"),
        (KEPT_NOW, ["rollback"], "hello-2", "Abort"),
        (KEPT_NOW, ["rollback", "--to", "1"], "hello-2", "Abort"),
    ],
)
def test_the_intent_goes_to_the_right_release(
    run: Run, objects: Objects, words: list[str], release_name: str, intent: str
) -> None:
    ran = run(words[0], "hello", *words[1:], "--reason", "p99 looks odd", objects=objects)
    assert ran.code == 0, ran.err
    assert ran.patches == [(release_name, {"spec": {"intent": intent, "reason": f"p99 looks odd {STAMP}"}})]
    assert f"Release {release_name} " in ran.out


@pytest.mark.parametrize(
    ("objects", "words", "why"),
    [
        (SETTLED_NOW, ["pause"], "no rollout of hello is under way"),
        (PAUSED_NOW, ["pause"], "is paused already: lunch"),
        (BACK_NOW, ["pause"], "being rolled back, which cannot be paused"),
        (LATCHED_NOW, ["pause"], "is over already (RolledBack)"),
        (SETTLED_NOW, ["resume"], "no rollout of hello is under way"),
        (ROLLING_NOW, ["resume"], "hello-3 is not paused"),
        (HELD_NOW, ["resume"], "held by spec.paused of the ManagedService"),
        (BACK_NOW, ["promote"], "being rolled back"),
        (PROMOTING_NOW, ["promote"], "being promoted already"),
        (LATCHED_NOW, ["promote"], "kubectl sophia retry hello"),
        (SETTLED_NOW, ["abort"], "no earlier release is kept"),
        (BACK_NOW, ["abort"], "is being rolled back already"),
        (LATCHED_NOW, ["abort"], "hello-3 is over already"),
        (SETTLED_NOW, ["retry"], "no failed release of hello"),
        (ROLLING_NOW, ["retry"], "no failed release of hello"),
        (SETTLED_NOW, ["rollback"], "no earlier release is kept"),
        (SETTLED_NOW, ["rollback", "--to", "2"], "hello-2 serves already"),
        (ROLLING_NOW, ["rollback", "--to", "3"], "hello-3 is being rolled out already"),
        (LATCHED_NOW, ["rollback", "--to", "3"], "kubectl sophia retry hello"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_remedy(run: Run, objects: Objects, words: list[str], why: str) -> None:
    ran = run(words[0], "hello", *words[1:], objects=objects)
    assert ran.code == 1
    assert why in ran.err
    assert ran.patches == []


def test_aborting_twice_never_takes_the_stable_release(run: Run) -> None:
    """The operator may roll back in the very second in which a person aborts."""
    status = {**LATCHED, "previous": {"name": "hello-1", "revision": 1, "color": "green"}}
    objects = [service(status=status), stable(1, promoted=9000, color="green"), stable(promoted=500), rolled_back()]
    ran = run("abort", "hello", objects=objects)
    assert (ran.code, ran.patches) == (1, [])
    assert "kubectl sophia rollback hello" in ran.err
    assert run("rollback", "hello", objects=objects, stdin="n\n").patches == []
    assert [name for name, _ in run("rollback", "hello", objects=objects, stdin="y\n").patches] == ["hello-2"]


def test_a_release_is_kept_only_for_its_time(run: Run) -> None:
    over = PLAN["keepPreviousSeconds"] + 1
    objects = [service(status=KEPT_STATUS), stable(1, promoted=9000, color="green"), stable(promoted=over)]
    ran = run("abort", "hello", objects=objects)
    assert ran.code == 1
    assert "--to N rolls one of 1 out again" in ran.err


def test_each_order_changes_the_release_even_with_the_same_words(run: Run) -> None:
    """The operator takes an order for new by the object's generation; who and when are part of the reason."""
    (patch,) = [p for _, p in run("resume", "hello", objects=STUCK_NOW).patches]
    assert patch["spec"] == {"intent": "Proceed", "reason": f"no reason given {STAMP}"}


def test_a_long_reason_is_cut_to_what_the_api_takes(run: Run) -> None:
    (patch,) = [p for _, p in run("pause", "hello", "-r", "x" * 3000, objects=ROLLING_NOW).patches]
    assert len(patch["spec"]["reason"]) == 1024
    assert patch["spec"]["reason"].endswith(STAMP)


def old_and_new(**metadata: Any) -> Objects:
    return [
        service(status=SETTLED, metadata=metadata),
        stable(1, promoted=90_000, color="green"),
        stable(),
    ]


@pytest.mark.parametrize(("flags", "stdin"), [(["--yes"], None), ([], "y\n")])
def test_an_older_release_comes_back_as_a_new_one(run: Run, flags: list[str], stdin: str | None) -> None:
    ran = run("rollback", "hello", "--to", "1", *flags, objects=old_and_new(), stdin=stdin)
    assert ran.code == 0
    ((name, operations),) = ran.patches
    assert name == "hello"
    image = {"spec": {"containers": [{"name": "app", "image": "localhost/hello:1"}]}}
    assert operations == [
        {"op": "test", "path": "/metadata/generation", "value": 1},
        {"op": "replace", "path": "/spec/template", "value": image},
        {"op": "replace", "path": "/spec/ports", "value": [{"name": "http", "port": 80, "targetPort": 8080}]},
    ]
    assert "stage by stage" in ran.out
    assert "change it there as well" in ran.out


@pytest.mark.parametrize(
    ("bound", "now", "restored"),
    [
        ([], [], None),
        ([("orders", ["app", "worker"])], [{"name": "orders", "containers": ["worker", "app"]}], None),
        ([("orders", ["app"])], [], [{"name": "orders", "containers": ["app"]}]),
        ([("orders", [])], [{"name": "orders", "containers": ["app"]}], [{"name": "orders", "containers": []}]),
        ([], [{"name": "orders"}], []),
    ],
)
def test_an_older_release_comes_back_with_its_bindings(
    run: Run, bound: list[tuple[str, list[str]]], now: Objects, restored: Objects | None
) -> None:
    """Its template may mount what only they bring, or lack what the newer ones need."""
    objects = old_and_new()
    objects[0]["spec"]["bindings"] = {"pools": now}
    copy = {"hash": "v1:" + "0" * 64, "secretName": "s", "copyName": "c"}
    objects[1]["spec"]["snapshot"]["bindings"] = [
        {"kind": "ConnectionPool", "name": name, "containers": containers, **copy} for name, containers in bound
    ]
    ran = run("rollback", "hello", "--to", "1", objects=objects, stdin="y\n")
    ((_, operations),) = ran.patches
    written = [o["value"]["pools"] for o in operations if o["path"] == "/spec/bindings"]
    assert written == ([] if restored is None else [restored])
    assert ("template, ports and bindings" in ran.err) == (restored is not None)


def test_an_older_release_comes_back_with_bindings_of_each_kind(run: Run) -> None:
    objects = old_and_new()
    copy = {"hash": "v1:" + "0" * 64, "secretName": "s", "copyName": "c"}
    objects[1]["spec"]["snapshot"]["bindings"] = [
        {"kind": "ConnectionPool", "name": "orders", **copy},
        {"kind": "CacheTier", "name": "hot", "ownGeneration": False, "containers": ["app"], **copy},
        {"kind": "CacheTier", "name": "cold", "ownGeneration": True, **copy},
        {"kind": "ModelRoute", "name": "chat", "choice": "small", "promptVersion": "v7", "model": "chat-1", **copy},
    ]
    same = {
        "pools": [{"name": "orders"}],
        "caches": [{"name": "hot", "containers": ["app"], "generation": "Shared"}, {"name": "cold"}],
        "models": [{"name": "chat", "model": "small", "promptVersion": "v7"}],
    }
    objects[0]["spec"]["bindings"] = same
    ((_, kept),) = run("rollback", "hello", "--to", "1", objects=objects, stdin="y\n").patches
    assert "/spec/bindings" not in [o["path"] for o in kept]
    objects[0]["spec"]["bindings"] = {"models": [{"name": "chat", "model": "large", "promptVersion": "v8"}]}
    ((_, operations),) = run("rollback", "hello", "--to", "1", objects=objects, stdin="y\n").patches
    (written,) = [o["value"] for o in operations if o["path"] == "/spec/bindings"]
    assert Bindings.model_validate(written) == in_order(Bindings.model_validate(same))


@pytest.mark.parametrize("stdin", ["n\n", ""])
def test_without_a_yes_nothing_is_restored(run: Run, stdin: str) -> None:
    ran = run("rollback", "hello", "--to", "1", objects=old_and_new(), stdin=stdin)
    assert (ran.code, ran.patches) == (1, [])
    assert "nothing was changed" in ran.err


def test_git_is_named_when_it_would_undo_the_change(run: Run) -> None:
    objects = old_and_new(annotations={"argocd.argoproj.io/tracking-id": "shop:sophia.ai/ManagedService:shop/hello"})
    assert "Argo CD keeps this object as Git says" in run("rollback", "hello", "--to", "1", "-y", objects=objects).out


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({}, None),
        ({"labels": {"app.kubernetes.io/instance": "hello"}}, None),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD"),
        ({"managedFields": [{"manager": "kustomize-controller"}]}, "Flux"),
        ({"managedFields": [{"manager": "kubectl-client-side-apply"}]}, None),
    ],
)
def test_who_keeps_the_object_as_git_says(metadata: dict[str, Any], owner: str | None) -> None:
    assert gitops_owner({"metadata": metadata}) == owner


def test_a_release_that_is_gone_is_not_found(run: Run) -> None:
    ran = run("rollback", "hello", "--to", "9", objects=SETTLED_NOW)
    assert ran.code == 2
    assert "there are: 2" in ran.err


def test_orders_as_json(run: Run) -> None:
    ran = run("pause", "hello", "-o", "json", objects=ROLLING_NOW)
    assert json.loads(ran.out) == {"release": "hello-3", "intent": "Pause", "reason": f"no reason given {STAMP}"}
