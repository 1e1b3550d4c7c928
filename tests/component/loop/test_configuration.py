"""ConfigMaps and Secrets move with the release: each runs on copies of its own, and goes back with them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sophia_operator.ports import Object
from tests.support.fake_cluster import Call, Fault
from tests.support.fake_cluster_harness import NAMESPACE, Harness, managed_service

CONFIG = {"configMaps": ["settings"], "secrets": ["key"]}
TEMPLATE = {
    "spec": {
        "containers": [
            {"name": "app", "image": "app:1", "envFrom": [{"configMapRef": {"name": "settings"}}]},
        ],
        "volumes": [{"name": "key", "secret": {"secretName": "key"}}],
    }
}


def config(kind: str, name: str, value: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    if kind == "Secret":
        data = {"type": "Opaque", "data": {"v": base64.b64encode(value.encode()).decode()}}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **data}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"v": value}}


@pytest.fixture
async def harness() -> Harness:
    """A service with configuration, served by its first release."""
    made = Harness(managed_service(template=TEMPLATE, config=CONFIG))
    made.cluster.add(config("ConfigMap", "settings", "one"))
    made.cluster.add(config("Secret", "key", "one"))
    await made.run_until(made.settled)
    return made


def copies(harness: Harness, kind: str) -> list[Object]:
    return [o for o in harness.cluster.all(kind) if o.get("immutable")]


def used_by(harness: Harness, release: str) -> str:
    """Content of the ConfigMap that the release's pods use."""
    deployment = harness.cluster.find("Deployment", release)
    assert deployment is not None
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found = harness.cluster.find("ConfigMap", container["envFrom"][0]["configMapRef"]["name"])
    assert found is not None
    return str(found["data"]["v"])


async def test_a_release_runs_on_immutable_copies_that_it_owns(harness: Harness) -> None:
    for kind in ("ConfigMap", "Secret"):
        (copy,) = copies(harness, kind)
        (owner,) = copy["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Release", "app-1")
    assert used_by(harness, "app-1") == "one"


async def test_a_change_of_the_content_is_a_release_and_the_old_one_keeps_its_own(harness: Harness) -> None:
    harness.cluster.edit("ConfigMap", "settings", lambda o: o["data"].update(v="two"))
    await harness.run_until(lambda: harness.shares().get("app-2") == 25)
    assert used_by(harness, "app-1") == "one"
    assert used_by(harness, "app-2") == "two"


async def test_equal_content_is_one_copy_with_many_owners(harness: Harness) -> None:
    harness.change("app:2", template=TEMPLATE | {"metadata": {"labels": {"v": "2"}}}, config=CONFIG)
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    (copy,) = copies(harness, "ConfigMap")
    assert [o["name"] for o in copy["metadata"]["ownerReferences"]] == ["app-1", "app-2"]
    assert copy["data"] == {"v": "one"}
    # It outlives the release that it was made for.
    harness.cluster.remove("Release", "app-1")
    harness.controllers.tick()
    assert copies(harness, "ConfigMap") != []


async def test_a_missing_secret_is_named_and_what_serves_keeps_serving(harness: Harness) -> None:
    harness.cluster.remove("Secret", "key")
    await harness.run(5)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[1] == "ConfigNotFound"
    assert "Secret shop/key" in found[2]
    assert harness.shares() == {"app-1": 100}
    harness.cluster.add(config("Secret", "key", "one"))
    await harness.run_until(harness.settled)
    assert harness.state("app-2") is None


async def test_content_that_changes_before_it_is_copied_is_not_mixed_up(harness: Harness) -> None:
    """The Release says which content it is; another content is never given that name."""

    def change_again(call: Call) -> Fault | None:
        if call.verb == "get" and call.kind == "ConfigMap" and call.name == "settings":
            harness.cluster.hook = lambda _: None
            harness.cluster.edit("ConfigMap", "settings", lambda o: o["data"].update(v="three"))
        return None

    harness.cluster.edit("ConfigMap", "settings", lambda o: o["data"].update(v="two"))
    harness.cluster.hook = change_again
    await harness.run(5)
    await harness.run_until(lambda: harness.settled() and len(harness.shares()) == 1, limit=400)
    (serving,) = harness.shares()
    assert used_by(harness, serving) == "three"
    assert sorted(c["data"]["v"] for c in copies(harness, "ConfigMap")) == ["one", "three"]


async def test_nothing_secret_is_kept_or_told(harness: Harness) -> None:
    secret = base64.b64encode(b"one").decode()
    harness.change("app:2", template=TEMPLATE | {"metadata": {"labels": {"v": "2"}}}, config=CONFIG)
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    assert secret not in str(harness.store.all("Secret"))
    told = [str(o) for kind in ("Release", "ManagedService", "Deployment") for o in harness.cluster.all(kind)]
    assert not [text for text in (*told, str(harness.cluster.events)) if secret in text]


async def test_a_copy_that_is_somebody_elses_is_not_used(harness: Harness) -> None:
    taken: list[str] = []

    def take(call: Call) -> Fault | None:
        if call.verb == "get" and call.kind == "ConfigMap" and call.name.startswith("app-settings-"):
            harness.cluster.hook = lambda _: None
            taken.append(call.name)
            harness.cluster.add(config("ConfigMap", call.name, "theirs"))
        return None

    harness.cluster.edit("ConfigMap", "settings", lambda o: o["data"].update(v="two"))
    harness.cluster.hook = take
    await harness.run(10)
    found = harness.condition("Stalled")
    assert found is not None
    assert found[1] == "NotOwned"
    assert taken[0] in found[2]
    # No pod may start on content that is not its release's.
    assert harness.cluster.find("Deployment", "app-2") is None
    assert harness.shares() == {"app-1": 100}
