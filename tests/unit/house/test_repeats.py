"""`make test` gives a test that failed a second run; it hides nothing, and there is an end to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

_CONFTEST = 'pytest_plugins = ["tests.support.repeats"]\n'
_TESTS = """
from pathlib import Path
from time import sleep

import pytest


@pytest.mark.parametrize("number", range(%d))
def test_fails_at_first(number):
    seen = Path(__file__).with_name(str(number))
    if not seen.exists():
        seen.touch()
        raise AssertionError(f"how it failed: {number}")


def test_has_a_part_that_fails(subtests):
    seen = Path(__file__).with_name("part")
    with subtests.test("the part"):
        if not seen.exists():
            seen.touch()
            raise AssertionError("how the part failed")


@pytest.mark.timeout(2)
def test_hangs():
    sleep(30)
"""


def ran(folder: Path, tests: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run tests with the options that `make test` gives."""
    (options,) = re.findall(r"^REPEAT := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {ROOT}\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--numprocesses", "1", *options.split(), *more]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def test_a_test_that_failed_runs_once_more_and_is_shown(tmp_path: Path) -> None:
    done = ran(tmp_path, _TESTS % 2, "-k", "at_first")
    assert done.returncode == 0, done.stdout
    assert "2 passed, 2 rerun" in done.stdout
    assert all(f"AssertionError: how it failed: {number}" in done.stdout for number in range(2))


def test_parts_that_failed_are_shown_too(tmp_path: Path) -> None:
    done = ran(tmp_path, _TESTS % 1, "-k", "part")
    assert done.returncode == 0, done.stdout
    assert "1 rerun" in done.stdout
    assert "[the part]" in done.stdout
    assert "AssertionError: how the part failed" in done.stdout


def test_many_of_them_fail_the_run(tmp_path: Path) -> None:
    done = ran(tmp_path, _TESTS % 5, "-k", "at_first")
    assert done.returncode == 1, done.stdout
    assert "2 failed, 3 passed, 3 rerun" in done.stdout


def test_a_second_run_has_a_time_limit_too(tmp_path: Path) -> None:
    done = ran(tmp_path, _TESTS % 1, "-k", "hangs")
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("Failed: Timeout (>2.0s)") >= 2
    assert "1 failed, 1 rerun" in done.stdout
