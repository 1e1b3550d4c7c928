"""Cache tiers on the command line: the pictures that people see, what is written, and the exit codes."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from sophia_operator.api.cache_flush import Flush
from tests.support.objects import NAMESPACE, ago, condition
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_pictures import FOLDER, compare

Json = dict[str, Any]
TEXTS: Final = {"name": "texts", "prefix": "emb", "ttlSeconds": 600, "maxMemoryMegabytes": 64, "tags": ["model"]}


def tier(name: str = "hot", *, metadata: Json | None = None, spec: Json | None = None, **status: Any) -> Json:
    meta = {"name": name, "namespace": NAMESPACE, "generation": 1, "resourceVersion": "7"}
    usual = {"level": "Redis", "redis": {"managed": {"replicas": 1}}, "namespaces": [TEXTS]}
    out: Json = {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "CacheTier",
        "metadata": {**meta, "creationTimestamp": ago(86_400), **(metadata or {})},
        "spec": {**usual, **(spec or {})},
    }
    return {**out, "status": {"observedGeneration": 1, **status}} if status else out


def conditions(**other: Json) -> list[Json]:
    """All good, but for these."""
    good = {
        "Ready": condition("Ready", "True", "TierReady", "clients are served"),
        "Healthy": condition("Healthy", "True", "ChecksPassed", "the primary accepts writes"),
        "WithinQuota": condition("WithinQuota", "True", "QuotasKept", "every namespace keeps to its quota"),
        "HitRatioOnTarget": condition("HitRatioOnTarget", "True", "OnTarget", "97 % of 80 %"),
        "LiveConfigApplied": condition("LiveConfigApplied", "True", "ConfigConfirmed", "2 of 2 nodes"),
    }
    return list((good | other).values())


def node(number: int, **fields: Any) -> Json:
    seen = {"version": "redis 7.0.15", "configCurrent": True, "usedMemoryMegabytes": 12}
    return {"name": f"hot-cache-{number}", "role": "Replica", "ready": True, **seen, **fields}


RUNNING: Final[Json] = {
    "name": "model-2",
    "what": "all with tag model",
    "phase": "Running",
    "deleted": 1200,
    "startedAt": ago(30),
    "message": "slowed down: the origin is at 71 %",
}
DONE: Final[Json] = {**RUNNING, "name": "model-1", "phase": "Done", "message": "", "endedAt": ago(10)}
FULL: Final[Json] = {
    "ready": "2/2",
    "primary": "hot-cache-0",
    "guarded": True,
    "used": "12Mi/256Mi",
    "keys": 5000,
    "unclaimedKeys": 12,
    "hitRatioPercent": 97,
    "score": 95,
    "scoreParts": [{"name": "hits", "points": 25, "of": 30, "why": "97 % of the reads are hits"}],
    "chain": ["local", "hot"],
    "binding": {"name": "hot-cache-binding", "configMapName": "hot-cache-chain"},
    "latencyMs": {"p50": "0.6", "p95": "1.2"},
    "nodes": [node(0, role="Primary"), node(1, synced=True, lagBytes=0)],
    "namespaces": [
        {
            "name": "texts",
            "generation": 2,
            "keys": 4988,
            "usedBytes": 9_437_184,
            "quotaPercent": 14,
            "withoutTtlKeys": 3,
            "ttlsGiven": 3,
            "scannedAt": ago(120),
        }
    ],
    "warmUps": [{"release": "hello-3", "phase": "Running", "percent": 40, "warmed": 2000, "startedAt": ago(60)}],
    "flush": RUNNING,
    "flushes": [DONE],
    "failovers": [
        {
            "cause": "the process of hot-cache-1 ended",
            "planned": False,
            "fromNode": "hot-cache-1",
            "toNode": "hot-cache-0",
            "startedAt": ago(4000),
            "endedAt": ago(3998),
            "lostBytes": 0,
        }
    ],
    "conditions": conditions(),
}
FENCING: Final = "nodes stop following hot-cache-0"
FAILING: Final[Json] = {
    "ready": "1/2",
    "failover": {
        "phase": "Fencing",
        "cause": "hot-cache-0 does not answer",
        "planned": False,
        "fromNode": "hot-cache-0",
        "startedAt": ago(5),
    },
    "nodes": [node(0, role=None, ready=False, message="does not answer"), node(1, synced=False, configCurrent=False)],
    "conditions": conditions(
        Ready=condition("Ready", "False", "Fencing", FENCING),
        Reconciling=condition("Reconciling", "True", "Fencing", FENCING),
        Healthy=condition("Healthy", "False", "Fencing", FENCING),
    ),
}
SCENES: Final = {
    "healthy": tier(**FULL),
    "failing": tier(**FAILING),
    "unseen": tier(spec={"paused": True}),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_picture_of_a_tier(run: Run, scene: str) -> None:
    shown = run("cache", "status", "hot", objects=[SCENES[scene]])
    assert shown.code == (1 if scene == "failing" else 0)
    compare(f"caches/{scene}", f"exit code {shown.code}\n\n{shown.out}")


def test_every_picture_of_a_tier_is_of_a_scene() -> None:
    assert {file.stem for file in (FOLDER / "caches").glob("*.txt")} == {*SCENES, "list"}


def test_the_list_of_tiers(run: Run) -> None:
    local = tier("local", spec={"level": "Memory", "redis": None, "next": "hot"})
    objects = [tier(**FULL), local, tier("other", metadata={"namespace": "chat"}, **FAILING)]
    shown = run("cache", "list", "-A", objects=objects)
    assert shown.code == 0
    compare("caches/list", shown.out)
    here = run("cache", "list", objects=objects).out
    assert "local" in here
    assert "other" not in here


def test_without_tiers_it_says_so(run: Run) -> None:
    assert run("cache", "list").out == f"no CacheTiers in namespace {NAMESPACE}\n"
    assert run("cache", "list", "-A").out == "no CacheTiers anywhere\n"


def test_programs_get_the_object_as_it_is(run: Run) -> None:
    shown = run("cache", "status", "hot", "-o", "json", objects=[SCENES["failing"]])
    assert (shown.code, json.loads(shown.out)) == (1, {"healthy": False, "tier": SCENES["failing"]})
    listed = json.loads(run("cache", "list", "-o", "json", objects=[SCENES["healthy"]]).out)
    assert listed == {"apiVersion": "v1", "kind": "List", "items": [SCENES["healthy"]]}


def test_a_tier_that_is_not_there_is_an_error(run: Run) -> None:
    shown = run("cache", "status", "gone", objects=[SCENES["healthy"]])
    assert (shown.code, shown.err) == (2, f"error: CacheTier {NAMESPACE}/gone: not found\n")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, 0),
        ({"WithinQuota": condition("WithinQuota", "False", "OverQuota", "texts")}, 0),
        ({"Healthy": condition("Healthy", "False", "ReadOnly", "no writes")}, 1),
        ({"Healthy": condition("Healthy", "Unknown", "NotChecked", "not yet")}, 0),
        ({"Ready": condition("Ready", "False", "NodesNotReady", "1 of 2")}, 1),
        ({"Stalled": condition("Stalled", "True", "SecretNotFound", "create it")}, 1),
        (
            {
                "Ready": condition("Ready", "False", "Progressing", "the Service does not lead to it yet"),
                "Reconciling": condition("Reconciling", "True", "Syncing", "hot-cache-1"),
            },
            0,
        ),
    ],
)
def test_the_exit_code_says_whether_clients_are_served(run: Run, changed: Json, code: int) -> None:
    assert run("cache", "status", "hot", objects=[tier(conditions=conditions(**changed))]).code == code


def written(patches: list[tuple[str, Any]]) -> Json:
    """The flush that the one patch writes; it is one that the API takes."""
    ((name, (guard, change)),) = patches
    assert name == "hot"
    assert guard == {"op": "test", "path": "/metadata/generation", "value": 1}
    assert (change["op"], change["path"]) == ("add", "/spec/flush")
    Flush.model_validate(change["value"])
    wish: Json = change["value"]
    return wish


@pytest.mark.parametrize(
    ("options", "wish"),
    [
        (["--namespace-name", "texts"], {"namespaceName": "texts"}),
        (["--tag", "model", "--instant"], {"tag": "model", "kind": "Generation"}),
        (["--pattern", "emb:*:doc-1*", "--rate", "50"], {"pattern": "emb:*:doc-1*", "keysPerSecond": 50}),
        (["--generation", "g1r7"], {"generation": "g1r7"}),
        (["--flush-all", "hot", "--yes"], {"flushAll": "hot"}),
        (["--namespace-name", "texts", "--name", "mine"], {"namespaceName": "texts", "name": "mine"}),
    ],
)
def test_a_flush_is_written_into_the_tier(run: Run, options: list[str], wish: Json) -> None:
    ran = run("cache", "flush", "hot", *options, objects=[tier()])
    assert ran.code == 0, ran.err
    flush = written(ran.patches)
    assert flush.pop("name").startswith(wish.pop("name", "flush-"))
    assert flush == wish


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "name exactly one of --namespace-name, --tag"),
        (["--tag", "a", "--pattern", "emb:*"], 2, "name exactly one of"),
        (["--flush-all", "other"], 2, "give it the name of the tier, to be sure"),
        (["--pattern", "emb:*", "--instant"], 2, "a generation is of a whole namespace"),
        (["--pattern", "*"], 2, "--pattern: "),
        (["--stop"], 1, "no flush of hot is under way"),
        (["--stop", "--tag", "a"], 2, "it goes without other options"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    run: Run, options: list[str], code: int, words: str
) -> None:
    ran = run("cache", "flush", "hot", *options, objects=[tier()])
    assert (ran.code, ran.patches) == (code, [])
    assert words in ran.err


def test_everything_goes_only_once_somebody_said_yes(run: Run) -> None:
    refused = run("cache", "flush", "hot", "--flush-all", "hot", objects=[tier()], stdin="n\n")
    assert (refused.code, refused.patches) == (1, [])
    agreed = run("cache", "flush", "hot", "--flush-all", "hot", objects=[tier()], stdin="y\n")
    assert written(agreed.patches)["flushAll"] == "hot"


def test_a_second_flush_waits_for_the_first(run: Run) -> None:
    wish = {"name": "model-2", "tag": "model"}
    ran = run("cache", "flush", "hot", "--tag", "model", objects=[tier(spec={"flush": wish}, **FULL)])
    assert (ran.code, ran.patches) == (1, [])
    assert "flush model-2 of hot is running" in ran.err
    stopped = run("cache", "flush", "hot", "--stop", objects=[tier(spec={"flush": wish}, **FULL)])
    assert written(stopped.patches)["stop"] is True
    assert written(stopped.patches)["name"] == "model-2"


def test_a_name_that_was_done_is_not_done_again(run: Run) -> None:
    past = tier(flushes=[DONE], conditions=conditions())
    ran = run("cache", "flush", "hot", "--tag", "model", "--name", "model-1", objects=[past])
    assert (ran.code, ran.patches) == (1, [])
    assert "each is done once" in ran.err
    stopped = run(
        "cache",
        "flush",
        "hot",
        "--stop",
        objects=[tier(spec={"flush": {"name": "model-1", "tag": "a"}}, flushes=[DONE], conditions=conditions())],
    )
    assert (stopped.code, stopped.patches) == (1, [])


def test_programs_are_told_the_name(run: Run) -> None:
    ran = run("cache", "flush", "hot", "--tag", "model", "--name", "mine", "-o", "json", objects=[tier()])
    assert json.loads(ran.out) == {"cacheTier": "hot", "flush": "mine"}
