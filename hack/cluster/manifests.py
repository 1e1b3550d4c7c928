"""Render what is applied to the cluster: our own templates, and files out of pinned Go modules."""

from __future__ import annotations

import hashlib
import json
import shutil
import string
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster import gobuild, paths
from hack.cluster.console import step
from hack.cluster.shell import run

TEMPLATES = paths.SOURCE / "platform"
_DOWNLOAD_SECONDS = 300.0


class _Template(string.Template):
    """``@{NAME}`` is replaced: ``$(NAME)`` belongs to Kubernetes, ``$1`` to Prometheus."""

    delimiter = "@"


def render(name: str, values: Mapping[str, str], identities: Mapping[str, str] | None = None) -> str:
    """Return ``platform/<name>`` with its ``@{NAME}`` replaced; KeyError for a name without a value.

    ``@{CONFIG_HASH}`` is a hash of the rest, so that pods restart when their configuration changes. In it,
    ``identities`` stand for the values of the same name: an image's tag may stay while its content changes.
    """
    text = (TEMPLATES / name).read_text()
    identity = _Template(text).substitute({**values, **(identities or {}), "CONFIG_HASH": ""})
    config_hash = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return _Template(text).substitute(values, CONFIG_HASH=config_hash)


def module_files(module: str, version: str, patterns: Sequence[str]) -> str:
    """Return the files of a Go module that match ``patterns`` as one YAML stream.

    ``version`` has no leading "v". The files are fetched once, by Go, which verifies the module's checksum, and
    kept in the cache. Raises FileNotFoundError when a pattern matches nothing.
    """
    folder = ensure(module, version)
    texts: list[str] = []
    for pattern in patterns:
        files = sorted(folder.glob(pattern))
        if not files:
            raise FileNotFoundError(f"{module}@v{version} has no {pattern}")
        texts += [file.read_text() for file in files]
    return join(texts)


def ensure(module: str, version: str) -> Path:
    """Return the folder of the module's files, which are fetched if they are not there. Raises GoMissingError."""
    folder = _folder(module, version)
    if not folder.exists():
        _fetch(f"{module}@v{version}", folder)
    return folder


def there(module: str, version: str) -> bool:
    """Tell whether :func:`ensure` has nothing to do."""
    return _folder(module, version).exists()


def _folder(module: str, version: str) -> Path:
    return paths.cache() / "manifests" / f"{module.replace('/', '+')}@v{version}"


def join(texts: Sequence[str]) -> str:
    """Return one YAML stream of several."""
    return "\n---\n".join(text.strip().removeprefix("---").removesuffix("---").strip() for text in texts) + "\n"


def _fetch(module: str, folder: Path) -> None:
    """Keep the YAML files of a module in ``folder``, which appears whole or not at all."""
    with step(f"Manifests of {module}", usually="10 s"):
        gobuild.require_go("every kind of cluster needs it, because its manifests come as Go modules")
        answer = run(["go", "mod", "download", "-json", module], timeout=_DOWNLOAD_SECONDS, env={"GOWORK": "off"})
        source = Path(json.loads(answer.stdout)["Dir"])
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            copy = Path(work) / "files"
            for subfolder in ("config/crd/standard", "examples/contour"):
                if (source / subfolder).is_dir():
                    for file in (source / subfolder).glob("*.yaml"):
                        target = copy / subfolder / file.name
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(file, target)
            copy.rename(folder)
