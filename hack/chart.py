"""`python -m hack.chart`: check the Helm chart by the real helm, and package it into dist/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from hack.cluster import binaries, shell

CHART: Final = Path("charts/sophia-operator")
OUT: Final = Path("dist")


def main() -> int:
    """Lint strictly, then package. Returns the exit code."""
    helm = str(binaries.ensure(["helm"]) / "helm")
    for arguments in (["lint", "--strict", str(CHART)], ["package", str(CHART), "--destination", str(OUT)]):
        print(shell.run([helm, *arguments], timeout=60).stdout, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
