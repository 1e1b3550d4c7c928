"""Build the images that the local cluster runs into archives which any node can load."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster import binaries, image_builders, paths, recipes
from hack.cluster.console import step
from hack.cluster.image_specs import ImageSpec, all_images


def build_all(names: Collection[str] | None = None) -> list[Path]:
    """Build all images, or those in ``names`` ("envoy", "sophia-operator"), and return their archives.

    An archive is a docker-archive tar, named ``<image>-<key>.tar`` after a hash of everything that went into it, so
    an image whose inputs did not change is not built again. Older archives of the same image are removed.
    Raises ValueError for a name that does not exist, CommandError when a build fails.
    """
    specs = select(names)
    needed = programs_in(specs)
    programs = binaries.ensure(needed) if needed else Path()
    keys = {spec.name: spec.key(programs) for spec in specs}
    archives = {spec.name: paths.images() / f"{spec.name}-{keys[spec.name]}.tar" for spec in specs}
    if missing := [spec for spec in specs if not archives[spec.name].exists()]:
        with _locked(), step(f"Images ({len(missing)} of {len(specs)} to build)"):
            builder = image_builders.choose()
            builder.prepare()
            for spec in missing:
                _build(builder, spec, programs, archives[spec.name])
    return list(archives.values())


def programs_in(specs: Iterable[ImageSpec]) -> list[str]:
    """Return the names, in binaries.py, of the programs that these images hold."""
    return sorted({recipes.in_image(binary) for spec in specs for binary in spec.binaries})


def select(names: Collection[str] | None) -> list[ImageSpec]:
    """Return the specs with these names, or all; raises ValueError for an unknown name."""
    specs = all_images()
    known = [spec.name for spec in specs]
    if unknown := sorted(set(names or ()) - set(known)):
        raise ValueError(f"no image named {', '.join(unknown)}; there are {', '.join(known)}")
    return [spec for spec in specs if names is None or spec.name in names]


def _build(builder: image_builders.Builder, spec: ImageSpec, programs: Path, archive: Path) -> None:
    if archive.exists():  # another process built it while we waited for the lock
        return
    log = paths.images() / "log" / f"{spec.name}.log"
    log.parent.mkdir(exist_ok=True)
    with (
        step(f"Image {spec.reference} with {builder.name}", usually=spec.usually) as progress,
        tempfile.TemporaryDirectory(prefix=f"{spec.name}-", dir=paths.images()) as work,
    ):
        context = Path(work) / "context"
        context.mkdir()
        spec.stage(programs, context)
        unfinished = Path(work) / archive.name
        builder.build(spec, context, unfinished, log)
        unfinished.replace(archive)
        progress.done(f"{archive.stat().st_size / 1e6:.0f} MB")
    for old in paths.images().glob(f"{spec.name}-*.tar"):
        # The key has no hyphen: what is left of it must be exactly this image's name.
        if old != archive and old.stem.rpartition("-")[0] == spec.name:
            old.unlink(missing_ok=True)


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process build at a time; remove what an interrupted one left."""
    folder = paths.images()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob("*-*/context"):
            shutil.rmtree(left.parent, ignore_errors=True)
        yield
