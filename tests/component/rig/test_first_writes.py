"""First writes count when they were committed at the server that was meant."""

from __future__ import annotations

import time

import pytest

from hack.rig.first_writes import CREATE, FirstWrites
from hack.rig.postgres import primary
from tests.component.rig.test_transactions import conninfo


def test_first_writes_after_a_failover_reach_the_new_server_and_no_other() -> None:
    with primary() as old, old.standby() as new:
        with old.connect() as connection:
            connection.execute(f"SET ROLE {old.user}")
            connection.execute(CREATE)
        new.wait_replayed(old)
        ways = {"old": conninfo(old), "new": conninfo(new)}
        with FirstWrites(ways, new.host, new.port) as writes:
            # The standby refuses writes, and those at the old primary do not count.
            with pytest.raises(TimeoutError, match=r"another server answered.*read-only"):
                writes.wait(0.5)
            promoted = time.time()
            new.promote()
            with pytest.raises(TimeoutError, match=r"'old'.*another server answered"):
                writes.wait(1.0)
        assert writes._found.keys() == {"new"}
        assert promoted < writes._found["new"] < promoted + 5
        assert new.sql("SELECT DISTINCT way FROM first_writes WHERE way = 'new'") == [("new",)]


def test_every_way_comes_through_though_connections_end() -> None:
    with primary() as server:
        with server.connect() as connection:
            connection.execute(f"SET ROLE {server.user}")
            connection.execute(CREATE)
        server.set(default_transaction_read_only="on")
        with FirstWrites({"a": conninfo(server), "b": conninfo(server)}, server.host) as writes:
            with pytest.raises(TimeoutError, match="read-only"):
                writes.wait(0.3)
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
            server.settings.pop("default_transaction_read_only")
            server.reload()
            assert writes.wait(10).keys() == {"a", "b"}
