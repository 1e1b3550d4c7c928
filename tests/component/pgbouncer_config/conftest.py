from __future__ import annotations

from collections.abc import Iterator

import pytest

from hack.rig.postgres import Postgres, primary


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A PostgreSQL for all tests of a file."""
    with primary() as running:
        yield running
