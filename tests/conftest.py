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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add the books of all tests up."""
    sums = {"sent": 0, "lost": 0, "repeated": 0, "lost_by_crash": 0, "app_errors": 0}
    found = [r for reports in terminalreporter.stats.values() for r in reports if getattr(r, "when", "") == "teardown"]
    for key, value in (pair for report in found for pair in report.user_properties):
        if key in sums:
            sums[key] += int(value)
    if sums["sent"]:
        terminalreporter.write_line(
            f"load: {sums['sent']} requests sent, {sums['lost']} lost, {sums['repeated']} sent twice, as their kept "
            f"connection had closed; made on purpose: {sums['app_errors']} errors, "
            f"{sums['lost_by_crash']} lost by a release that crashed under traffic"
        )
