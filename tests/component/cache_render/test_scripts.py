"""The scripts of a node: what it starts with on its disk, and what the kubelet is told."""

from __future__ import annotations

import signal

import pytest
from redis.exceptions import ReadOnlyError

from hack.rig import postgres_base as base
from hack.rig.redis_base import Flavor
from hack.rig.waiting import until
from sophia_operator.core.cache import conf
from tests.component.cache_render.node import Node, node

FLAVORS = pytest.mark.parametrize("flavor", list(Flavor))


def fill(primary: Node, keys: int = 1) -> None:
    primary.promote()
    with primary.applications() as client:
        for number in range(keys):
            client.set(f"key-{number}", "value")


def keys_after_a_restart(running: Node, how: signal.Signals = signal.SIGTERM) -> int:
    running.stop(how)
    running.start()
    return int(running.call("DBSIZE"))


@FLAVORS
@pytest.mark.parametrize(("persistence", "kept"), [("None", 0), ("Snapshot", 1), ("AppendOnly", 1)])
def test_what_is_there_after_a_restart(flavor: Flavor, persistence: str, kept: int) -> None:
    with node(flavor, persistence=persistence) as running:
        fill(running)
        assert keys_after_a_restart(running) == kept
        with pytest.raises(ReadOnlyError), running.applications() as client:
            client.set("key", "value")


@FLAVORS
def test_what_an_earlier_setting_left_is_not_read(flavor: Flavor) -> None:
    with node(flavor, persistence="AppendOnly") as running:
        fill(running)
        running.call("SAVE")
        assert {path.name for path in running.data.iterdir()} == {"appendonlydir", "dump.rdb"}
        running.stop()
        running.change(persistence="None")
        running.start()
        assert running.call("DBSIZE") == 0
        assert not list(running.data.iterdir())


@FLAVORS
def test_what_a_replica_was_sent_is_not_read_when_it_starts_again(flavor: Flavor) -> None:
    with node(flavor) as primary, node(flavor) as replica:
        fill(primary)
        replica.follow(primary)
        assert replica.call("DBSIZE") == 1
        assert keys_after_a_restart(replica, signal.SIGKILL) == 0


@FLAVORS
def test_a_snapshot_is_read_although_no_log_is_kept(flavor: Flavor) -> None:
    with node(flavor, persistence="Snapshot") as running:
        fill(running)
        running.call("SAVE")
        assert keys_after_a_restart(running, signal.SIGKILL) == 1


@FLAVORS
def test_a_node_that_reads_its_data_is_alive_and_not_ready(flavor: Flavor) -> None:
    with node(flavor, persistence="Snapshot") as running:
        fill(running, 2000)
        running.stop()
        file = running.folder / conf.CONF
        slow = "key-load-delay 20000\nloading-process-events-interval-bytes 1024\n"
        base.write(file, file.read_text() + slow)
        running.launch()
        until("it to answer", lambda: running.probe("alive"), seconds=10, every=0.02)
        assert not running.probe("ready")
        assert running.is_loading()


@FLAVORS
def test_probes_of_a_node_that_answers_to_others_or_to_nobody(flavor: Flavor) -> None:
    with node(flavor) as running:
        assert running.probe("ready")
        assert running.probe("alive")
        assert not running.probe("ready", "a guess")
        # It answers: it is not to be killed for a password that changed below it.
        assert running.probe("alive", "a guess")
        running.stop(signal.SIGKILL)
        assert not running.probe("ready")
        assert not running.probe("alive")
