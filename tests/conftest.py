"""What all tests share."""

from __future__ import annotations

import os

import pytest

from hack.cluster import bringup
from hack.cluster.providers import choose
from tests.support.apiserver import pytest_collection_finish as pytest_collection_finish  # noqa: PLC0414 - a hook

KEEP = "SOPHIA_KEEP_CLUSTER"
_WAS_UP = pytest.StashKey[bool]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember, in the process that starts the others, whether a cluster was there before."""
    if not hasattr(session.config, "workerinput"):
        session.config.stash[_WAS_UP] = choose.remembered() is not None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take the cluster away when these tests brought it up."""
    if hasattr(session.config, "workerinput") or session.config.stash[_WAS_UP] or os.environ.get(KEEP):
        return
    if choose.remembered() is not None:
        bringup.down()
