"""`python -m hack.generate` writes the generated files; with `--check` it fails if they are stale."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hack.generate.reference import render_reference
from sophia_operator.api.schema.crd import render_crd
from sophia_operator.api.schema.kinds import KINDS

ROOT: Final = Path(__file__).resolve().parents[2]
CRD_FOLDERS: Final = (Path("crds"), Path("charts/sophia-operator/files/crds"), Path("manifests/base/crds"))
REFERENCE: Final = Path("docs/reference/api.md")


def outputs() -> dict[Path, str]:
    """Every generated file, by path from the root of the repository."""
    files = {folder / f"{kind.crd_name}.yaml": render_crd(kind) for folder in CRD_FOLDERS for kind in KINDS}
    files[REFERENCE] = render_reference(KINDS)
    return files


def leftovers(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """CRD files that nothing generates any more: a kind was renamed or removed."""
    found = (path.relative_to(root) for folder in CRD_FOLDERS for path in (root / folder).glob("*.yaml"))
    return sorted(path for path in found if path not in files)


def write(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """Bring the files on disk up to date; return those that changed."""
    changed = []
    for path, text in files.items():
        target = root / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            changed.append(path)
    for path in leftovers(root, files):
        (root / path).unlink()
        changed.append(path)
    return changed


def drift(root: Path, files: Mapping[Path, str]) -> str:
    """A unified diff from the files on disk to what they should be; empty when they agree."""
    wanted = {**files, **dict.fromkeys(leftovers(root, files), "")}
    lines: list[str] = []
    for path, text in wanted.items():
        target = root / path
        present = target.read_text() if target.exists() else ""
        lines += difflib.unified_diff(
            present.splitlines(keepends=True),
            text.splitlines(keepends=True),
            fromfile=f"{path} (on disk)",
            tofile=f"{path} (generated)",
        )
    return "".join(lines)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Return the exit code: 0 when all is well, 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(prog="python -m hack.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail with a diff if a file is stale")
    check: bool = parser.parse_args(arguments).check
    files = outputs()
    if check:
        if difference := drift(root, files):
            print(difference, end="")
            print("Generated files are stale: run `make generate` and commit the result.", file=sys.stderr)
            return 1
        return 0
    changed = write(root, files)
    print("\n".join(f"wrote {path}" for path in changed) or "everything is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
