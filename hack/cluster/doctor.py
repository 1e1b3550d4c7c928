"""Say what this machine can bring up and what stands in the way; changes nothing."""

from __future__ import annotations

import shutil

from hack.cluster import binaries, console, debian, downloads, gobuild, paths, recipes, shell
from hack.cluster.node import machine
from hack.cluster.providers import choose
from hack.cluster.providers.base import ProviderError

_NEEDED_BYTES = 12 << 30
"""A cold build: Go's caches, the programs, the images and their unpacked store."""


def report() -> int:
    """Print one line a finding. Return 0 when a cluster can be brought up, 1 otherwise."""
    works = True
    try:
        provider, reason = choose.chosen()
        provider.check()
        print(f"cluster:   {provider.name}, because {reason}")
        needed = provider.programs
    except ProviderError as error:
        print(f"cluster:   none. {error}")
        return 1
    missing = binaries.missing(needed)
    print(f"programs:  {len(needed) - len(missing)} of {len(needed)} in {binaries.view()}")
    if missing:
        works = _sources(missing)
    if provider.name == "node" and shutil.which("dpkg-query"):
        packages = debian.missing(machine.PACKAGES)
        print(f"packages:  {'will install ' + ', '.join(packages) if packages else 'all there'}")
    paths.cache().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(paths.cache()).free
    print(f"disk:      {free / 1e9:.0f} GB free at {paths.cache()}")
    if missing and free < _NEEDED_BYTES:
        print(f"           a first build wants {_NEEDED_BYTES / 1e9:.0f} GB")
        works = False
    return 0 if works else 1


def _sources(missing: list[str]) -> bool:
    """Say where missing programs will come from; tell whether each has a source."""
    releases = [release for name in missing if (release := recipes.of(name).release)]
    online = downloads_work(releases)
    print(f"downloads: {'official releases can be fetched' if online else 'not from here'}")
    try:
        gobuild.require_go()
        compiler = shell.run(["go", "version"], timeout=60).stdout.strip()
    except (gobuild.GoMissingError, shell.CommandError) as error:
        print(f"go:        {error}")
        return online and len(releases) == len(missing)
    minutes = "10-25 min" if not online else "1-4 min"
    print(f"go:        {compiler}; builds what cannot be downloaded, the first time in {minutes}")
    return True


def downloads_work(releases: list[recipes.Release]) -> bool:
    """Tell whether the first of ``releases`` can be fetched."""
    with console.step("Try the network"):
        return bool(releases) and downloads.reachable(releases[0])
