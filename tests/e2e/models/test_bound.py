"""A ManagedService that is bound to a ModelRoute: its version of the prompt is rolled out, and a switch is not."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

from hack.rig.api import Json
from hack.rig.models import ASKED
from hack.rig.services import Service, rollout, stages
from tests.e2e.models.conftest import Served

Make = Callable[..., Served]
#: Longer than the operator takes to look at a service that something of it changed.
LOOK_SECONDS = 10.0


def apply(service: Service, prompt: str, model: str | None = None) -> None:
    """The service with a version of its prompt, and the model that it wants first."""
    wanted: dict[str, Any] = {"name": "chat", "promptVersion": prompt}
    if model is not None:
        wanted["model"] = model
    plan = rollout(gates=[], smokeTests=[], stages=stages(50, 100, seconds=3))
    if prompt == "v2":
        # There is somebody to stop it.
        plan["stages"] = stages(50, 100, seconds=120)
    service.apply(plan=plan, replicas=1, bindings={"models": [wanted]})


def bound_version(service: Service, revision: int) -> Json:
    """The binding, as the release has it."""
    release = service.release(revision)
    assert release is not None, f"there is no release {revision}"
    (found,) = release["spec"]["snapshot"]["bindings"]
    assert (found["kind"], found["name"]) == ("ModelRoute", "chat")
    version: Json = found
    return version


def choice(service: Service, revision: int) -> dict[str, str]:
    """What pods of the release read of their model and their prompt."""
    found = service.api.get("ConfigMap", service.namespace, f"{service.name}-{revision}-chat")
    assert found is not None, f"release {revision} has no choice"
    assert found["immutable"] is True
    data: dict[str, str] = found["data"]
    return data


def mounts(service: Service, revision: int) -> set[str]:
    """Where pods of the release find what they are bound to."""
    pods = service.api.list("Pod", service.namespace, f"sophia.ai/release={service.name}-{revision}")
    return {m["mountPath"] for pod in pods for m in pod["spec"]["containers"][0]["volumeMounts"]}


def test_version_of_a_prompt_is_rolled_out_and_back_and_a_switch_is_no_release(served: Make) -> None:
    world = served()
    route, (primary, _) = world.route, world.models
    service = Service(route.api, "app", route.namespace)
    apply(service, "v1")
    service.wait_settled(1, seconds=120)
    assert choice(service, 1) == {"model": ASKED, "prompt-version": "v1"}
    assert "/bindings/chat" in mounts(service, 1)
    version = bound_version(service, 1)
    copy = route.api.get("Secret", route.namespace, version["copyName"])
    assert copy is not None
    secret = {key: base64.b64decode(text).decode() for key, text in copy["data"].items()}
    assert (secret["type"], secret["host"], secret["model"]) == ("openai", route.host, ASKED)
    assert secret["uri"] == route.status()["endpoint"]

    apply(service, "v2")
    service.wait_stage(2, 0, seconds=120)
    assert choice(service, 2)["prompt-version"] == "v2"
    assert choice(service, 1)["prompt-version"] == "v1"
    service.intend(2, "Abort", "the answers are worse")
    service.wait_state(2, "RolledBack", seconds=60)
    assert service.status()["stable"]["revision"] == 1

    apply(service, "v1")
    service.wait_settled(1, seconds=60)
    apply(service, "v1", model="second")
    service.wait_settled(3, seconds=120)
    assert choice(service, 3)["choice"] == "second"
    header = {choice(service, 3)["choice-header"]: "second"}
    assert route.ask(world.url, **header).json()["system_fingerprint"] == "second"
    assert route.ask(world.url).json()["system_fingerprint"] == "primary"

    generation = service.object()["metadata"]["generation"]
    primary.control(error_rate=1.0)
    route.wait_serves("second")
    time.sleep(LOOK_SECONDS)
    assert service.release(4) is None
    assert service.object()["metadata"]["generation"] == generation
    assert service.wait_settled(3)["stable"]["revision"] == 3
