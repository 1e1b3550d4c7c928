"""Where things lie: the cache that survives, and the state that ``down`` removes."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).resolve().parent


def cache() -> Path:
    """Return the directory of all that is expensive to make: ``$SOPHIA_CACHE`` or the user's cache folder."""
    if chosen := os.environ.get("SOPHIA_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "sophia-operator"


def state() -> Path:
    """Return the directory of the running cluster (kubeconfig, keys, logs), ``$SOPHIA_STATE`` if set."""
    if chosen := os.environ.get("SOPHIA_STATE"):
        return Path(chosen).expanduser().absolute()
    return cache() / "state"


def binaries() -> Path:
    """Return the parent of all binaries; one folder below it holds those of one set of versions."""
    return cache() / "bin"


def images() -> Path:
    """Return the directory of image archives (docker-archive tars)."""
    return cache() / "images"


def kubeconfig() -> Path:
    """Return the kubeconfig of the cluster that ``up`` brings up."""
    return state() / "kubeconfig"
