"""Say what this machine can bring up and what stands in the way; changes nothing."""

from __future__ import annotations

import shutil

from hack.cluster import binaries, bringup, console, debian, downloads, gobuild, paths, platform, recipes, shell
from hack.cluster.node import machine
from hack.cluster.providers import choose
from hack.cluster.providers.base import ProviderError

_NEEDED_BYTES = 12 << 30
"""A cold build: Go's caches, the programs, the images and their unpacked store."""


def report() -> int:
    """Print one line a finding. Return 0 when a cluster can be brought up, 1 otherwise."""
    try:
        provider, reason = choose.chosen()
        provider.check()
        print(f"cluster:   {provider.name}, because {reason}")
    except ProviderError as error:
        print(f"cluster:   none. {error}")
        return 1
    needed = bringup.programs(provider)
    missing = binaries.missing(needed)
    print(f"programs:  {len(needed) - len(missing)} of {len(needed)} in {binaries.view()}")
    works = _sources(missing, platform.missing())
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


def _sources(programs: list[str], modules: list[str]) -> bool:
    """Say where missing programs and manifests will come from; tell whether each has a source."""
    if not programs and not modules:
        return True
    releases = [release for name in programs if (release := recipes.of(name).release)]
    only_from_go = [*(name for name in programs if recipes.of(name).release is None), *modules]
    online = downloads_work(releases)
    if releases:
        print(f"downloads: {'official releases can be fetched' if online else 'not from here'}")
    try:
        gobuild.require_go(f"only Go can fetch or build {', '.join(only_from_go) or 'what cannot be downloaded'}")
        compiler = shell.run(["go", "version"], timeout=60).stdout.strip()
    except (gobuild.GoMissingError, shell.CommandError) as error:
        print(f"go:        {error}")
        return online and not only_from_go
    minutes = "10-25 min" if releases and not online else "1-4 min"
    print(f"go:        {compiler}; builds what cannot be downloaded, the first time in {minutes}")
    return True


def downloads_work(releases: list[recipes.Release]) -> bool:
    """Tell whether the first of ``releases`` can be fetched."""
    with console.step("Try the network"):
        return bool(releases) and downloads.reachable(releases[0])
