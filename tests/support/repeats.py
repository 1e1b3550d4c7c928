"""A test that failed may run once more (see docs/design/testing.md): with its whole time limit, nothing is hidden."""

from __future__ import annotations

from typing import Any

import pytest

_LIMIT = pytest.StashKey[Any]()
#: Subtests that failed in this run, in the process that tells of all tests.
_failed_parts: list[pytest.SubtestReport] = []


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """Remember a limit that covers the fixtures too: its timer is set once for all runs of a test."""
    if not settings.func_only:
        item.stash[_LIMIT] = settings


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin anew: else the second run had what the first one left, or no limit at all after one that ran out."""
    if getattr(item, "execution_count", 1) > 1 and (limit := item.stash.get(_LIMIT, None)) is not None:
        item.config.hook.pytest_timeout_cancel_timer(item=item)
        item.config.hook.pytest_timeout_set_timer(item=item, settings=limit)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what failed in a part of a test: what runs the test again takes that out of the books."""
    if isinstance(report, pytest.SubtestReport) and report.failed:
        _failed_parts.append(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the parts that failed in tests which ran once more; the plugin that runs them again shows the others."""
    failed = terminalreporter.stats.get("failed", [])
    for report in _failed_parts:
        if not any(report is other for other in failed):
            terminalreporter.write_sep("_", f"RERUN {report.nodeid} [{report.context.msg}]")
            terminalreporter.write_line(report.longreprtext)
