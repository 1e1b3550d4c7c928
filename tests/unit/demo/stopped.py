"""A demo that waits to be stopped, in a process of its own: `python -m tests.unit.demo.stopped FOLDER`.

It writes `playing` when the load is on, `cleaning` when the clean-up begins, `clean` when that has ended.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hack.cluster import console
from hack.demo.__main__ import main
from tests.unit.demo.fakes import FakeApi, FakeCluster


def run(folder: Path) -> int:
    """Run it and return the exit code."""
    cluster = FakeCluster(FakeApi())

    def play() -> None:
        (folder / "playing").touch()
        time.sleep(60)

    def clean() -> None:
        (folder / "cleaning").touch()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            time.sleep(0.02)
        console.say("cleaned")
        (folder / "clean").touch()

    cluster.api.before[3], cluster.down = play, clean
    with pytest.MonkeyPatch.context() as patch:
        cluster.install(patch, folder)
        return main(("--rate", "1"))


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
