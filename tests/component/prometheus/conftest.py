from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.prometheus import histories, server


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prometheus that has every history in its store."""
    folder: Path = tmp_path_factory.mktemp("prometheus") / "data"
    server.backfill(folder, histories.ALL)
    with server.running(folder) as address:
        yield address
