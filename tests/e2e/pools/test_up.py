"""A pool comes up: applications get what they need, and people see how it is."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hack.cluster import binaries, paths
from hack.cluster.kubectl import Kubectl
from hack.rig.databases import DATABASE
from hack.rig.pools import PORT, Pool, condition_of

Make = Callable[..., Pool]
#: Nothing else in the Secret is so long.
_PASSWORD_LENGTH = 16


def test_pool_is_ready_and_its_binding_is_all_that_an_application_needs(pooled: Make) -> None:
    pool = pooled()
    found = pool.object()
    for kind in ("Ready", "Healthy", "RoleCorrect", "WithinBudget", "ConfigApplied"):
        assert (condition_of(found, kind) or {}).get("status") == "True", kind
    status = found["status"]
    assert (status["ready"], status["server"]["role"]) == ("2/2", "Primary")
    # Everything but latency, which is the machine's.
    assert status["score"] == sum(part["points"] for part in status["scoreParts"]) >= 85
    assert {m["name"]: (m["roleCorrect"], m["configCurrent"]) for m in status["members"]} == dict.fromkeys(
        pool.addresses(), (True, True)
    )
    secret = pool.api.get("Secret", pool.namespace, status["binding"]["name"])
    assert secret is not None
    assert secret["type"] == "servicebinding.io/postgresql"
    binding = pool.binding()
    assert binding["type"] == "postgresql"
    assert (binding["host"], binding["port"]) == (f"orders-pool.{pool.namespace}.svc", str(PORT))
    assert binding["database"] == DATABASE
    assert binding["password"] != pool.database.password
    with pool.connect() as connection:
        row = connection.execute("SELECT current_database(), host(inet_server_addr())").fetchone()
        assert row == (DATABASE, pool.database.address(pool.database.primary()))
    # What the uri says and what the other keys say is the same.
    keys = {"host": "host", "port": "port", "dbname": "database", "user": "username", "password": "password"}
    parts = {name: binding[key] for name, key in keys.items()}
    with psycopg.connect(make_conninfo("", hostaddr=pool.service_address(), **parts), connect_timeout=5) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for address in pool.addresses().values():
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            pool.connect(address, password="wrong")


def test_pool_tells_nobody_a_password(pooled: Make) -> None:
    pool = pooled()
    access = pool.api.get("Secret", pool.namespace, "orders-pool-access")
    assert access is not None
    made = {base64.b64decode(value).decode() for value in access["data"].values()}
    assert pool.binding()["password"] in made
    passwords = {pool.database.password, *(value for value in made if len(value) >= _PASSWORD_LENGTH)}
    assert len(passwords) >= 3
    told = [str(pool.object()), *(str(pod) for pod in pool.pods())]
    told += [str(event) for event in pool.api.list("Event", pool.namespace)]
    told += [pool.api.logs(pool.namespace, name) for name in pool.addresses()]
    (operator,) = pool.api.list("Pod", "sophia-system", "app.kubernetes.io/name=sophia-operator")
    told.append(pool.api.logs("sophia-system", operator["metadata"]["name"]))
    for password in passwords:
        assert not [text[:200] for text in told if password in text]


def test_pool_reads_well_in_kubectl(pooled: Make) -> None:
    pool = pooled(autosize={"enabled": False})
    # Latencies are read after the first checks that make a pool ready.
    pool.wait("to show the time of a query", lambda found: found["status"].get("queryMs"))
    kubectl = Kubectl(binaries.view(), paths.kubeconfig())
    wide = kubectl.call("get", "cpool", "orders", f"--namespace={pool.namespace}", "--output=wide")
    heads, row = wide.splitlines()
    assert heads.split()[:4] == ["NAME", "READY", "HEALTHY", "IN"]
    for column in ("WAITING", "ROLE", "SCORE", "SERVER", "REASON", "MESSAGE", "AGE"):
        assert column in heads.split()
    address = pool.database.address(pool.database.primary())
    score = str(pool.status()["score"])
    assert re.search(r"\b\d/8\b", row), wide
    for word in ("orders", "2/2", "True", "ReadWrite", score, address, "PoolReady"):
        assert word in row.split(), wide
    described = kubectl.call("describe", "cpool", "orders", f"--namespace={pool.namespace}")
    for word in ("Role Correct", "Within Budget", "Query Ms", "Score Parts", "Server:"):
        assert word.replace(" ", "") in described.replace(" ", ""), described


def test_pool_of_a_server_that_takes_nobody_without_tls(pooled: Make) -> None:
    verified = {"sslMode": "VerifyFull", "caSecretRef": {"name": "pg-tls"}}
    pool = pooled(tls=True, server={"tls_required": 1}, changes=verified)
    with pool.connect() as connection:
        ways = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.execute(ways).fetchone() == (True,)
    assert (pool.condition("Healthy") or {}).get("status") == "True"
