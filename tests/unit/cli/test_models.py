"""Model routes on the command line: the scoreboard that people see, what is written, and the exit codes."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from sophia_operator.api.model_route import ModelRoute
from tests.support.objects import NAMESPACE, NOW, ago, condition
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_pictures import FOLDER, compare

Json = dict[str, Any]
NOTE: Final = "sophia.ai/pin-reason"


def model(name: str, cost: str | None = None, fallbacks: tuple[str, ...] = ()) -> Json:
    out = {"name": name, "model": f"{name}-v1", "endpoint": {"url": f"https://{name}.example.com/v1"}}
    return {**out, **({"costPer1kTokens": cost} if cost else {}), "fallbackOrder": list(fallbacks)}


MODELS: Final = [model("large", "0.03", ("small",)), model("small", "0.002"), model("local")]


def route(name: str = "answers", *, metadata: Json | None = None, spec: Json | None = None, **status: Any) -> Json:
    meta = {"name": name, "namespace": NAMESPACE, "generation": 1, "resourceVersion": "7"}
    usual = {"models": MODELS, "gateway": {"liteLLM": {"selector": {"app": "litellm"}}}}
    out: Json = {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {**meta, "creationTimestamp": ago(86_400), **(metadata or {})},
        "spec": {**usual, **(spec or {})},
    }
    return {**out, "status": {"observedGeneration": 1, **status}} if status else out


def conditions(**other: Json) -> list[Json]:
    """All good, but for these."""
    good = {
        "Ready": condition("Ready", "True", "RouteReady", "model large serves"),
        "Available": condition("Available", "True", "Available", "model large serves"),
        "Healthy": condition("Healthy", "True", "ChecksPassed", "model large answers"),
        "OnBestModel": condition("OnBestModel", "True", "BestModelServes", "model large ranks first, and serves"),
        "TrafficVerified": condition("TrafficVerified", "True", "Proved", "2 replicas serve by revision 3"),
        "CredentialsValid": condition("CredentialsValid", "True", "CredentialsAccepted", "none is refused"),
    }
    return list((good | other).values())


def parts(latency: str, quality: str, cost: str) -> list[Json]:
    return [
        {"name": "cost", "value": cost, "weight": "0.10", "why": "0.002 is the lowest"},
        {"name": "latency", "value": latency, "weight": "0.35", "why": "p95 420 ms, the lowest is 400 ms"},
        {"name": "quality", "value": quality, "weight": "0.40", "why": "declared"},
        {"name": "reliability", "value": "0.99", "weight": "0.15", "why": "0 of 60 failed"},
    ]


def row(name: str, rank: int | None, score: str, **fields: Any) -> Json:
    figures = {"p95Ms": 420, "firstTokenMs": 90, "tokensPerSecond": 55, "requests": 60, "failures": 0}
    usual = {"state": "Healthy", "eligible": True, "rank": rank, "score": score, "healthySince": ago(7200)}
    return {"name": name, **usual, **figures, **fields}


def past(kind: str, source: str | None, to: str, began: float, **fields: Any) -> Json:
    usual = {"trigger": "ModelFailed: two probes in a row failed", "evidence": "3 of 3 failed", "result": "Switched"}
    times = {"startedAt": ago(began), "provedAt": ago(began - 2.4), "endedAt": ago(began - 2.4)}
    return {"kind": kind, **({"from": source} if source else {}), "to": to, **usual, **times, **fields}


def replica(number: int, revision: int | None, **fields: Any) -> Json:
    return {"name": f"litellm-{number}", "revision": revision, "model": "large", **fields}


FULL: Final[Json] = {
    "active": "large",
    "best": "large",
    "shares": [{"name": "large", "percent": 100}, {"name": "small", "percent": 0}, {"name": "local", "percent": 0}],
    "fallbacks": ["small", "local"],
    "revision": 3,
    "provedRevision": 3,
    "models": [
        row("large", 1, "0.912", scoreParts=parts("0.95", "0.9", "0.06")),
        row("small", 2, "0.83", p95Ms=400, scoreParts=parts("1", "0.7", "1")),
        row("local", None, "0.4", state="Unhealthy", eligible=False, reason="ModelFailed",
            message="two probes in a row failed: connection refused", failures=12, requests=12, healthySince=None),
    ],
    "replicas": [replica(0, 3), replica(1, 3)],
    "switches": [
        past("First", None, "large", 9000, trigger="nothing served before"),
        past("Failover", "large", "small", 4000),
        past("Failback", "small", "large", 3000, trigger="large is the best again",
             result="Reverted", message="large: 4 of 9 failed"),
        past("Failback", "small", "large", 1200, trigger="large is the best again"),
    ],
    "switchedAt": ago(1200),
    "endpoint": "http://answers-models.shop.svc:4000/v1",
    "binding": {"name": "answers-model-binding"},
    "conditions": conditions(),
}  # fmt: skip
GOING: Final = "Failover from large to small: two probes failed; does not serve by revision 4 yet: litellm-1 (3)"
FAILOVER: Final[Json] = {
    **FULL,
    "active": "small",
    "best": "small",
    "preferred": "large",
    "shares": [{"name": "small", "percent": 100}],
    "revision": 4,
    "models": [
        row("large", None, "0.9", state="Unhealthy", eligible=False, reason="ModelFailed", message="HTTP 503"),
        row("small", 1, "0.83"),
        row("local", None, "0.4", state="Paused", eligible=False, reason="RateLimited", message="HTTP 429",
            pausedUntil=(NOW.isoformat())),
    ],
    "replicas": [replica(0, 4, model="small"), replica(1, 3)],
    "holdUntil": ago(-280),
    "switch": {
        "kind": "Failover", "from": "large", "to": "small", "trigger": "two probes in a row failed",
        "evidence": "large: 5 of 8 requests failed", "startedAt": ago(3), "phase": "Proving", "phaseSince": ago(3),
        "revision": 4,
    },
    "conditions": conditions(
        Ready=condition("Ready", "False", "Switching", GOING),
        Available=condition("Available", "False", "Switching", GOING),
        Reconciling=condition("Reconciling", "True", "Switching", GOING),
        TrafficVerified=condition("TrafficVerified", "Unknown", "AwaitingProof", "not at revision 4: litellm-1 (3)"),
    ),
}  # fmt: skip
STAGE: Final[Json] = {
    **FULL,
    "active": "small",
    "preferred": "large",
    "shares": [{"name": "large", "percent": 25}, {"name": "small", "percent": 75}],
    "switch": {
        "kind": "Failback", "from": "small", "to": "large", "trigger": "large is the best again",
        "startedAt": ago(90), "phase": "Observing", "phaseSince": ago(20), "revision": 3, "stage": 1, "percent": 25,
        "provedAt": ago(88),
    },
    "conditions": conditions(
        Reconciling=condition("Reconciling", "True", "FailingBack", "Failback from small to large"),
        OnBestModel=condition("OnBestModel", "False", "FailingBack", "Failback from small to large"),
    ),
}  # fmt: skip
HELD: Final[Json] = {
    **FULL,
    "active": "small",
    "preferred": "large",
    "holdUntil": ago(-280),
    "failedFailbacks": 1,
    "conditions": conditions(
        OnBestModel=condition("OnBestModel", "False", "OnHold", "large ranks first: no failback before 12:04:40 UTC")
    ),
}
DOWN: Final = "no model answers as it should; traffic stays at large"
PINNED: Final = {"pin": "local"}
NOTED: Final = {"annotations": {NOTE: "trial of the new card [alice, 2026-01-01T11:00:00Z]"}}
SCENES: Final = {
    "healthy": (route(**FULL), 0),
    "failover": (route(**FAILOVER), 1),
    "stage": (route(**STAGE), 0),
    "held": (route(**HELD), 0),
    "pinned": (route(metadata=NOTED, spec=PINNED, **{**FULL, "active": "local"}), 0),
    "dry-run": (route(spec={"dryRun": True}, **FULL), 0),
    "down": (
        route(
            **{
                **FULL,
                "best": None,
                "models": [
                    row(name, None, "0.5", state="Unhealthy", eligible=False, message="HTTP 503")
                    for name in ("large", "small")
                ],
                "conditions": conditions(
                    Ready=condition("Ready", "False", "AllModelsDown", DOWN),
                    Available=condition("Available", "False", "AllModelsDown", DOWN),
                ),
            }
        ),
        1,
    ),
    "unseen": (route(), 0),
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_the_scoreboard_of_a_route(run: Run, scene: str) -> None:
    obj, code = SCENES[scene]
    shown = run("model", "status", "answers", objects=[obj], width=150)
    assert shown.code == code
    compare(f"models/{scene}", f"exit code {shown.code}\n\n{shown.out}")


@pytest.mark.parametrize("scene", SCENES)
def test_why_that_model_serves(run: Run, scene: str) -> None:
    obj, code = SCENES[scene]
    shown = run("model", "explain", "answers", objects=[obj])
    assert shown.code == code
    compare(f"models/{scene}-explained", f"exit code {shown.code}\n\n{shown.out}")


def test_every_picture_of_a_route_is_of_a_scene() -> None:
    wanted = {*SCENES, *(f"{scene}-explained" for scene in SCENES), "list"}
    assert {file.stem for file in (FOLDER / "models").glob("*.txt")} == wanted


def test_a_name_alone_shows_the_route(run: Run) -> None:
    objects = [SCENES["healthy"][0]]
    assert run("model", "answers", objects=objects).out == run("model", "status", "answers", objects=objects).out
    assert json.loads(run("model", "answers", "-o", "json", objects=objects).out)["route"] == objects[0]


def test_the_list_of_routes(run: Run) -> None:
    objects = [route(**FULL), route("fresh"), route("other", metadata={"namespace": "chat"}, spec=PINNED, **FAILOVER)]
    shown = run("model", "list", "-A", objects=objects, width=150)
    assert shown.code == 0
    compare("models/list", shown.out)
    here = run("model", "list", objects=objects).out
    assert "fresh" in here
    assert "other" not in here


def test_without_routes_it_says_so(run: Run) -> None:
    assert run("model", "list").out == f"no ModelRoutes in namespace {NAMESPACE}\n"
    assert run("model", "list", "-A").out == "no ModelRoutes anywhere\n"


def test_programs_get_the_object_as_it_is(run: Run) -> None:
    obj, code = SCENES["down"]
    shown = run("model", "status", "answers", "-o", "json", objects=[obj])
    assert (shown.code, json.loads(shown.out)) == (code, {"healthy": False, "route": obj})
    listed = json.loads(run("model", "list", "-o", "json", objects=[obj]).out)
    assert listed == {"apiVersion": "v1", "kind": "List", "items": [obj]}
    told = json.loads(run("model", "explain", "answers", "-o", "json", objects=[obj]).out)
    assert (told["healthy"], bool(told["explanation"])) == (False, True)


def test_a_route_that_is_not_there_is_an_error(run: Run) -> None:
    shown = run("model", "status", "gone", objects=[SCENES["healthy"][0]])
    assert (shown.code, shown.err) == (2, f"error: ModelRoute {NAMESPACE}/gone: not found\n")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, 0),
        ({"OnBestModel": condition("OnBestModel", "False", "OnHold", "later")}, 0),
        ({"Healthy": condition("Healthy", "False", "ModelErrors", "some failed")}, 0),
        ({"CredentialsValid": condition("CredentialsValid", "False", "CredentialsRefused", "small")}, 0),
        ({"Available": condition("Available", "False", "AllModelsDown", "none")}, 1),
        ({"Available": condition("Available", "Unknown", "NotChecked", "not yet")}, 0),
        ({"Ready": condition("Ready", "False", "NoReplicas", "no pod")}, 1),
        ({"Stalled": condition("Stalled", "True", "SecretNotFound", "create it")}, 1),
    ],
)
def test_the_exit_code_says_whether_clients_are_served(run: Run, changed: Json, code: int) -> None:
    obj = route(**{**FULL, "conditions": conditions(**changed)})
    assert run("model", "status", "answers", objects=[obj]).code == code


def applied(obj: Json, patches: list[tuple[str, Any]]) -> Json:
    """The object once the one patch was applied, by the rules of JSON Patch; the API takes what comes of it."""
    ((name, operations),) = patches
    assert name == "answers"
    assert operations[0] == {"op": "test", "path": "/metadata/generation", "value": 1}
    out: Json = json.loads(json.dumps(obj))
    for operation in [o for o in operations if o["op"] != "test"]:
        *way, last = (p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:])
        at = out
        for part in way:
            at = at[part]
        if operation["op"] == "remove":
            del at[last]
        else:
            at[last] = operation["value"]
    ModelRoute.model_validate(out)
    return out


@pytest.mark.parametrize("annotations", [None, {"other": "x"}, NOTED["annotations"]])
def test_a_pin_is_written_with_its_reason(run: Run, annotations: Json | None) -> None:
    obj = route(metadata={"annotations": annotations} if annotations is not None else None, **FULL)
    shown = run("model", "pin", "answers", "small", "--reason", "cheaper tonight", objects=[obj])
    after = applied(obj, shown.patches)
    assert after["spec"]["pin"] == "small"
    assert after["metadata"]["annotations"][NOTE] == f"cheaper tonight [alice, {NOW:%Y-%m-%dT%H:%M:%SZ}]"
    assert set(after["metadata"]["annotations"]) >= set(annotations or {})
    assert shown.out == (
        "ModelRoute answers: all requests go to small at once, until kubectl sophia model unpin answers.\n"
    )


def test_a_pin_to_what_serves_keeps_it_and_one_to_what_failed_is_warned_of(run: Run) -> None:
    obj = route(**FULL)
    assert "large serves, and stays" in run("model", "pin", "answers", "large", objects=[obj]).out
    shown = run("model", "pin", "answers", "local", objects=[obj])
    assert "mind that it is Unhealthy: two probes in a row failed" in shown.out
    assert applied(obj, shown.patches)["metadata"]["annotations"][NOTE].startswith("no reason given [alice")


def test_a_pin_is_tried_again_when_the_status_changes_just_then_but_not_for_ever(run: Run) -> None:
    obj, later = route(**FULL), route(metadata={"resourceVersion": "8"}, **FULL)
    shown = run("model", "pin", "answers", "small", objects=[obj], races=[later] * 4)
    assert (shown.code, applied(obj, shown.patches)["spec"]["pin"]) == (0, "small")
    given_up = run("model", "pin", "answers", "small", objects=[obj], races=[later] * 5)
    assert (given_up.code, given_up.patches) == (2, [])
    assert "run the command again" in given_up.err


@pytest.mark.parametrize("order", [("pin", "answers", "small"), ("unpin", "answers")])
def test_what_another_person_decides_just_then_is_not_undone(run: Run, order: tuple[str, ...]) -> None:
    pinned = {"pin": "large"} if order[0] == "unpin" else {}
    other = route(metadata={"generation": 2}, spec={"pin": "local"}, **FULL)
    shown = run("model", *order, objects=[route(spec=pinned, **FULL)], races=[other])
    assert (shown.code, shown.patches) == (2, [])
    assert "was changed by somebody else meanwhile" in shown.err


@pytest.mark.parametrize("noted", [None, NOTED])
def test_what_is_unpinned_forgets_why(run: Run, noted: Json | None) -> None:
    obj = route(metadata=noted, spec=PINNED, **{**FULL, "active": "local"})
    shown = run("model", "unpin", "answers", objects=[obj])
    after = applied(obj, shown.patches)
    assert "pin" not in after["spec"]
    assert NOTE not in after["metadata"].get("annotations", {})
    assert "local serves on; large ranks first" in shown.out


def test_whoever_keeps_the_route_as_git_says_is_named(run: Run) -> None:
    obj = route(metadata={"labels": {"argocd.argoproj.io/instance": "x"}}, **FULL)
    assert "Argo CD keeps this object" in run("model", "pin", "answers", "small", objects=[obj]).out


@pytest.mark.parametrize(
    ("arguments", "spec", "code", "words"),
    [
        (("pin", "answers", "gone"), {}, 2, "has no model gone; it has large, small, local"),
        (("pin", "answers", "local"), PINNED, 1, "is pinned to local already: trial of the new card"),
        (("unpin", "answers"), {}, 1, "is not pinned"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, arguments: tuple[str, ...], spec: Json, code: int, words: str
) -> None:
    shown = run("model", *arguments, objects=[route(metadata=NOTED, spec=spec, **FULL)])
    assert (shown.code, shown.patches) == (code, [])
    assert words in shown.err


def test_programs_are_told_what_was_written(run: Run) -> None:
    shown = run("model", "pin", "answers", "small", "-o", "json", objects=[route(**FULL)])
    assert json.loads(shown.out) == {"modelRoute": "answers", "pin": "small"}
