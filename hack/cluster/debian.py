"""Debian packages that the node needs: installed when missing, or named in a clear error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from hack.cluster import console, shell

_TIMEOUT_SECONDS = 900.0


class PackagesMissingError(RuntimeError):
    """Packages are missing and cannot be installed from here."""


def missing(packages: Sequence[str]) -> list[str]:
    """Return those of ``packages`` that are not installed, on a Debian-like system."""
    result = shell.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages], timeout=60, check=False
    )
    installed = {
        name
        for name, _, status in (line.partition(" ") for line in result.stdout.splitlines())
        if status == "installed"
    }
    return [package for package in packages if package not in installed]


def ensure(packages: Sequence[str], why: str) -> None:
    """Install what is missing of ``packages``; ``why`` completes the sentence "needed ...".

    Needs root and apt. Raises PackagesMissingError, naming the packages, where there is neither; on a
    system that is not Debian nothing is checked, because packages have other names there.
    """
    if shutil.which("dpkg-query") is None:
        return
    lacking = missing(packages)
    if not lacking:
        return
    # Another package manager may be at work: wait for it.
    install = ["apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *lacking]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PackagesMissingError(f"Needed {why}: {', '.join(lacking)}. Run as root: {' '.join(install)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with console.step(f"Install Debian packages {why}: {', '.join(lacking)}", "10-60 s"):
        try:
            shell.run(install, timeout=_TIMEOUT_SECONDS, env=environment)
        except shell.CommandError:
            # The package lists of a fresh machine are empty or old, or an earlier run was interrupted in the middle.
            shell.run(["dpkg", "--configure", "-a"], timeout=_TIMEOUT_SECONDS, env=environment)
            shell.run(["apt-get", "update"], timeout=_TIMEOUT_SECONDS, env=environment)
            shell.run(install, timeout=_TIMEOUT_SECONDS, env=environment)
