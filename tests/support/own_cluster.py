"""Which run of the tests brought the cluster up: that one takes it away, and no other."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final
from uuid import uuid4

from hack.cluster import bringup, paths
from hack.cluster.providers import choose

#: A cluster that tests bring up stays, when it is set.
KEEP: Final = "SOPHIA_KEEP_CLUSTER"
#: Names a run of the tests to the processes that it starts.
RUN: Final = "SOPHIA_TEST_RUN"


def begin() -> None:
    """Give the run a name."""
    os.environ[RUN] = uuid4().hex


def bring_up() -> None:
    """Bring the cluster up, and note who did when there was none."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / ".tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = choose.remembered() is not None
        bringup.up()
        if not there:
            _note().write_text(os.environ[RUN])


def take_away() -> None:
    """Take the cluster away when this run brought it up."""
    if not os.environ.get(KEEP) and is_ours():
        bringup.down()


def is_ours() -> bool:
    """Whether there is a cluster, and this run brought it up."""
    return choose.remembered() is not None and _note().exists() and _note().read_text() == os.environ[RUN]


def _note() -> Path:
    return paths.state() / "brought-up-by"
