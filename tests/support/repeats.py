"""A test that failed may run once more (see docs/design/testing.md); it has its whole time limit then."""

from __future__ import annotations

from typing import Any

import pytest

_LIMIT = pytest.StashKey[Any]()


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
