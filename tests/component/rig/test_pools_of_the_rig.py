"""What end-to-end tests rely on, against a real API server: objects that it takes, and waits that see what it tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from hack.cluster import paths
from hack.demo.figures import seconds_of
from hack.rig import database_objects as objects
from hack.rig.api import Api, ApiError
from hack.rig.databases import Database
from hack.rig.pools import Pool, behind
from tests.support.apiserver import apiserver as apiserver  # noqa: PLC0414 - a fixture, handed on by its name

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def api(apiserver: Path) -> Iterator[Api]:
    """The API server, with our kinds."""
    with Api(apiserver) as client:
        name = "connectionpools.sophia.ai"
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        crd = (paths.REPOSITORY / "crds" / f"{name}.yaml").read_text()
        headers = {"content-type": "application/apply-patch+yaml"}
        how = {"fieldManager": "test", "force": "true"}
        client.request("PATCH", f"{path}/{name}", params=how, content=crd, headers=headers)

        def served() -> bool:
            conditions = client.request("GET", f"{path}/{name}").get("status", {}).get("conditions") or []
            return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

        client.until("the kind to be served", served, seconds=30)
        yield client


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace with restricted Pod Security."""
    name = f"rig-{uuid4().hex[:12]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}})
    return name


@pytest.fixture
def pool(api: Api, namespace: str) -> Pool:
    """A pool that was applied; nobody looks after it."""
    made = Pool(Database(api, namespace))
    made.apply()
    return made


def say(pool: Pool, **status: Any) -> None:
    """Write a status, as the operator does."""
    pool.api.merge("ConnectionPool", pool.namespace, pool.name, {"status": status}, sub="status")


def condition(kind: str, status: str, reason: str, generation: int = 1, message: str = "") -> dict[str, Any]:
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": moment,
    }


def later(what: Callable[[], None]) -> threading.Thread:
    """Do it in a moment, beside what waits for it."""
    thread = threading.Timer(0.3, what)
    thread.start()
    return thread


def test_servers_keep_to_restricted_pod_security(api: Api, namespace: str) -> None:
    database = Database(api, namespace)
    database._tls = True
    database._apply_secrets()
    for role in ("primary", "standby"):
        env = {"ROLE": role, "PRIMARY_HOST": database.host}
        pod = objects.pod(f"pg-{role}", namespace, database._labels(role), env=env, passwords="pg-server", tls="pg-tls")
        api.apply(pod)
    api.apply(objects.service("pg", namespace, database._labels("primary")))
    assert (database.primary(), database.standby()) == ("pg-primary", "pg-standby")
    database.lead_to("pg-standby")
    assert database.primary() == "pg-standby"
    found = api.get("Secret", namespace, "pg-tls")
    assert found is not None
    assert set(found["data"]) == {"tls.crt", "tls.key", "ca.crt"}


def test_credentials_lose_a_key_and_get_it_back(api: Api, namespace: str) -> None:
    database = Database(api, namespace)
    for changes, keys in (({}, {"username", "password"}), ({"password": None}, {"username"})):
        database.set_credentials(**changes)
        found = api.get("Secret", namespace, database.credentials)
        assert found is not None
        assert set(found["data"]) == keys


def test_wait_sees_what_is_there_and_what_comes(pool: Pool) -> None:
    say(pool, conditions=[condition("RoleCorrect", "True", "RoleVerified")])
    assert pool.wait_condition("RoleCorrect", "True", seconds=5)["reason"] == "RoleVerified"
    changed = later(lambda: say(pool, conditions=[condition("RoleCorrect", "False", "WrongRole", message="mend it")]))
    began = time.monotonic()
    pool.wait_condition("RoleCorrect", "False", "WrongRole", seconds=20)
    assert time.monotonic() - began < 10
    changed.join()
    assert pool.wait_reason("WrongRole", "mend it", seconds=5)


def test_wait_says_what_there_was_instead(pool: Pool) -> None:
    say(pool, conditions=[condition("Ready", "False", "HostUnknown")])
    with pytest.raises(TimeoutError, match=r"orders to have Ready=True.*HostUnknown"):
        pool.wait_condition("Ready", "True", seconds=1)


def test_what_was_said_of_an_older_spec_does_not_count(pool: Pool) -> None:
    say(pool, observedGeneration=1, conditions=[condition("Ready", "True", "PoolReady")])
    assert pool.wait_ready(seconds=5)
    pool.patch(size={"max": 9})
    with pytest.raises(TimeoutError):
        pool.wait_ready(seconds=1)
    with pytest.raises(TimeoutError):
        pool.wait_condition("Ready", "True", seconds=1)
    say(pool, observedGeneration=2, conditions=[condition("Ready", "True", "PoolReady", 2)])
    assert pool.wait_ready(seconds=5)


def test_reconnect_counts_when_it_ended_after_the_moment(pool: Pool) -> None:
    def past(ended: str) -> dict[str, Any]:
        return {"cause": "lost", "startedAt": ended, "endedAt": ended, "serverAt": ended, "attempts": 1}

    say(pool, reconnects=[past("2026-01-01T00:00:00.000000Z")])
    moment = seconds_of("2026-01-01T00:00:01Z")
    with pytest.raises(TimeoutError):
        pool.wait_reconnected(moment, seconds=1)
    say(pool, reconnects=[past("2026-01-01T00:00:00.000000Z"), past("2026-01-01T00:00:01.500000Z")])
    assert pool.wait_reconnected(moment, seconds=5)["endedAt"].startswith("2026-01-01T00:00:01.5")


@pytest.mark.parametrize(
    "changes",
    [
        {"sslMode": "VerifyFull", "caSecretRef": {"name": "pg-tls"}},
        {"host": "nowhere.invalid", "sslMode": "Disable"},
        {"port": 5433, "name": "nothing", "credentialsSecretRef": {"name": "nothing"}},
    ],
)
def test_pools_of_the_tests_are_taken(api: Api, namespace: str, changes: dict[str, Any]) -> None:
    """With what the tests change of them: what is wrong there only the cluster can know."""
    made = Pool(Database(api, namespace))
    spec = {
        "parameters": {"server_lifetime": "1200"},
        "budget": {"maxServerConnections": 11},
        "autosize": {"enabled": False},
        "role": "ReadOnly",
        "paused": True,
    }
    made.apply(database=behind(made.database, **changes), **spec)
    api.merge("ConnectionPool", namespace, made.name, {"spec": {"replicas": 3}}, sub="scale")
    assert made.object()["spec"]["instances"] == 3


def test_pool_that_cannot_be_is_refused(api: Api, namespace: str) -> None:
    with pytest.raises(ApiError) as refused:
        Pool(Database(api, namespace)).apply(size={"min": 9, "max": 8})
    assert refused.value.code == 422
    assert "size.min must be at most size.max" in refused.value.message


def test_events_are_those_about_the_pool(pool: Pool) -> None:
    for number, (about, reason) in enumerate((("orders", "OverBudget"), ("other", "OverBudget"), ("orders", "Slow"))):
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"e{number}", "namespace": pool.namespace},
            "involvedObject": {"kind": "ConnectionPool", "name": about, "namespace": pool.namespace},
            "reason": reason,
            "type": "Warning",
        }
        pool.api.request(
            "POST",
            f"/api/v1/namespaces/{pool.namespace}/events",
            content=yaml.safe_dump(event),
            headers={"content-type": "application/yaml"},
        )
    assert [e["metadata"]["name"] for e in pool.events("OverBudget")] == ["e0"]
