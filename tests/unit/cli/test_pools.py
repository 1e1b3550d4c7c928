"""Connection pools on the command line: the pictures that people see, and the exit codes that scripts see."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.support.objects import NAMESPACE, ago, condition
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_pictures import FOLDER, compare

Json = dict[str, Any]


def pool(name: str = "orders", *, metadata: Json | None = None, spec: Json | None = None, **status: Any) -> Json:
    database = {"host": "db.example.com", "name": "orders", "credentialsSecretRef": {"name": "orders-db"}}
    meta = {"name": name, "namespace": NAMESPACE, "generation": 1, "creationTimestamp": ago(86_400)}
    out: Json = {
        "apiVersion": "sophia.ai/v1alpha1",
        "kind": "ConnectionPool",
        "metadata": {**meta, **(metadata or {})},
        "spec": {"database": database, **(spec or {})},
    }
    return {**out, "status": {"observedGeneration": 1, **status}} if status else out


def conditions(**other: Json) -> list[Json]:
    """All good, but for these."""
    good = {
        "Ready": condition("Ready", "True", "PoolReady", "2 of 2 instances are ready and verified"),
        "Healthy": condition("Healthy", "True", "ChecksPassed", "the server and 2 instances answer"),
        "RoleCorrect": condition("RoleCorrect", "True", "RoleVerified", "a primary, through 2 of 2 instances"),
        "WithinBudget": condition("WithinBudget", "True", "BudgetKept", "26 of 60 connections"),
        "ConfigApplied": condition("ConfigApplied", "True", "ConfigConfirmed", "2 of 2 instances"),
    }
    return list((good | other).values())


def member(name: str, **fields: Any) -> Json:
    seen = {"version": "1.18.0", "roleCorrect": True, "configCurrent": True, "inUse": 3, "size": 10, "clients": 12}
    return {"name": name, "ready": True, **seen, **fields}


def statement(query: str, **fields: Any) -> Json:
    return {"queryId": query, "calls": 120, "meanMs": "340.5", "rowsPerCall": "12", **fields}


FULL: Final[Json] = {
    "instances": 2,
    "readyInstances": 2,
    "ready": "2/2",
    "usage": "7/20",
    "size": 20,
    "inUse": 7,
    "waiting": 1,
    "utilizationPercent": 35,
    "hitPercent": 99,
    "score": 90,
    "scoreParts": [
        {"name": "role", "points": 40, "of": 40},
        {"name": "latency", "points": 5, "of": 15, "why": "95 of 100 queries took up to 180 ms"},
    ],
    "connectMs": {"p50": "1.2", "p95": "3.4"},
    "queryMs": {"p50": "0.8", "p95": "180"},
    "server": {"address": "192.0.2.7", "role": "Primary", "version": "15.4", "maxConnections": 100},
    "members": [member("orders-pool-6d4b-xk2"), member("orders-pool-6d4b-a9c", inUse=4, waiting=1, clients=1)],
    "binding": {"name": "orders-pool-binding"},
    "budget": {
        "wanted": 36,
        "granted": 26,
        "available": 26,
        "holders": [{"name": "shop/reports", "connections": 60}, {"name": "others", "connections": 11}],
    },
    "reconnects": [
        {
            "cause": "the server was promoted",
            "startedAt": ago(4000),
            "serverAt": ago(3999),
            "endedAt": ago(3997),
            "attempts": 1,
        }
    ],
    "insights": {
        "available": True,
        "slow": [statement("-771", text="SELECT * FROM orders WHERE state = $1")],
        "repeated": [
            statement("42", calls=4800, meanMs="0.4", rowsPerCall="1", follows="-771", text="SELECT * FROM items")
        ],
    },
    "conditions": conditions(),
}
LOST: Final = "no server answers at db.example.com:5432: connection refused"
RECONNECTING: Final[Json] = {
    **FULL,
    "server": {"address": "192.0.2.8", "role": "Standby", "version": "15.4", "replicationLagSeconds": 1},
    "members": [
        member("orders-pool-6d4b-xk2", roleCorrect=False, message="holds a standby"),
        {"name": "orders-pool-6d4b-a9c", "ready": False, "message": "does not answer"},
    ],
    "budget": {"wanted": 36, "granted": 36},
    "reconnect": {"phase": "Waiting", "cause": "the server does not answer", "startedAt": ago(12), "attempt": 3},
    "reconnects": [],
    "insights": {"available": False, "message": "pg_stat_statements is not installed: CREATE EXTENSION"},
    "conditions": conditions(
        Ready=condition("Ready", "False", "ServerLost", LOST),
        Reconciling=condition("Reconciling", "True", "ServerLost", LOST),
        Healthy=condition("Healthy", "False", "ServerLost", LOST),
        RoleCorrect=condition("RoleCorrect", "Unknown", "ServerLost", LOST),
    ),
}
PAUSED: Final[Json] = {
    "pause": {"since": ago(20), "until": ago(-100)},
    "conditions": conditions(
        Ready=condition("Ready", "True", "PoolReady", "clients are served"),
        Paused=condition("Paused", "True", "PausedBySpec", "clients wait until 03:15:40 UTC at the latest"),
    ),
}
SCENES: Final = {
    "healthy": pool(**FULL),
    "reconnecting": pool(**RECONNECTING),
    "paused": pool(spec={"paused": True}, **PAUSED),
    "unseen": pool(),
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_picture_of_a_pool(run: Run, scene: str) -> None:
    shown = run("pool", "orders", objects=[SCENES[scene]])
    assert shown.code == (1 if scene == "reconnecting" else 0)
    compare(f"pools/{scene}", f"exit code {shown.code}\n\n{shown.out}")


def test_every_picture_of_a_pool_is_of_a_scene() -> None:
    assert {file.stem for file in (FOLDER / "pools").glob("*.txt")} == {*SCENES, "list"}


def test_the_list_of_pools(run: Run) -> None:
    objects = [pool(**FULL), pool("new"), pool("other", metadata={"namespace": "chat"}, **RECONNECTING)]
    shown = run("pool", "-A", objects=objects)
    assert shown.code == 0
    compare("pools/list", shown.out)
    here = run("pool", objects=objects).out
    assert "orders" in here
    assert "other" not in here


def test_without_pools_it_says_so(run: Run) -> None:
    assert run("pool").out == f"no ConnectionPools in namespace {NAMESPACE}\n"
    assert run("pool", "-A").out == "no ConnectionPools anywhere\n"


def test_programs_get_the_object_as_it_is(run: Run) -> None:
    shown = run("pool", "orders", "-o", "json", objects=[SCENES["reconnecting"]])
    assert (shown.code, json.loads(shown.out)) == (1, {"healthy": False, "pool": SCENES["reconnecting"]})
    listed = json.loads(run("pool", "-o", "json", objects=[SCENES["healthy"]]).out)
    assert listed == {"apiVersion": "v1", "kind": "List", "items": [SCENES["healthy"]]}


def test_a_pool_that_is_not_there_is_an_error(run: Run) -> None:
    shown = run("pool", "gone", objects=[SCENES["healthy"]])
    assert (shown.code, shown.err) == (2, f"error: ConnectionPool {NAMESPACE}/gone: not found\n")


def test_a_name_and_every_namespace_do_not_go_together(run: Run) -> None:
    assert run("pool", "orders", "-A", objects=[SCENES["healthy"]]).code == 2


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, 0),
        ({"WithinBudget": condition("WithinBudget", "False", "OverBudget", "held to 26")}, 1),
        ({"RoleCorrect": condition("RoleCorrect", "False", "WrongRole", "a standby")}, 1),
        ({"Healthy": condition("Healthy", "Unknown", "NotChecked", "not yet")}, 0),
        ({"Ready": condition("Ready", "False", "InstancesNotReady", "1 of 2")}, 1),
        ({"Stalled": condition("Stalled", "True", "SecretNotFound", "create it")}, 1),
        (
            {
                "Ready": condition("Ready", "False", "ReplacingInstances", "1 of 2"),
                "Reconciling": condition("Reconciling", "True", "ReplacingInstances", "1 of 2"),
            },
            0,
        ),
    ],
)
def test_the_exit_code_says_whether_clients_are_served(run: Run, changed: Json, code: int) -> None:
    assert run("pool", "orders", objects=[pool(conditions=conditions(**changed))]).code == code
