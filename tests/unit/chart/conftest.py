"""Provides helm before the first test that runs it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from hack.cluster import binaries


def pytest_collection_finish(session: pytest.Session) -> None:
    """On a bare machine that takes minutes, and says so; no test's time limit covers it."""
    if session.config.option.collectonly or not any(
        Path(__file__).parent in item.path.parents for item in session.items
    ):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        binaries.ensure(["helm", "kubectl"])
