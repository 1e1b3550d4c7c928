"""Signals stop the demo, and never its clean-up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hack.demo.__main__ import main
from hack.rig.waiting import until
from tests.unit.demo.fakes import FakeCluster

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 30.0
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@contextmanager
def playing(folder: Path, *prefix: str) -> Iterator[subprocess.Popen[str]]:
    """The demo under load, in a process of its own."""
    with subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.unit.demo.stopped", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until("the demo to play", (folder / "playing").exists, seconds=SECONDS, every=0.02)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_leads_to_the_clean_up_which_none_interrupts(tmp_path: Path, number: signal.Signals) -> None:
    with playing(tmp_path) as process:
        process.send_signal(number)
        until("the clean-up", (tmp_path / "cleaning").exists, seconds=SECONDS, every=0.02)
        for second in SIGNALS:
            process.send_signal(second)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert (tmp_path / "clean").exists()
    assert "Traceback" not in err
    assert "Interrupted" in err
    assert "Taking the cluster away" in out
    assert json.loads((tmp_path / "out" / "demo.json").read_text())["failure"] == "interrupted"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_clean_up_changes_nothing(cluster: FakeCluster, number: signal.Signals) -> None:
    cluster.down = lambda: os.kill(os.getpid(), number)
    assert main(("--rate", "1")) == 0
    assert cluster.api.done[-1] == "down"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_clean_up_needs_nobody_who_reads_what_it_says(tmp_path: Path, number: signal.Signals) -> None:
    with playing(tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        process.send_signal(number)
        process.wait(SECONDS)
    assert process.returncode == 130
    assert (tmp_path / "clean").exists()
    rest = (tmp_path / "out" / "demo-rest.log").read_text()
    assert "Taking the cluster away" in rest
    assert "cleaned" in rest


def test_a_signal_that_was_to_be_ignored_is_ignored(tmp_path: Path) -> None:
    with playing(tmp_path, "nohup") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 130
