"""Bindings move with the release: each runs with its own copy of how to connect, and goes back with it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sophia_operator.api.release import Intent
from sophia_operator.ports import Object
from tests.support.fake_cluster_harness import NAME, NAMESPACE, Harness, managed_service

BINDINGS = {"pools": [{"name": "orders"}]}
SECRET = "orders-pool-binding"


def binding(host: str) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in (("host", host), ("password", "hidden"))}
    metadata = {"name": SECRET, "namespace": NAMESPACE, "labels": {"sophia.ai/pool": "orders"}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "servicebinding.io/postgresql",
        "data": data,
    }


def move(harness: Harness, host: str) -> None:
    """The pool says another host."""
    harness.cluster.edit("Secret", SECRET, lambda o: o.__setitem__("data", binding(host)["data"]))


def copies(harness: Harness) -> list[Object]:
    return [o for o in harness.cluster.all("Secret") if o.get("immutable")]


def mounted(harness: Harness, release: str) -> Object:
    """The Secret that the release's pods have mounted."""
    deployment = harness.cluster.find("Deployment", release)
    assert deployment is not None
    (volume,) = deployment["spec"]["template"]["spec"]["volumes"]
    found = harness.cluster.find("Secret", volume["secret"]["secretName"])
    assert found is not None
    return found


def host(harness: Harness, release: str) -> str:
    return base64.b64decode(mounted(harness, release)["data"]["host"]).decode()


def stalled(harness: Harness) -> tuple[str, str]:
    found = harness.condition("Stalled")
    assert found is not None
    return found[1:]


@pytest.fixture
async def harness() -> Harness:
    """A service with a binding, served by its first release."""
    made = Harness(managed_service(bindings=BINDINGS))
    made.cluster.add(binding("one"))
    await made.run_until(made.settled)
    return made


async def test_a_release_has_the_binding_in_its_snapshot_and_an_immutable_copy_of_its_own(harness: Harness) -> None:
    (copy,) = copies(harness)
    (owner,) = copy["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Release", "app-1")
    assert (copy["type"], copy["data"]) == ("servicebinding.io/postgresql", binding("one")["data"])
    assert mounted(harness, "app-1") == copy
    release = harness.cluster.find("Release", "app-1")
    assert release is not None
    (said,) = release["spec"]["snapshot"]["bindings"]
    assert said.pop("hash").startswith("v1:")
    assert said == {
        "kind": "ConnectionPool",
        "name": "orders",
        "containers": [],
        "secretName": SECRET,
        "copyName": copy["metadata"]["name"],
        "ownGeneration": False,
        "levels": [],
    }


async def test_another_place_to_connect_to_is_a_release_and_an_abort_goes_back_to_the_old_one(
    harness: Harness,
) -> None:
    move(harness, "two")
    await harness.run_until(lambda: harness.shares().get("app-2") == 25)
    assert (host(harness, "app-1"), host(harness, "app-2")) == ("one", "two")
    harness.intend("app-2", Intent.ABORT)
    await harness.run_until(lambda: harness.shares() == {"app-1": 100})
    assert host(harness, "app-1") == "one"


async def test_the_same_binding_made_anew_is_no_release(harness: Harness) -> None:
    harness.cluster.remove("Secret", SECRET)
    await harness.run(5)
    harness.cluster.add(binding("one"))
    await harness.run_until(harness.settled)
    assert harness.state("app-2") is None


async def test_a_binding_is_taken_away_by_a_release(harness: Harness) -> None:
    harness.change("app:1", bindings={})
    await harness.run_until(lambda: harness.settled() and harness.shares() == {"app-2": 100})
    deployment = harness.cluster.find("Deployment", "app-2")
    assert deployment is not None
    assert "volumes" not in deployment["spec"]["template"]["spec"]


async def test_a_binding_that_is_gone_is_named_and_what_serves_keeps_serving(harness: Harness) -> None:
    harness.cluster.remove("Secret", SECRET)
    harness.change("app:2", bindings=BINDINGS)
    await harness.run(5)
    reason, message = stalled(harness)
    assert reason == "BindingNotFound"
    assert "ConnectionPool shop/orders, named in spec.bindings, is missing: create it; app-1 keeps serving" in message
    assert harness.shares() == {"app-1": 100}
    assert harness.state("app-2") is None


async def test_a_pool_that_has_no_binding_yet_is_waited_for() -> None:
    harness = Harness(managed_service(bindings=BINDINGS))
    await harness.run(5)
    assert "is missing: create it" in stalled(harness)[1]
    database = {"host": "db", "name": "orders", "credentialsSecretRef": {"name": "db"}}
    event = harness.wakeups.event((NAMESPACE, NAME))
    event.clear()
    harness.cluster.add(
        {
            "apiVersion": "sophia.ai/v1alpha1",
            "kind": "ConnectionPool",
            "metadata": {"name": "orders", "namespace": NAMESPACE},
            "spec": {"database": database},
        }
    )
    assert event.is_set()
    await harness.run(5)
    reason, message = stalled(harness)
    assert reason == "BindingNotFound"
    assert f"has no Secret shop/{SECRET} yet" in message
    assert harness.state("app-1") is None
    harness.cluster.add(binding("one"))
    await harness.run_until(harness.settled)
    assert harness.state("app-1") == "Promoted"


async def test_the_service_is_woken_when_the_binding_appears() -> None:
    harness = Harness(managed_service(bindings=BINDINGS))
    await harness.run(5)
    event = harness.wakeups.event((NAMESPACE, NAME))
    event.clear()
    harness.cluster.add(binding("one"))
    assert event.is_set()


async def test_what_cannot_be_mounted_is_told_and_makes_no_release(harness: Harness) -> None:
    template: dict[str, Any] = {
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": "app:2",
                    "volumeMounts": [{"name": "scratch", "mountPath": "/bindings/orders"}],
                }
            ],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        }
    }
    harness.change("app:2", template=template, bindings=BINDINGS)
    await harness.run(5)
    reason, message = stalled(harness)
    assert reason == "InvalidSpec"
    assert "mounts a volume of its own at /bindings/orders" in message
    assert harness.state("app-2") is None
    assert harness.shares() == {"app-1": 100}
    harness.change("app:2", bindings=BINDINGS)
    await harness.run_until(lambda: harness.settled() and harness.shares() == {"app-2": 100})


async def test_nothing_secret_is_told(harness: Harness) -> None:
    secret = base64.b64encode(b"hidden").decode()
    move(harness, "two")
    await harness.run_until(lambda: harness.state("app-2") == "Promoted")
    told = [str(o) for kind in ("Release", "ManagedService", "Deployment") for o in harness.cluster.all(kind)]
    assert not [text for text in (*told, str(harness.cluster.events)) if secret in text]
