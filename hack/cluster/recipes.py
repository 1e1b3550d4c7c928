"""What each program is and where it comes from: an official release file, or Go modules at the same version.

Values only; downloads.py and gobuild.py carry the recipes out, binaries.py chooses between them.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

from hack.cluster import paths, versions

OS = platform.system().lower()
ARCH = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), platform.machine())
KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
CNI_PLUGINS = ("bridge", "host-local", "portmap")
IN_IMAGES = ("contour", "coredns", "pause")
"""Programs that are put into images, which are always Linux."""


@dataclass(frozen=True)
class Release:
    """A file of an official release, with the file beside it that holds its SHA-256."""

    url: str
    checksum_url: str
    member: str | None = None
    """Path inside the archive; None when the file is the program itself."""


@dataclass(frozen=True)
class GoBuild:
    """One run of the Go compiler, which may give several programs."""

    title: str
    usually: str
    """How long it takes on two cores with an empty Go build cache."""
    packages: tuple[str, ...] = ()
    """What to `go install`, each with its version; empty for a build of ``directory``."""
    directory: str | None = None
    """Our own module, relative to this package; its files are part of the recipe."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Program name -> name of the file that the compiler leaves."""
    defines: tuple[str, ...] = ()
    """Values for the linker's -X."""
    tags: tuple[str, ...] = ()
    cgo: bool = False
    system: str = field(default_factory=lambda: OS)
    """The operating system that the program is for."""


@dataclass(frozen=True)
class Recipe:
    """How to come by one program."""

    name: str
    version: str
    build: GoBuild
    release: Release | None = None

    def key(self) -> str:
        """Return ``name-version-hash``: it changes when anything changes that could change the program."""
        return f"{self.name}-{self.version}-{self.digest()[:12]}"

    def digest(self) -> str:
        """Return the SHA-256 (hex) over the recipe, the type of machine it is for, and the sources that are ours."""
        recipe = asdict(self)
        system = recipe["build"].pop("system")
        facts = json.dumps([recipe, system, ARCH], sort_keys=True)
        digest = hashlib.sha256(facts.encode())
        if self.build.directory:
            for file in sorted((paths.SOURCE / self.build.directory).iterdir()):
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


def of(name: str) -> Recipe:
    """Return the recipe of a program. Raises KeyError, with the names there are, for any other name."""
    try:
        return all_recipes()[name]
    except KeyError:
        raise KeyError(f"no recipe for {name!r}; there are {', '.join(sorted(all_recipes()))}") from None


@cache
def all_recipes() -> dict[str, Recipe]:
    """Return every recipe by program name."""
    recipes = [
        *_kubernetes(),
        *_containerd(),
        _runc(),
        *_cni(),
        _coredns(),
        _contour(),
        _helm(),
        _kind(),
        _pause(),
    ]
    if OS != "linux":
        recipes += [_for_linux(recipe) for recipe in recipes if recipe.name in IN_IMAGES]
    return {recipe.name: recipe for recipe in recipes}


def in_image(name: str) -> str:
    """Return the name of the recipe whose program goes into an image as ``name``: images are Linux everywhere."""
    return f"{name}-linux" if name in IN_IMAGES and OS != "linux" else name


def _for_linux(recipe: Recipe) -> Recipe:
    name = in_image(recipe.name)
    (file,) = recipe.build.outputs.values()
    build = replace(recipe.build, title=f"{recipe.build.title} for Linux", outputs={name: file}, system="linux")
    return replace(recipe, name=name, build=build)


def _github(repository: str, version: str, file: str, sums: str, member: str | None = None) -> Release:
    base = f"https://github.com/{repository}/releases/download/v{version}"
    return Release(f"{base}/{file}", f"{base}/{sums}", member)


def _kubernetes() -> list[Recipe]:
    kubernetes, etcd = versions.of("kubernetes"), versions.of("etcd")
    major, minor, _ = kubernetes.split(".")
    package = "k8s.io/component-base/version"
    build = GoBuild(
        "etcd, Kubernetes and kubectl (one program)",
        "4-14 min",
        directory="multicall",
        outputs=dict.fromkeys(("etcd", *KUBERNETES), "multicall"),
        defines=(
            f"{package}.gitVersion=v{kubernetes}",
            f"{package}.gitMajor={major}",
            f"{package}.gitMinor={minor}",
        ),
    )
    etcd_folder = f"etcd-v{etcd}-{OS}-{ARCH}"
    recipes = [
        Recipe(
            "etcd",
            etcd,
            build,
            _github("etcd-io/etcd", etcd, f"{etcd_folder}.tar.gz", "SHA256SUMS", f"{etcd_folder}/etcd"),
        )
    ]
    for name in KUBERNETES:
        url = f"https://dl.k8s.io/release/v{kubernetes}/bin/{OS}/{ARCH}/{name}"
        recipes.append(Recipe(name, kubernetes, build, Release(url, f"{url}.sha256")))
    return recipes


def _containerd() -> list[Recipe]:
    version = versions.of("containerd")
    names = ("containerd", "containerd-shim-runc-v2", "ctr")
    build = GoBuild(
        "containerd",
        "1-3 min",
        packages=tuple(f"github.com/containerd/containerd/v2/cmd/{name}@v{version}" for name in names),
        outputs={name: name for name in names},
        defines=(f"github.com/containerd/containerd/v2/version.Version={version}",),
    )
    # The static build: the ordinary one needs a C library as new as the release machine's.
    file = f"containerd-static-{version}-linux-{ARCH}.tar.gz"
    repository = "containerd/containerd"
    return [
        Recipe(name, version, build, _github(repository, version, file, f"{file}.sha256sum", f"bin/{name}"))
        for name in names
    ]


def _runc() -> Recipe:
    version = versions.of("runc")
    build = GoBuild(
        "runc",
        "10-30 s",
        packages=(f"github.com/opencontainers/runc@v{version}",),
        outputs={"runc": "runc"},
        defines=(f"main.version={version}",),
        tags=("seccomp",),
        cgo=True,
    )
    release = _github("opencontainers/runc", version, f"runc.{ARCH}", "runc.sha256sum")
    return Recipe("runc", version, build, release)


def _cni() -> list[Recipe]:
    version = versions.of("cni-plugins")
    folders = {"bridge": "main", "host-local": "ipam", "portmap": "meta"}
    module = "github.com/containernetworking/plugins/plugins"
    build = GoBuild(
        "CNI plugins",
        "5-20 s",
        packages=tuple(f"{module}/{folders[name]}/{name}@v{version}" for name in CNI_PLUGINS),
        outputs={name: name for name in CNI_PLUGINS},
    )
    file = f"cni-plugins-linux-{ARCH}-v{version}.tgz"
    repository = "containernetworking/plugins"
    return [
        Recipe(name, version, build, _github(repository, version, file, f"{file}.sha256", name)) for name in CNI_PLUGINS
    ]


def _coredns() -> Recipe:
    version = versions.of("coredns")
    build = GoBuild(
        "CoreDNS",
        "2-3 min",
        packages=(f"github.com/coredns/coredns@v{version}",),
        outputs={"coredns": "coredns"},
    )
    file = f"coredns_{version}_linux_{ARCH}.tgz"
    release = _github("coredns/coredns", version, file, f"{file}.sha256", "coredns")
    return Recipe("coredns", version, build, release)


def _contour() -> Recipe:
    version = versions.of("contour")
    module = "github.com/projectcontour/contour"
    build = GoBuild(
        "Contour",
        "1-4 min",
        packages=(f"{module}/cmd/contour@v{version}",),
        outputs={"contour": "contour"},
        defines=(f"{module}/internal/build.Version=v{version}",),
    )
    return Recipe("contour", version, build)  # released as an image only


def _helm() -> Recipe:
    version = versions.of("helm")
    build = GoBuild(
        "Helm",
        "1-4 min",
        packages=(f"helm.sh/helm/v4/cmd/helm@v{version}",),
        outputs={"helm": "helm"},
        defines=(f"helm.sh/helm/v4/internal/version.version=v{version}",),
    )
    url = f"https://get.helm.sh/helm-v{version}-{OS}-{ARCH}.tar.gz"
    return Recipe("helm", version, build, Release(url, f"{url}.sha256sum", f"{OS}-{ARCH}/helm"))


def _kind() -> Recipe:
    version = versions.of("kind")
    build = GoBuild("kind", "20-60 s", packages=(f"sigs.k8s.io/kind@v{version}",), outputs={"kind": "kind"})
    file = f"kind-{OS}-{ARCH}"
    release = _github("kubernetes-sigs/kind", version, file, f"{file}.sha256sum")
    return Recipe("kind", version, build, release)


def _pause() -> Recipe:
    version = versions.of("pause")
    build = GoBuild(
        "pause",
        "2-10 s",
        directory="pause",
        outputs={"pause": "pause"},
        defines=(f"main.version={version}",),
    )
    return Recipe("pause", version, build)


def view_name() -> str:
    """Return the name of the folder that holds this set of versions, such as ``1.36.3-0f3a9c21d4``."""
    digests = "".join(recipe.digest() for _, recipe in sorted(all_recipes().items()))
    return f"{versions.of('kubernetes')}-{hashlib.sha256(digests.encode()).hexdigest()[:10]}"


def store(base: Path, recipe: Recipe) -> Path:
    """Return where a finished program of ``recipe`` lies below the binaries folder ``base``."""
    return base / "store" / recipe.key()
