"""Redis and Valkey of the rig are the real ones, and do what the rig says."""

from __future__ import annotations

import pytest
import redis

from hack.rig.redis import replica_of, server
from hack.rig.redis_base import Flavor
from hack.rig.waiting import until

FLAVORS = pytest.mark.parametrize("flavor", list(Flavor))


@FLAVORS
def test_a_replica_takes_over(flavor: Flavor) -> None:
    with server(flavor) as primary, replica_of(primary) as replica:
        primary.call("SET", "key", "value")
        until("the key", lambda: replica.call("GET", "key") == b"value", seconds=10, every=0.01)
        primary.call("FAILOVER", "TO", replica.host, replica.port)
        until("the other role", lambda: replica.info("replication")["role"] == "master", seconds=10, every=0.01)
        primary.wait_in_sync()
        assert primary.info("server").get("valkey_version" if flavor is Flavor.VALKEY else "redis_version")


@FLAVORS
def test_one_that_is_suspended_answers_later(flavor: Flavor) -> None:
    with server(flavor) as running, running.client(timeout=0.1) as client:
        run = running.info("server")["run_id"]
        running.suspend()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        running.resume()
        running.wait_ready()
        assert running.info("server")["run_id"] == run
        running.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        running.start()
        assert running.info("server")["run_id"] != run


@FLAVORS
def test_it_speaks_nothing_but_tls(flavor: Flavor) -> None:
    with server(flavor, tls=True) as primary, replica_of(primary) as replica:
        assert replica.call("PING")
        with pytest.raises(redis.ConnectionError), primary.client(ssl=False) as client:
            client.ping()
