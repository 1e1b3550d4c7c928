"""Programs of Debian's for tests and benchmarks: as installed, or unpacked from packages without installing them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster import paths

_DOWNLOAD_SECONDS: Final = 300
_UNPACK_SECONDS: Final = 60
_KEYS: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Program:
    """A program, and what its environment needs beside the usual."""

    path: Path
    environment: Mapping[str, str]

    def beside(self, name: str) -> Path:
        """Another program in the same folder."""
        return self.path.with_name(name)


def program(package: str, path_in_package: str, *, libraries: Sequence[str] = (), backports: bool = False) -> Program:
    """The program at `path_in_package`, as in `usr/sbin/pgbouncer`; any user can run it.

    With `backports`, the package is taken from the backports of the machine's Debian when that itself has none.

    When it is not installed, the package is downloaded and unpacked into the cache, and so are those packages of
    `libraries` that are not installed: what the program links against and a bare machine may lack.
    """
    installed = Path("/") / path_in_package
    if installed.exists():
        return Program(installed, {})
    with _locked() as cache:
        folders = [_unpacked(cache, name) for name in libraries if not _is_installed(name)]
        found = _unpacked(cache, package, backports=backports) / path_in_package
    assert found.exists(), f"package {package} has no {path_in_package}"
    shared = [str(library) for folder in folders for library in _library_folders(folder)]
    return Program(found, {"LD_LIBRARY_PATH": ":".join(shared)} if shared else {})


@contextmanager
def _locked() -> Iterator[Path]:
    """The folder of unpacked packages. Tests run in several processes: one at a time writes into it."""
    folder = _cache() / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _cache() -> Path:
    """The cache, or one that other users can reach: what refuses to run as root is started as somebody else."""
    cache = paths.cache()
    cache.mkdir(parents=True, exist_ok=True)
    reachable = all(folder.stat().st_mode & 0o001 for folder in (cache, *cache.parents))
    return cache if reachable or os.geteuid() != 0 else Path("/var/cache/sophia-operator")


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    answer = subprocess.run(query, check=False, capture_output=True, text=True, timeout=_UNPACK_SECONDS)
    return answer.stdout == "installed"


def _unpacked(cache: Path, package: str, *, backports: bool = False) -> Path:
    folder = cache / "packages" / package
    if not folder.exists():
        # What was cut short is never taken for whole: the folder gets its name last.
        partial = cache / "partial" / f"{package}.{os.getpid()}"
        partial.mkdir(parents=True, exist_ok=True)
        archive = _download(partial, package, backports=backports)
        subprocess.run(["dpkg-deb", "--extract", archive, partial / "tree"], check=True, timeout=_UNPACK_SECONDS)
        archive.unlink()
        folder.parent.mkdir(exist_ok=True)
        (partial / "tree").rename(folder)
        shutil.rmtree(partial)
    return folder


def _download(folder: Path, package: str, *, backports: bool) -> Path:
    command = ["apt-get", "download", package]
    if subprocess.run(command, cwd=folder, check=False, timeout=_DOWNLOAD_SECONDS).returncode != 0:
        if backports and not _is_known(package):
            command[1:1] = _with_backports(folder)
        subprocess.run([*command[:-2], "update"], check=True, timeout=_DOWNLOAD_SECONDS)
        subprocess.run(command, cwd=folder, check=True, timeout=_DOWNLOAD_SECONDS)
    return next(folder.glob("*.deb"))


def _is_known(package: str) -> bool:
    """Whether the machine's Debian has it, by lists that may have to be fetched first."""
    subprocess.run(["apt-get", "update"], check=True, timeout=_DOWNLOAD_SECONDS)
    show = ["apt-cache", "show", "--no-all-versions", package]
    return subprocess.run(show, check=False, capture_output=True, timeout=_UNPACK_SECONDS).returncode == 0


def _with_backports(folder: Path) -> list[str]:
    """Options of apt for its backports as the only source, from where the machine gets Debian. All that apt keeps lies
    in the folder, so that the machine's own lists stay as they are."""
    ask = ["apt-get", "indextargets", "Created-By: Packages", "Component: main"]
    form = ["--format", "$(CODENAME) $(SITE)"]
    answer = subprocess.run([*ask, *form], check=True, capture_output=True, text=True, timeout=_UNPACK_SECONDS)
    codename = _codename()
    sources = [line.split() for line in answer.stdout.splitlines() if line.split()[0] == codename]
    assert sources, f"apt has no source of {codename}"
    _, site = sources[0]
    signed = f"[signed-by={_KEYS}] " if _KEYS.exists() else ""
    apt = folder / "apt"
    (apt / "lists/partial").mkdir(parents=True, exist_ok=True)
    (apt / "parts").mkdir(exist_ok=True)
    (apt / "backports.list").write_text(f"deb {signed}{site} {codename}-backports main\n")
    settings = {
        "Dir::Etc::sourcelist": apt / "backports.list",
        "Dir::Etc::sourceparts": apt / "parts",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt,
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _codename() -> str:
    """Name of the machine's Debian, as in `bookworm`."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))


def _library_folders(unpacked: Path) -> list[Path]:
    """Where shared libraries lie in it."""
    return sorted({library.parent for root in ("usr/lib", "lib") for library in unpacked.glob(f"{root}/**/*.so.*")})
