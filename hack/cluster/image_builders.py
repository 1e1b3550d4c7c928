"""Turn a Dockerfile and its context into an image archive: with docker where it works, with buildah elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hack.cluster import debian, paths
from hack.cluster.console import step
from hack.cluster.image_specs import ImageSpec
from hack.cluster.shell import CommandError, run

BASE = "docker.io/library/debian:bookworm-slim"
_SUITE = "bookworm"
_BUILD_SECONDS = 1800.0
_SAVE_SECONDS = 300.0
_QUERY_SECONDS = 30.0
_HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_HOST_CERTIFICATES_INSIDE = "/run/host-ca.crt"
# Left out of the base image, as Debian's own slim image does.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
# Images keep neither .deb files nor apt's caches. This is set last, because mmdebstrap itself works with both.
_APT_SETTINGS = 'APT::Keep-Downloaded-Packages "false"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";'


class Builder(Protocol):
    """What can build images. ``name`` is for messages."""

    name: str

    def prepare(self) -> None:
        """Make everything ready that all builds share. Cheap when it is ready already."""

    def build(self, spec: ImageSpec, context: Path, archive: Path, log: Path) -> None:
        """Build ``spec`` from the staged ``context`` and write it to ``archive`` (docker-archive tar)."""


def choose() -> Builder:
    """Return docker if its daemon answers, else buildah."""
    return DockerBuilder() if _docker_answers() else BuildahBuilder(paths.images() / "buildah")


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        run(["docker", "info"], timeout=_QUERY_SECONDS)
    except CommandError:
        return False
    return True


def _build_arguments(spec: ImageSpec) -> list[str]:
    return [word for name, value in sorted(spec.arguments.items()) for word in ("--build-arg", f"{name}={value}")]


class DockerBuilder:
    """Builds with the docker daemon; the base image is pulled by it."""

    name = "docker"

    def prepare(self) -> None:
        """Nothing: docker pulls what it needs."""

    def build(self, spec: ImageSpec, context: Path, archive: Path, log: Path) -> None:
        """See Builder."""
        dockerfile = paths.REPOSITORY / spec.dockerfile
        command = ["docker", "build", "--tag", spec.reference, "--file", str(dockerfile)]
        command += [*_build_arguments(spec), str(context)]
        run(command, timeout=_BUILD_SECONDS, env={"DOCKER_BUILDKIT": "1"}, log=log)
        run(["docker", "save", "--output", archive, spec.reference], timeout=_SAVE_SECONDS)


class BuildahBuilder:
    """Builds without a daemon, as root, from a base image that mmdebstrap makes out of Debian's packages.

    ``store`` keeps the layers, so that a later build only repeats what changed.
    """

    name = "buildah"

    def __init__(self, store: Path) -> None:
        self._store = store
        self._globals = [f"--root={store / 'root'}", f"--runroot={store / 'run'}", "--storage-driver=overlay"]

    def prepare(self) -> None:
        """Install the tools if they are missing, and make the base image once."""
        if os.geteuid() != 0:
            raise PermissionError("building images without docker needs root: run this as root, or start docker")
        debian.ensure(["buildah", "mmdebstrap"], "to build images without docker")
        self._store.mkdir(parents=True, exist_ok=True)
        known = self._buildah(["images", "--format", "{{.Name}}:{{.Tag}}"], timeout=_QUERY_SECONDS)
        if BASE not in known.split():
            with step(f"Base image {BASE} from Debian's packages", usually="30 s"):
                self._make_base()

    def build(self, spec: ImageSpec, context: Path, archive: Path, log: Path) -> None:
        """See Builder."""
        dockerfile = paths.REPOSITORY / spec.dockerfile
        self._buildah(
            [
                *("bud", "--isolation", "chroot", "--pull-never", "--layers"),
                *("--tag", spec.reference, "--file", dockerfile),
                *_build_arguments(spec),
                *self._mounts(),
                context,
            ],
            timeout=_BUILD_SECONDS,
            log=log,
        )
        target = f"docker-archive:{archive}:{spec.reference}"
        self._buildah(["push", "--quiet", spec.reference, target], timeout=_SAVE_SECONDS)

    def _mounts(self) -> list[str]:
        """Let pip and npm, inside the build, trust what this machine trusts and ask the index that it asks."""
        if not _HOST_CERTIFICATES.exists():
            return []
        for_pip, for_npm = self._store / "pip.conf", self._store / "npmrc"
        for_pip.write_text("[global]\n" + "".join(f"{line}\n" for line in _pip_settings()))
        for_npm.write_text("".join(f"{line}\n" for line in _npm_settings()))
        inside = {_HOST_CERTIFICATES: _HOST_CERTIFICATES_INSIDE, for_pip: "/etc/pip.conf", for_npm: "/etc/npmrc"}
        return [word for here, there in inside.items() for word in ("--volume", f"{here}:{there}:ro")]

    def _make_base(self) -> None:
        tree = self._store / "base.tar"
        leave_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        run(
            [
                *("mmdebstrap", "--quiet", "--variant=minbase"),
                '--aptopt=APT::Install-Recommends "false"',
                '--aptopt=APT::Install-Recommends "false"',
                # Merged /usr from the start: the package that merges later brings the whole of Perl (50 MB).
                *(f"--hook-dir={_MERGED_USR}", "--include=usr-is-merged"),
                *leave_out,
                '--customize-hook=rm -f "$1"/var/cache/apt/*.bin',
                f"--customize-hook=echo '{_APT_SETTINGS}' > \"$1/etc/apt/apt.conf.d/90-slim\"",
                _SUITE,
                tree,
            ],
            timeout=_BUILD_SECONDS,
        )
        container = self._buildah(["from", "scratch"], timeout=_QUERY_SECONDS).strip()
        try:
            self._buildah(["add", "--quiet", container, tree, "/"], timeout=_SAVE_SECONDS)
            self._buildah(["config", "--cmd", "bash", container], timeout=_QUERY_SECONDS)
            self._buildah(["commit", "--quiet", container, BASE], timeout=_SAVE_SECONDS)
        finally:
            self._buildah(["rm", container], timeout=_QUERY_SECONDS)
            tree.unlink(missing_ok=True)

    def _buildah(self, words: Sequence[str | Path], *, timeout: float, log: Path | None = None) -> str:
        return run(["buildah", *self._globals, *words], timeout=timeout, log=log).stdout


def _pip_settings() -> list[str]:
    """Return the lines of pip.conf that matter inside a build: the certificates and the index in use."""
    names = ("index-url", "extra-index-url", "trusted-host")
    found = {name: os.environ.get("PIP_" + name.upper().replace("-", "_")) for name in names}
    certificates = f"cert = {_HOST_CERTIFICATES_INSIDE}"
    return [certificates, *(f"{name} = {value}" for name, value in found.items() if value)]


def _npm_settings() -> list[str]:
    """Return the lines of npmrc that matter inside a build: the certificates and the registry in use."""
    registry = os.environ.get("npm_config_registry")  # noqa: SIM112 - this is how npm spells it
    return [f"cafile={_HOST_CERTIFICATES_INSIDE}", *([f"registry={registry}"] if registry else [])]
