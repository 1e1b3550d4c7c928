"""Runs the real helm and kubectl for tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from hack.cluster import binaries

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts/sophia-operator"
NAMESPACE: Final = "sophia-system"
_TIMEOUT_SECONDS: Final = 60


def run(program: str, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm or kubectl and return what it said; the caller judges the exit code."""
    path = binaries.ensure([program]) / program
    return subprocess.run(
        [str(path), *arguments],
        input=stdin,
        text=True,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; `values` arrive as a values file."""
    if values is None:
        return run("helm", *arguments)
    return run("helm", *arguments, "--values", "-", stdin=yaml.safe_dump(dict(values)))


def render_text(values: Mapping[str, Any] | None = None, *, release: str = "sophia-operator") -> str:
    """What `helm template` prints."""
    done = helm("template", release, str(CHART), "--namespace", NAMESPACE, values=values or {})
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(values: Mapping[str, Any] | None = None, *, release: str = "sophia-operator") -> list[dict[str, Any]]:
    """The objects that the chart makes of these values."""
    # The parser in C: these are thousands of lines each time.
    return [item for item in yaml.load_all(render_text(values, release=release), yaml.CSafeLoader) if item]


def pick(objects: Sequence[Mapping[str, Any]], kind: str, name: str | None = None) -> Any:
    """The one object of that kind (and name)."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name or ''}"
    return found[0]


def kinds(objects: Sequence[Mapping[str, Any]]) -> set[str]:
    """The kinds among the objects."""
    return {o["kind"] for o in objects}
