"""A demo that needs no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.demo.fakes import FakeApi, FakeCluster


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """Nothing is up; what the demo brings up does as it should."""
    made = FakeCluster(FakeApi())
    made.install(monkeypatch, tmp_path)
    return made
