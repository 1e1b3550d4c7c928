"""Have the programs there: from the cache, as an official release, or built from Go modules.

On disk, below ``paths.binaries()``::

    store/<name>-<version>-<recipe hash>    each program, once; it never changes
    <kubernetes version>-<hash>/<name>      hard links: the folder that goes on PATH, one a set of versions
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hack.cluster import console, downloads, gobuild, paths, recipes

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE = (
    "etcd", *recipes.KUBERNETES, "containerd", "containerd-shim-runc-v2", "ctr", "runc", *recipes.CNI_PLUGINS
)  # fmt: skip
PLATFORM = ("coredns", "contour", "pause", "helm")
ALL = (*NODE, *PLATFORM)
TESTS = (*CONTROL_PLANE, "helm")
"""What the tests run that need no cluster."""


def view() -> Path:
    """Return the folder of the programs of the pinned versions; it holds what was ensured so far."""
    return paths.binaries() / recipes.view_name()


def ensure(names: Sequence[str] = ALL) -> Path:
    """Make sure that the programs ``names`` are in :func:`view`, and return that folder.

    Takes milliseconds when they are. Otherwise each is taken from the store, else downloaded, else built.
    Safe to interrupt (a program appears whole or not at all), to repeat, and to run in several processes
    at once. Raises KeyError for an unknown name, gobuild.GoMissingError, debian.PackagesMissingError,
    shell.CommandError.
    """
    wanted = [recipes.of(name) for name in names]
    base = paths.binaries()
    if not all(_is_current(base, recipe) for recipe in wanted):
        with _only_one(base), _scratch(base) as scratch:
            _provide([recipe for recipe in wanted if not recipes.store(base, recipe).exists()], base, scratch)
            for recipe in wanted:
                _link(recipes.store(base, recipe), view() / recipe.name)
    return view()


def missing(names: Sequence[str] = ALL) -> list[str]:
    """Return those of ``names`` that are not in the cache yet."""
    return [name for name in names if not recipes.store(paths.binaries(), recipes.of(name)).exists()]


def prune() -> list[Path]:
    """Remove the programs of other versions than the pinned ones, and return what was removed.

    A node that runs with them loses them: take it away first.
    """
    base = paths.binaries()
    wanted = {recipes.store(base, recipe) for recipe in recipes.all_recipes().values()} | {view(), base / "store"}
    old = [path for path in (*base.glob("*"), *base.glob("store/*")) if path not in wanted and path.name[0] != "."]
    if old:
        with _only_one(base):
            for path in old:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return old


def obtainable(name: str) -> bool:
    """Tell whether :func:`ensure` can be expected to succeed for ``name``; takes a few seconds at most."""
    recipe = recipes.of(name)
    if recipes.store(paths.binaries(), recipe).exists() or gobuild.on_path():
        return True
    return recipe.release is not None and downloads.reachable(recipe.release)


def _provide(lacking: Sequence[recipes.Recipe], base: Path, scratch: Path) -> None:
    if only_from_go := [recipe.build.title for recipe in lacking if recipe.release is None]:
        # Before minutes of downloads: without it they would be for nothing.
        gobuild.require_go(f"every kind of cluster needs it, because {only_from_go[0]} comes as a Go module")
    downloader = downloads.Downloader(scratch / "downloads")
    to_build: list[recipes.Recipe] = []
    told: set[str] = set()
    for recipe in lacking:
        reason = "released as source or image only"
        if recipe.release is not None:
            program = scratch / recipe.name
            try:
                downloader.fetch(recipe.release, program)
            except downloads.UnavailableError as error:
                reason = str(error)
            else:
                _link(program, recipes.store(base, recipe))
                continue
        if reason not in told:
            console.say(f"No download of {recipe.name} {recipe.version}: {reason}. It will be built.")
            told.add(reason)
        to_build.append(recipe)
    for recipe in to_build:
        if not recipes.store(base, recipe).exists():  # an earlier build may have given it as well
            _build(recipe.build, base, scratch)


def _build(what: recipes.GoBuild, base: Path, scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        gobuild.build(what, Path(folder))
        for name, file in what.outputs.items():
            target = recipes.store(base, recipes.of(name))
            if not target.exists():
                _link(Path(folder) / file, target)


def _is_current(base: Path, recipe: recipes.Recipe) -> bool:
    stored, linked = recipes.store(base, recipe), view() / recipe.name
    return stored.exists() and linked.exists() and stored.samefile(linked)


def _link(source: Path, target: Path) -> None:
    """Make ``target`` another name of the file ``source``, in one atomic step."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.hardlink_to(source)
    temporary.rename(target)


@contextlib.contextmanager
def _only_one(base: Path) -> Iterator[None]:
    """Hold the lock of the binaries folder; say so when somebody else has it."""
    base.mkdir(parents=True, exist_ok=True)
    with (base / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with console.step("Wait for another process that provides programs"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _scratch(base: Path) -> Iterator[Path]:
    """Give an empty working folder on the same file system; clear what a killed process left."""
    folder = base / ".scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
