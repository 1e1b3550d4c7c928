"""Write and read kubeconfig files."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import pki


def write(path: Path, *, context: str, server: str, authority: pki.Authority, identity: str) -> Path:
    """Write a kubeconfig with everything embedded, readable by its owner only, and return ``path``.

    ``identity`` is the name under which ``authority`` issued the client certificate.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": context,
                "cluster": {"server": server, "certificate-authority-data": _base64(authority.ca)},
            }
        ],
        "users": [
            {
                "name": identity,
                "user": {
                    "client-certificate-data": _base64(authority.certificate(identity)),
                    "client-key-data": _base64(authority.key(identity)),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": identity}}],
        "current-context": context,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(yaml.safe_dump(config, sort_keys=False))
    temporary.chmod(0o600)
    temporary.rename(path)
    return path


def current_context(path: Path) -> str | None:
    """Return the name of the current context, or None when the file is missing, broken, or has none."""
    try:
        content: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return None
    name = content.get("current-context") if isinstance(content, dict) else None
    return name if isinstance(name, str) and name else None


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
