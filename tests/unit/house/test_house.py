"""Rules of the house that no other tool holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LONGEST = 400
GENERATED = ("crds/", "charts/sophia-operator/files/crds/", "manifests/base/", "docs/reference/", "tests/golden/")
#: Tests in which the call itself is the check: it raises when something is wrong.
KNOWN_TO_RAISE = {
    "test_any_document_has_a_value_at_a_path_or_says_it_has_not",
    "test_examples_in_the_documentation_are_understood",
}
LOCKS = ("uv.lock", "go.sum", "go.mod", "litellm.txt", "package-lock.json")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def too_long(paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in paths
        if not str(path.relative_to(ROOT)).startswith(GENERATED)
        and not path.name.endswith(LOCKS)
        and (lines := len(path.read_bytes().splitlines())) > LONGEST
    ]


def test_no_file_of_ours_is_too_long() -> None:
    assert too_long(tracked()) == []


def test_a_file_that_is_too_long_is_found() -> None:
    # The lock file would be found, were it ours.
    lock = ROOT / "uv.lock"
    assert len(lock.read_bytes().splitlines()) > LONGEST
    assert too_long([lock]) == []
    assert "api.md" not in "".join(too_long(tracked("docs")))


def test_source_root_is_no_package() -> None:
    """`operator` is a module of the standard library: an `__init__.py` in our source root would hide it."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", "import collections, operator; operator.itemgetter"], cwd=ROOT, check=False, timeout=30
    )
    assert done.returncode == 0


def asserts_nothing(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a test neither asserts nor expects an error nor calls anything of which the name says that it checks."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return False
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rsplit(".", 1)[-1]
            if name.startswith(("assert", "check", "expect", "raises", "warns", "fail", "wait_", "until", "report")):
                return False
            if name in ("goes_back", "stalled", "run_state_machine_as_test", "refused", "settles"):
                return False
    return True


@pytest.mark.parametrize("path", tracked("tests/**/test_*.py"), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_test_can_fail(path: Path) -> None:
    tree = ast.parse(path.read_text())
    helpers = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("test")
        and not asserts_nothing(node)
    }
    empty = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            called = {ast.unparse(c.func).rsplit(".", 1)[-1] for c in ast.walk(node) if isinstance(c, ast.Call)}
            if asserts_nothing(node) and not called & helpers:
                empty.append(node.name)
    assert not set(empty) - KNOWN_TO_RAISE


def test_a_test_that_asserts_nothing_is_found() -> None:
    tree = ast.parse("def test_x():\n    print(1)\n")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    assert asserts_nothing(function)
