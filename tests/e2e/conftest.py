"""The real cluster, brought up once for all end-to-end tests, and a namespace with a service under load for each."""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import bringup, paths
from hack.load import Load, Report
from hack.rig.api import Api
from hack.rig.gateway import wait_reachable
from hack.rig.services import Service
from tests.support import own_cluster

_LOGS = Path("out/e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is end-to-end, and takes the time that real pods take.

    Tests that run alone come last: each one that came between others would make them all wait for it. The samples come
    first, since their namespace takes long to go; and tests that need no cluster while it is brought up.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(300, func_only=True))
    first = next((item for item in items if item.path.stem == "test_samples"), None)

    def turn_of(item: pytest.Item) -> int:
        if item.get_closest_marker("disruptive"):
            return 4
        if item is first:
            return 0
        if item.get_closest_marker("e2e") is None:
            return 1
        return 2 if item.path.stem == "test_samples" else 3

    items.sort(key=turn_of)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Api]:
    """The API of a cluster with gateway, Prometheus and operator; it goes with the session that brought it up."""
    own_cluster.bring_up()
    with Api(paths.kubeconfig()) as api:
        yield api


@pytest.fixture(autouse=True)
def turn(cluster: Api, request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests run beside each other, in several processes; a disruptive one runs alone."""
    alone = request.node.get_closest_marker("disruptive") is not None
    with (paths.state() / "e2e-turn").open("a") as door, (paths.state() / "e2e-queue").open("a") as queue:
        # Who wants to be alone keeps new ones from starting, or it would wait for ever.
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(door, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield


@pytest.fixture(scope="session")
def gateway(cluster: Api) -> str:
    """URL at which this machine reaches the gateway."""
    return f"{bringup.gateway_url()}/"


@pytest.fixture
def namespace(cluster: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, with restricted Pod Security."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:29].strip("-")
    # Tests that differ in their parameters only run beside each other as well.
    name = f"e2e-{words}-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.until("the earlier namespace to go", lambda: cluster.get("Namespace", None, name) is None, seconds=120)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    cluster.delete("Namespace", None, name)


@dataclass
class Loaded:
    """A service that serves its first release under a steady load."""

    service: Service
    load: Load
    #: Where the load goes.
    url: str
    #: A release that crashes under traffic loses what it was given, at any gateway: that is its price, told apart.
    loses_by_crash: bool = False
    #: Connections that clients keep end with the gateway that they lead to; a request that was on its way goes twice.
    loses_connections: bool = False

    def report(self) -> Report:
        """Stop the load and return its books; nothing may be lost, nor saved only by being sent again."""
        self.load.stop()
        report = self.load.report()
        assert report.sent > 0
        if not self.loses_by_crash:
            assert report.lost == 0, f"{report.lost} of {report.sent} lost: {report.lost_reasons}"
        if not self.loses_connections:
            assert report.repeated == 0, f"{report.repeated} of {report.sent} sent twice, as their connection ended"
        return report

    def figures(self) -> list[tuple[str, int]]:
        """What the test adds to the books of all tests."""
        report = self.load.report()
        lost = "lost_by_crash" if self.loses_by_crash else "lost"
        return [
            ("sent", report.sent),
            (lost, report.lost),
            ("repeated", report.repeated),
            ("app_errors", report.app_errors),
        ]


@pytest.fixture
def loaded(
    cluster: Api, gateway: str, namespace: str, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Loaded]]:
    """Make a service, wait until it serves, and put load on it. Options as of `hack.rig.services.service`."""
    started: list[Loaded] = []

    def make(rate: float = 60.0, version: str = "1", **options: Any) -> Loaded:
        service = Service(cluster, "app", namespace)
        env = {"DEMO_VERSION": version, **options.pop("env", {})}
        service.apply(env=env, **options)
        service.wait_settled(1)
        _LOGS.mkdir(parents=True, exist_ok=True)
        log = _LOGS / f"{namespace}.jsonl"
        log.unlink(missing_ok=True)
        # Users would come to a new host later than its listener, too.
        wait_reachable(gateway, service.host)
        load = Load(gateway, service.host, rate=rate, log=log)
        load.start()
        world = Loaded(service, load, gateway)
        started.append(world)
        return world

    yield make
    for world in started:
        world.load.stop()
        request.node.user_properties += world.figures()
