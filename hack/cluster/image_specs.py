"""Name the images that the local cluster runs, and what each is made from."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import paths, recipes, versions

# Every file of a build context gets this time, so that only content decides whether a layer is built again.
_FILE_TIME = 1_000_000_000


@dataclass(frozen=True)
class ImageSpec:
    """One image. Paths are relative to the repository, ``files`` are globs relative to ``context``.

    ``binaries`` are programs that hack/cluster/binaries.py provides; they are put at the root of the context.
    ``usually`` says how long a build from nothing takes.
    """

    name: str
    tag: str
    context: str
    dockerfile: str
    files: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    usually: str | None = None

    @property
    def reference(self) -> str:
        """The name under which pods ask for the image."""
        return f"localhost/{self.name}:{self.tag}"

    def inputs(self, binaries: Path) -> dict[str, Path]:
        """Return what the build context holds: path inside it -> file. ``binaries`` is a folder.

        Raises FileNotFoundError when a glob matches nothing or a binary is missing.
        """
        root = paths.REPOSITORY / self.context
        found: dict[str, Path] = {}
        for pattern in self.files:
            matches = [path for path in sorted(root.glob(pattern)) if path.is_file() and _is_source(path)]
            if not matches:
                raise FileNotFoundError(f"image {self.name}: nothing matches {pattern} in {root}")
            found |= {path.relative_to(root).as_posix(): path for path in matches}
        for name in self.binaries:
            path = binaries / recipes.in_image(name)
            if not path.is_file():
                raise FileNotFoundError(f"image {self.name}: the binary {path} is missing")
            found[name] = path
        return found

    def key(self, binaries: Path) -> str:
        """Return a hash (16 hex digits) of everything that the image is made from."""
        digest = hashlib.sha256()
        for part in (self.reference, repr(sorted(self.arguments.items()))):
            digest.update(part.encode() + b"\0")
        dockerfile = paths.REPOSITORY / self.dockerfile
        for name, path in sorted({"": dockerfile, **self.inputs(binaries)}.items()):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{name}\0{os.access(path, os.X_OK)}\0{content}\0".encode())
        return digest.hexdigest()[:16]

    def stage(self, binaries: Path, target: Path) -> None:
        """Copy the build context into the empty folder ``target``."""
        for name, path in self.inputs(binaries).items():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
        for path in [*target.rglob("*"), target]:
            os.utime(path, (_FILE_TIME, _FILE_TIME))


def _is_source(path: Path) -> bool:
    return "__pycache__" not in path.parts and not path.name.endswith("_test.go")


def _third_party(
    name: str, *, usually: str, files: tuple[str, ...] = (), binary: bool = False, **arguments: str
) -> ImageSpec:
    folder = f"hack/cluster/images/{name}"
    return ImageSpec(
        name=name,
        tag=versions.of(name),
        context=folder,
        dockerfile=f"{folder}/Dockerfile",
        files=files,
        binaries=(name,) if binary else (),
        arguments=arguments,
        usually=usually,
    )


def all_images() -> list[ImageSpec]:
    """Return every image, those first that the node needs first."""
    return [
        _third_party("pause", usually="1 s", binary=True),
        _third_party("coredns", usually="2 s", binary=True),
        _third_party("contour", usually="2 s", binary=True),
        _third_party("envoy", usually="1 min", ENVOY_VERSION=versions.of("envoy")),
        _third_party(
            "prometheus",
            usually="1 min",
            files=("discovery/go.mod", "discovery/*.go"),
            PROMETHEUS_VERSION=versions.of("prometheus"),
        ),
        _third_party("postgres", usually="30 s", files=("entrypoint.sh",), POSTGRES_VERSION=versions.of("postgres")),
        ImageSpec(
            name="sophia-pgbouncer",
            tag="dev",
            context="images/pgbouncer",
            dockerfile="images/pgbouncer/Dockerfile",
            arguments={"PGBOUNCER_VERSION": versions.of("pgbouncer")},
            usually="15 s",
        ),
        # The same Dockerfile with a newer Debian's packages: tests change one image for the other.
        ImageSpec(
            name="pgbouncer-newer",
            tag=versions.of("pgbouncer-newer"),
            context="images/pgbouncer",
            dockerfile="images/pgbouncer/Dockerfile",
            arguments={"PGBOUNCER_VERSION": versions.of("pgbouncer-newer"), "DEBIAN_SUITE": "trixie"},
            usually="15 s",
        ),
        ImageSpec(
            name="sophia-redis",
            tag="dev",
            context="images/redis",
            dockerfile="images/redis/Dockerfile",
            # Debian counts from an epoch.
            arguments={"SERVER_VERSION": f"5:{versions.of('redis')}"},
            usually="15 s",
        ),
        # The same Dockerfile with Valkey of a newer Debian: tests run tiers on both.
        ImageSpec(
            name="valkey",
            tag=versions.of("valkey"),
            context="images/redis",
            dockerfile="images/redis/Dockerfile",
            arguments={"SERVER": "valkey", "SERVER_VERSION": versions.of("valkey"), "DEBIAN_SUITE": "trixie"},
            usually="15 s",
        ),
        # Gateways for models that others run: the locks beside this file say what is in them.
        ImageSpec(
            name="portkey",
            tag=versions.of("portkey"),
            context="hack/cluster/portkey.npm",
            dockerfile="hack/cluster/images/portkey/Dockerfile",
            files=("package.json", "package-lock.json"),
            arguments={"NODE_VERSION": versions.of("node")},
            usually="30 s",
        ),
        ImageSpec(
            name="litellm",
            tag=versions.of("litellm"),
            context="hack/cluster",
            dockerfile="hack/cluster/images/litellm/Dockerfile",
            files=("litellm.txt",),
            usually="2 min",
        ),
        ImageSpec(
            name="sophia-demo-app",
            tag="dev",
            context="images/demo-app",
            dockerfile="images/demo-app/Dockerfile",
            files=("go.mod", "*.go"),
            usually="1 min",
        ),
        ImageSpec(
            name="sophia-operator",
            tag="dev",
            context=".",
            dockerfile="images/operator/Dockerfile",
            files=("pyproject.toml", "uv.lock", "README.md", "operator/sophia_operator/**/*"),
            usually="1 min",
        ),
    ]
