"""Fetch official release files and believe them only when their SHA-256 is right."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from hack.cluster import console, recipes, versions

SWITCH = "SOPHIA_DOWNLOADS"
"""Set this environment variable to ``never`` to build everything from Go modules."""
_PROBE_TIMEOUT_SECONDS = 4.0
_READ_TIMEOUT_SECONDS = 60.0
_CHUNK_BYTES = 1 << 20


class UnavailableError(RuntimeError):
    """The file cannot be had from here: no network, no such release, or no right checksum."""


class Downloader:
    """Fetches release files into ``folder`` (each once) and remembers which hosts do not answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._closed: dict[str, str] = {}

    def fetch(self, release: recipes.Release, into: Path) -> None:
        """Leave the program of ``release`` at ``into``, executable. Raises UnavailableError."""
        if os.environ.get(SWITCH) == "never":
            raise UnavailableError(f"{SWITCH}=never")
        archive = self._archive(release)
        if release.member is None:
            shutil.copyfile(archive, into)
        else:
            extract(archive, release.member, into)
        into.chmod(0o755)

    def _archive(self, release: recipes.Release) -> Path:
        name = file_name(release.url)
        final = self._folder / hashlib.sha256(release.url.encode()).hexdigest()[:12] / name
        if final.exists():
            return final
        host = urlsplit(release.url).netloc
        if why := self._closed.get(host):
            raise UnavailableError(why)
        try:
            wanted = versions.sha256(name) or parse_checksum(_text(release.checksum_url), name)
            final.parent.mkdir(parents=True, exist_ok=True)
            partial = final.with_name(f"{name}.partial")
            with console.step(f"Download {release.url}") as step:
                found = _save(release.url, partial, step)
        except (OSError, urllib.error.URLError) as error:
            why = f"{host} cannot be used from here ({_reason(error)})"
            if not isinstance(error, urllib.error.HTTPError):
                self._closed[host] = why
            raise UnavailableError(why) from error
        if found != wanted:
            partial.unlink()
            raise UnavailableError(f"{name} has SHA-256 {found}, not {wanted}: refused")
        partial.rename(final)
        return final


def reachable(release: recipes.Release) -> bool:
    """Tell whether the checksum of ``release`` can be fetched; takes a few seconds at most."""
    try:
        return os.environ.get(SWITCH) != "never" and bool(_text(release.checksum_url))
    except OSError:
        return False


def file_name(url: str) -> str:
    """Return the last part of a URL's path."""
    return PurePosixPath(urlsplit(url).path).name


def parse_checksum(text: str, name: str) -> str:
    """Return the SHA-256 (hex) of ``name`` in a checksum file: a bare sum, or lines of "sum  name".

    Raises UnavailableError when there is none for that name.
    """
    for line in text.splitlines():
        value, _, rest = line.strip().partition(" ")
        listed = rest.strip().lstrip("*").removeprefix("./")
        if is_sha256(value) and (not listed or PurePosixPath(listed).name == name):
            return value.lower()
    raise UnavailableError(f"the release publishes no SHA-256 of {name}")


def is_sha256(text: str) -> bool:
    """Tell whether ``text`` looks like a SHA-256 in hex."""
    return len(text) == 64 and all(character in "0123456789abcdefABCDEF" for character in text)


def extract(archive: Path, member: str, into: Path) -> None:
    """Copy one member of a tar archive to the file ``into``. Raises UnavailableError when it is not there."""
    with tarfile.open(archive) as tar:
        for entry in tar:
            if entry.isfile() and entry.name.removeprefix("./") == member:
                source = tar.extractfile(entry)
                if source is None:
                    break
                with contextlib.closing(source), into.open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK_BYTES)
                return
    raise UnavailableError(f"{archive.name} holds no {member}")


def _text(url: str) -> str:
    # The small file first: it is also the probe, so it has the short time limit.
    with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_SECONDS) as response:
        content: bytes = response.read(_CHUNK_BYTES)
    return content.decode(errors="replace")


def _save(url: str, target: Path, step: console.Step) -> str:
    digest = hashlib.sha256()
    size = 0
    with urllib.request.urlopen(url, timeout=_READ_TIMEOUT_SECONDS) as response, target.open("wb") as file:
        while chunk := response.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
            step.update(f"{size / 1e6:.0f} MB")
    return digest.hexdigest()


def _reason(error: OSError) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    return str(error.reason) if isinstance(error, urllib.error.URLError) else str(error) or type(error).__name__
