"""What all tests share."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest
from hypothesis import settings

from tests.support import own_cluster
from tests.support.apiserver import pytest_collection_finish as pytest_collection_finish  # noqa: PLC0414 - a hook

pytest_plugins = ["tests.support.repeats"]

# Whole runs have a time limit; that one example took long on a busy machine says nothing. Each run draws the same
# examples, so that a change is judged by itself; `make test-search` draws others each time, to find what is not known.
settings.register_profile("search", deadline=None)
settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")

#: Tests here wait for real programs most of their time.
_COMPONENT = Path(__file__).parent / "component"
_WAITING = tuple(
    _COMPONENT / name
    for name in (
        *("cache_real", "cache_render", "cache_table", "cache_work_real", "redis_adapter", "redis_settings"),
        *("pool_real", "pools", "pgbouncer_config"),
        *("model_litellm", "model_portkey"),
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what can run beside tests that wait as well."""
    for item in items:
        if any(folder in item.path.parents for folder in _WAITING):
            item.add_marker(pytest.mark.waits)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Give the run a name, in the process that starts the others."""
    if not hasattr(session.config, "workerinput"):
        own_cluster.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take the cluster away when these tests brought it up."""
    if not hasattr(session.config, "workerinput"):
        own_cluster.take_away()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add the books of all tests up."""
    sums = {"sent": 0, "lost": 0, "repeated": 0, "lost_by_crash": 0, "app_errors": 0}
    sums |= {"transactions": 0, "transactions_lost": 0, "cache_writes": 0, "cache_refusals": 0, "cache_lost": 0}
    sums |= {"model_requests": 0, "model_failed": 0}
    found = [r for reports in terminalreporter.stats.values() for r in reports if getattr(r, "when", "") == "teardown"]
    noted = [pair for report in found for pair in report.user_properties]
    for key, value in noted:
        if key in sums:
            sums[key] += int(value)
    if sums["cache_writes"]:
        terminalreporter.write_line(
            f"caches: {sums['cache_writes']} writes acknowledged, {sums['cache_refusals']} refused and repeated, "
            f"{sums['cache_lost']} lost, all with primaries that were killed"
        )
    if sums["sent"]:
        terminalreporter.write_line(
            f"load: {sums['sent']} requests sent, {sums['lost']} lost, {sums['repeated']} sent twice, as their kept "
            f"connection had closed; made on purpose: {sums['app_errors']} errors, "
            f"{sums['lost_by_crash']} lost by a release that crashed under traffic"
        )
    if sums["transactions"]:
        terminalreporter.write_line(
            f"pools: {sums['transactions']} transactions committed, {sums['transactions_lost']} lost"
        )
    if sums["model_requests"]:
        terminalreporter.write_line(
            f"models: {sums['model_requests']} completions asked for, {sums['model_failed']} failed, all before "
            "a model that failed was left"
        )
    # From the decision to switch until every replica of the gateway was seen to follow.
    if proved := [float(value) for key, value in noted if key == "seconds_to_proof"]:
        terminalreporter.write_line(
            f"models: {len(proved)} switches proved, half of them in {median(proved):.1f} s, all in {max(proved):.1f} s"
        )
