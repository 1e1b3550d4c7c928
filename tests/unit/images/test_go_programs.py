"""The small Go programs inside our images have tests of their own, in Go; this runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAMS = ["images/demo-app", "hack/cluster/images/prometheus/discovery"]


def test_no_program_is_forgotten() -> None:
    found = {path.parent.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("images/**/go.mod")}
    found |= {
        path.parent.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("hack/cluster/images/**/go.mod")
    }
    assert found == set(PROGRAMS)


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go on this machine (the images bring their own)")
@pytest.mark.parametrize("program", PROGRAMS)
def test_go_tests_pass(program: str) -> None:
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    for command in (["go", "vet", "./..."], ["go", "test", "-timeout=60s", "./..."]):
        done = subprocess.run(
            command, cwd=REPOSITORY / program, env=environment, capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
