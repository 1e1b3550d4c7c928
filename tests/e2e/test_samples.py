"""The samples and the plugin, in the hands of their reader: kubectl applies, changes, watches and deletes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from hack.cluster import paths
from hack.load import Load
from hack.rig.api import Api
from hack.rig.gateway import wait_reachable
from hack.rig.namespaces import clear_namespace
from hack.rig.services import Service
from tests.e2e import plugin
from tests.e2e.conftest import Loaded
from tests.e2e.endings import goes_forward
from tests.e2e.terminal import Terminal

_SAMPLES = paths.REPOSITORY / "manifests" / "samples"
_NAMESPACE = "sophia-samples"
_HOST = "hello.example.com"
_STAGE_SECONDS = 8


@pytest.fixture
def samples(cluster: Api) -> Iterator[list[str]]:
    """Names of the services in the samples, which kubectl applied; it deletes them all at the end."""
    clear_namespace(cluster, _NAMESPACE)
    kubectl("apply", f"--filename={_SAMPLES}")
    documents = (d for file in sorted(_SAMPLES.glob("*.yaml")) for d in yaml.safe_load_all(file.read_text()))
    yield [d["metadata"]["name"] for d in documents if d["kind"] == "ManagedService"]
    # The namespace is the first to go, and may take others with it.
    kubectl("delete", f"--filename={_SAMPLES}", "--ignore-not-found", "--timeout=150s")
    assert cluster.get("Namespace", None, _NAMESPACE) is None


def test_samples_serve_and_the_plugin_shows_how_one_changes(
    cluster: Api, gateway: str, samples: list[str], request: pytest.FixtureRequest
) -> None:
    assert len(samples) == 6
    kubectl("wait", "--for=condition=Ready", *(f"managedservice/{name}" for name in samples), "--timeout=120s")
    kubectl("wait", "--for=condition=Ready", "connectionpool/orders", "--timeout=60s")
    tiers = [f"cachetier/{name}" for name in ("near", "hot", "cold")]
    kubectl("wait", "--for=condition=Ready", *tiers, "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "modelroute/chat", "--timeout=90s")
    assert "Ready: " in kubectl("sophia", "pool", "orders")
    # The model that answered first serves first: the better one follows by a failback, which is tested elsewhere.
    assert re.search(r"serves +(large|small)\b", kubectl("sophia", "model", "chat"))
    kubectl("wait", "--for=condition=Ready", "recoverypolicy/careful", "--timeout=60s")
    assert re.search(r"targets +5\b", kubectl("sophia", "recovery", "explain", "careful"))
    assert "hello-1 is what the spec asks for" in kubectl("sophia", "status", "hello", "--wait")
    wait_reachable(gateway, _HOST)
    hello = Service(cluster, "hello", _NAMESPACE)
    with Load(gateway, _HOST, rate=60.0) as load, terminal("sophia", "status", "hello", "--watch") as watching:
        world = Loaded(hello, load, gateway)
        watching.wait_for("Ready: release hello-1 is what the spec asks for", seconds=60)
        weights = change(hello)
        followed = kubectl("sophia", "status", "hello", "--wait", "--timeout=120")
        goes_forward(world)
        watching.wait_for("Ready: release hello-2 is what the spec asks for", seconds=30)
        assert watching.interrupt() == 0
    assert weights == [10, 50, 100]
    for weight in weights:
        assert f"▶ {weight} %" in watching.shown
    # It begins to follow after the change, where the release is by then.
    told = list(dict.fromkeys(int(weight) for weight in re.findall(r"hello-2 Shifting (\d+)%", followed)))
    assert told
    assert told == weights[-len(told) :]
    assert "Settled: release hello-2 is what the spec asks for" in followed
    request.node.user_properties += world.figures()
    world.report()


def change(service: Service) -> list[int]:
    """Change the template, as the reader does; the stages become shorter with it. Returns their weights."""
    stages = service.object()["spec"]["rollout"]["stages"]
    patch: list[dict[str, Any]] = [
        {
            "op": "add",
            "path": "/spec/template/spec/containers/0/env/-",
            "value": {"name": "DEMO_VERSION", "value": "2"},
        },
        {
            "op": "replace",
            "path": "/spec/rollout/stages",
            "value": [{**stage, "observeSeconds": _STAGE_SECONDS} for stage in stages],
        },
    ]
    kubectl("patch", "managedservice", service.name, "--type=json", f"--patch={json.dumps(patch)}")
    return [stage["weightPercent"] for stage in stages]


def kubectl(*words: str) -> str:
    """Run kubectl in the samples' namespace, where it finds the plugin, and return what it prints."""
    return plugin.kubectl(_NAMESPACE, *words)


def terminal(*words: str) -> Terminal:
    """The same in a terminal."""
    return Terminal(plugin.command(_NAMESPACE, *words), plugin.environment())
