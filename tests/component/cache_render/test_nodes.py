"""What is rendered for a node, as real servers take it: Redis 7 and Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, ResponseError

from hack.rig import redis as rig
from hack.rig.redis_base import Flavor
from hack.rig.waiting import until
from sophia_operator.core.cache import names
from sophia_operator.core.cache.settings import DEFAULTS, live_settings
from tests.component.cache_render.node import HOST, Node, node

FLAVORS = list(Flavor)
PLAIN_AND_TLS = pytest.mark.parametrize("managed", [{}, {"tls": {"secretName": "hot-tls"}}], ids=["plain", "tls"])

ALLOWED_TO_APPLICATIONS = [
    *("SET k v EX 60", "GET k", "MGET k other", "EXPIRE k 50", "TTL k", "INCR counter", "SCAN 0 MATCH emb:*"),
    *("UNLINK k", "DEL other", "DBSIZE", "INFO memory", "ROLE", "MEMORY USAGE counter", "OBJECT IDLETIME counter"),
    *("HSET hash f v", "ZADD sorted 1 m", "PUBLISH channel message", "CLIENT ID", "CLIENT SETNAME shop", "PING"),
    *("CLIENT TRACKING ON BCAST", "COPY counter copied", "XADD stream * f v", "WAIT 0 1"),
]
DENIED_TO_APPLICATIONS = [
    *("CONFIG GET maxmemory", "CONFIG SET maxmemory 0", "FLUSHALL", "FLUSHDB", "KEYS *", "MONITOR", "SAVE"),
    *("REPLICAOF NO ONE", "FAILOVER", "SHUTDOWN NOSAVE", "ACL LIST", "ACL LOAD", "CLIENT KILL TYPE normal"),
    *("CLIENT LIST", "CLIENT PAUSE 1", "SWAPDB 0 0", "PSYNC ? -1", "REPLCONF ACK 0", "SYNC"),
    *("MODULE LIST", "MIGRATE 127.0.0.1 1 k 0 1", "BGREWRITEAOF", "SLOWLOG RESET", "LATENCY RESET"),
]


@pytest.fixture(scope="module", params=FLAVORS)
def primary(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node that was made the primary, and has no replica."""
    with node(request.param) as made:
        made.promote()
        yield made


@pytest.mark.parametrize("flavor", FLAVORS)
@PLAIN_AND_TLS
def test_a_node_that_was_just_started_accepts_no_writes(flavor: Flavor, managed: dict[str, Any]) -> None:
    with node(flavor, **managed) as fresh:
        assert fresh.probe("ready")
        with pytest.raises(ReadOnlyError), fresh.applications() as client:
            client.set("key", "value")
        # Made a primary by whomever, it waits for a replica, or for the operator to tell it otherwise.
        fresh.promote(alone=False)
        with pytest.raises(ResponseError, match="NOREPLICAS"), fresh.applications() as client:
            client.set("key", "value")
        fresh.call("CONFIG", "SET", names.MIN_REPLICAS, 0)
        with fresh.applications() as client:
            assert client.set("key", "value")
        # What comes back is no second primary, whatever it was before.
        fresh.stop()
        fresh.start()
        with pytest.raises(ReadOnlyError), fresh.applications() as client:
            client.set("key", "value")


def _is_set(client: redis.Redis, key: str, value: str) -> bool:
    try:
        return bool(client.set(key, value))
    except ResponseError as error:
        if "NOREPLICAS" in str(error):
            return False
        raise


@pytest.mark.parametrize("flavor", FLAVORS)
@PLAIN_AND_TLS
def test_a_replica_follows_and_takes_over(flavor: Flavor, managed: dict[str, Any]) -> None:
    with node(flavor, **managed) as one, node(flavor, **managed) as two:
        one.promote()
        two.follow(one)
        one.call("CONFIG", "SET", names.MIN_REPLICAS, 1)
        until("the replica to count", lambda: one.replication()["min_slaves_good_slaves"] == 1, seconds=10, every=0.02)
        assert one.replication()["slave0"]["ip"] == HOST
        with one.applications() as client:
            assert client.set("key", "value")
            assert client.wait(1, 5000) == 1
        one.call("FAILOVER", "TO", HOST, two.port, "TIMEOUT", 5000)
        until("the old primary to follow", one.follows, seconds=10, every=0.02)
        with two.applications() as client:
            assert client.get("key") == "value"
            # At once: the old primary is its replica, and counts already or will within a second.
            until("a write to be accepted", lambda: _is_set(client, "key", "newer"), seconds=10, every=0.02)
        with pytest.raises(ReadOnlyError), one.applications() as client:
            client.set("key", "older")


@pytest.mark.parametrize("flavor", FLAVORS)
def test_with_tls_nobody_gets_in_without_it(flavor: Flavor) -> None:
    with (
        node(flavor, tls={"secretName": "hot-tls"}) as running,
        pytest.raises(redis.ConnectionError),
        redis.Redis(HOST, running.port, socket_timeout=5) as plain,
    ):
        plain.ping()


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "snapshots": {"persistence": "Snapshot", "evictionPolicy": "VolatileLFU", "maxMemoryMegabytes": 1},
    "log": {"persistence": "AppendOnly", "evictionPolicy": "NoEviction", "maxMemoryMegabytes": 1_048_576},
    "parameters": {
        "parameters": {
            "maxclients": "200",
            "notify-keyspace-events": "KEdtexzhsl$g",
            "lazyfree-lazy-expire": "no",
            "hz": "25",
            "timeout": "300",
            "hll-sparse-max-bytes": "16000",
            "tracking-table-max-keys": "0",
        }
    },
    "few events": {"parameters": {"notify-keyspace-events": "sKlx"}},
}


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_node_starts_with_its_settings_and_says_them_as_they_are_written(flavor: Flavor, change: str) -> None:
    with node(flavor, **CHANGES[change]) as running:
        assert running.settings() == live_settings(running.tier)


@pytest.mark.parametrize("change", CHANGES)
def test_settings_are_taken_live_in_one_command_and_taken_back(primary: Node, change: str) -> None:
    before = primary.tier
    primary.change(**CHANGES[change])
    wanted = live_settings(primary.tier)
    primary.call("CONFIG", "SET", *(word for pair in wanted.items() for word in pair))
    assert primary.settings() == wanted
    primary.tier = before
    back = live_settings(before)
    primary.call("CONFIG", "SET", *(word for pair in back.items() for word in pair))
    assert primary.settings() == back


def test_what_is_not_given_is_as_redis_has_it() -> None:
    with rig.server(Flavor.REDIS) as plain, plain.client(decode_responses=True) as client:
        found = client.config_get(*DEFAULTS)
    other = {name: value for name, value in DEFAULTS.items() if found[name] != value}
    assert set(other) == {name for name in DEFAULTS if name.startswith("lazyfree-")}


@pytest.mark.parametrize("command", ALLOWED_TO_APPLICATIONS)
def test_applications_may(primary: Node, command: str) -> None:
    with primary.applications(protocol=3) as client:
        client.execute_command("SET", "counter", "1")
        # None of them is refused: that would be an error. Of two, nothing is the answer.
        answer = client.execute_command(*command.split())
        assert answer is not None or command in ("GET k", "MEMORY USAGE counter")


@pytest.mark.parametrize("command", DENIED_TO_APPLICATIONS)
def test_applications_may_not(primary: Node, command: str) -> None:
    with primary.applications() as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


def test_applications_run_scripts_and_learn_of_changes(primary: Node) -> None:
    with primary.applications() as client, client.pubsub() as listening:
        assert client.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "scripted", "1") == "OK"
        with pytest.raises(ResponseError, match=r"can't run this command|ACL"):
            client.eval("return redis.call('FLUSHALL')", 0)
        listening.subscribe("__redis__:invalidate")
        assert listening.get_message(timeout=5) is not None


def test_every_key_is_where_the_operator_looks(primary: Node) -> None:
    with primary.applications() as client, pytest.raises(ResponseError, match="out of range"):
        client.execute_command("SELECT", "1")


@pytest.mark.parametrize("user", [names.PROBER, names.REPLICATOR])
def test_probes_and_replicas_read_nothing(primary: Node, user: str) -> None:
    passwords = {names.PROBER: primary.access.prober_password, names.REPLICATOR: primary.access.replicator_password}
    with primary.client(user, passwords[user]) as client:
        assert client.ping()
        for command in ("GET key", "SET key value", "INFO", "CONFIG GET maxmemory", "ACL WHOAMI", "CLIENT LIST"):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())


def test_whoever_does_not_say_who_he_is_gets_nothing(primary: Node) -> None:
    with redis.Redis(HOST, primary.port, socket_timeout=5) as nobody, pytest.raises(AuthenticationError):
        nobody.execute_command("PING")
    with (
        primary.client(names.client_user("hot"), "a guess") as client,
        pytest.raises(AuthenticationError),
    ):
        client.execute_command("PING")


def test_new_users_are_taken_live(primary: Node) -> None:
    before = primary.access
    try:
        primary.give(client_password="another")
        primary.call("ACL", "LOAD")
        with primary.applications() as client:
            assert client.ping()
        primary.access = before
        with primary.applications() as client, pytest.raises(AuthenticationError):
            client.execute_command("PING")
    finally:
        primary.access = before
        primary.write()
        primary.call("ACL", "LOAD")
