"""What can be wrong with models: each problem is told of the model that has it, and others go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from hack.demo.figures import seconds_of
from hack.rig.api import Api, ApiError
from hack.rig.database_objects import secret
from hack.rig.models import Route, model, way
from hack.rig.simulators import Simulator
from tests.e2e.models.conftest import Asking, Served

Make = Callable[..., Served]
Simulated = Callable[..., list[Simulator]]
#: As the server asks for with its 429s.
PAUSE_SECONDS = 8
#: Several decisions, and every hold that a test has.
CALM_SECONDS = 15.0


@pytest.fixture
def troubled(cluster: Api, namespace: str, simulated: Simulated) -> dict[str, Simulator]:
    """A model with each kind of trouble, and one without; by their names, and nothing asks them yet."""
    names = ("good", "limited", "refused", "lying", "endless")
    found = {simulator.name: simulator for simulator in simulated(*names)}
    found["limited"].control(error_rate=1.0, status=429, retry_after=str(PAUSE_SECONDS))
    found["refused"].control(api_key="sk-another")
    found["lying"].control(fault="error_body")
    found["endless"].control(fault="endless")
    return found


def test_each_problem_is_told_of_the_model_that_has_it(
    cluster: Api, namespace: str, troubled: dict[str, Simulator]
) -> None:
    route = Route(cluster, namespace)
    # That of the API server is signed by an authority of the cluster's own.
    untrusted = {"endpoint": {"url": "https://kubernetes.default.svc/v1"}}
    to_good = {"endpoint": {"serviceRef": {"name": "good", "port": 8000}}}
    keyless = {**to_good, "credentialsSecretRef": {"name": "nothing"}}
    models = [model(name, "0.9" if name == "good" else "0.5") for name in troubled]
    models += [model("untrusted", "0.5", **untrusted), model("keyless", "0.5", **keyless)]
    # Weights of an HTTPRoute would lead to Services alone. This gateway has no pods: that is told of it, not of models.
    route.apply(models, {"liteLLM": {"selector": {"app": "none"}}}, probe={"timeoutSeconds": 2})

    states = {"good": "Healthy", "limited": "Paused", "refused": "Refused", "keyless": "Ineligible"}
    limited = route.wait_states(states)["limited"]
    asked, since = troubled["limited"].requests(), time.monotonic()
    assert seconds_of(limited["pausedUntil"]) - time.time() < PAUSE_SECONDS + 1
    # What never answered is not known to be a model that works, and is never chosen.
    wanted = {
        "limited": ("RateLimited", "429"),
        "refused": ("CredentialsRefused", "credentialsSecretRef"),
        "lying": ("InvalidAnswer", "200 without a completion"),
        "endless": ("ModelFailed", "no whole answer in time"),
        "untrusted": ("TlsUntrusted", "certificate"),
        "keyless": ("SecretNotFound", "nothing"),
    }
    for name, (reason, words) in wanted.items():
        row = says(route, name, reason)
        assert words in row["message"], row
        assert not row["eligible"], row
    assert route.status()["active"] == "good"
    assert "keyless" in route.wait_condition("CredentialsValid", "False", "SecretNotFound")["message"]
    route.wait_condition("TrafficVerified", "False", "NoReplicas")
    route.wait_condition("Healthy", "True")

    # It is not asked while it is paused, and healthy with the first good answer.
    pauses = 1 + (time.monotonic() - since) / PAUSE_SECONDS
    assert troubled["limited"].requests() - asked <= pauses
    troubled["limited"].control(error_rate=0.0)
    cluster.apply(secret("nothing", namespace, {"api-key": "sk-any"}))
    troubled["lying"].control(fault=None)
    route.wait_states(dict.fromkeys(("limited", "keyless", "lying"), "Healthy"))
    assert seconds_of(route.scoreboard()["limited"]["healthySince"]) >= seconds_of(limited["pausedUntil"])
    assert "sk-any" not in str(route.object())


def says(route: Route, name: str, reason: str) -> dict[str, Any]:
    """The row of a model once it gives that reason."""

    def look(found: dict[str, Any]) -> dict[str, Any] | None:
        rows: list[dict[str, Any]] = (found.get("status") or {}).get("models") or []
        return next((row for row in rows if row["name"] == name and row.get("reason") == reason), None)

    return route.wait(f"to say {reason} of {name}", look, seconds=60)


def test_when_all_models_are_down_traffic_stays_and_goes_to_the_first_that_answers(served: Make) -> None:
    world = served()
    route, (primary, second) = world.route, world.models
    second.control(error_rate=1.0)
    route.wait_states({"second": "Unhealthy"})
    primary.control(fault="close")
    said = route.wait_condition("Available", "False", "AllModelsDown")
    assert "traffic stays at primary" in said["message"]
    revision = route.status()["revision"]
    time.sleep(CALM_SECONDS)
    assert (route.shares(), route.status()["revision"]) == ({"primary": 100}, revision)
    assert route.switches() == [("First", "primary")]
    told = route.wait_events("AllModelsDown")
    assert len(told) == 1, [event["message"] for event in told]
    second.control(error_rate=0.0)
    route.wait_serves("second")
    assert route.switches() == [("First", "primary"), ("Failover", "second")]
    route.wait_condition("Available", "True")


def test_provider_that_asks_to_wait_is_left_at_once_and_gets_its_traffic_back(
    served: Make, asking: Callable[..., Asking]
) -> None:
    """A 429 says all that there is to know: nobody waits for a second one."""
    world = served()
    route, (primary, _) = world.route, world.models
    began = time.time()
    primary.control(error_rate=1.0, status=429, retry_after=str(PAUSE_SECONDS))
    past = route.wait_past("Failover", began, seconds=30)
    assert "primary is Paused" in past["trigger"]
    route.wait_serves("second")
    users = asking(world)
    assert route.scoreboard()["primary"]["state"] == "Paused"
    primary.control(error_rate=0.0)
    route.wait_past("Failback", began, seconds=90)
    route.wait_serves("primary")
    users.stop()
    assert users.failed() == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fallback": ["nobody"]}, "models[].fallbackOrder must name other models"),
        ({"fallback": ["primary"]}, "models[].fallbackOrder must name other models"),
        ({"spec": {"pin": "nobody"}}, "pin must name a model of this route"),
        ({"model": "another"}, "every models[].model must be the same"),
        ({"gateway": {}}, "gateway needs exactly one of"),
        ({"gateway": {"liteLLM": {"selector": {"app": "x"}}, "httpRoute": way("chat", "x")}}, "exactly one of"),
        ({"spec": {"failback": {"stages": [25, 5, 100]}}}, "failback.stages must rise"),
        ({"spec": {"weights": {"latency": "0.5"}}}, "weights must sum to 1"),
    ],
)
def test_refused_at_admission(cluster: Api, namespace: str, changes: dict[str, Any], words: str) -> None:
    first = model("primary", "0.9", fallbackOrder=changes.get("fallback", ["second"]))
    second = {**model("second", "0.6"), "model": changes.get("model", first["model"])}
    route = Route(cluster, namespace)
    with pytest.raises(ApiError) as refused:
        route.apply([first, second], changes.get("gateway"), **changes.get("spec", {}))
    assert refused.value.code == 422
    assert words in refused.value.message
