"""Choose the provider: what the environment asks for, else what the machine has."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from hack.cluster import binaries, paths
from hack.cluster.node import machine
from hack.cluster.providers import base, existing, kind, node

VARIABLE = "CLUSTER"
_MAKERS: dict[str, Callable[[], base.Provider]] = {
    "existing": existing.Existing,
    "kind": kind.Kind,
    "node": node.Node,
}


def choose(
    environment: Mapping[str, str],
    *,
    docker_works: Callable[[], bool],
    can_get_kind: Callable[[], bool],
    why_no_node: Callable[[], str | None],
) -> tuple[str, str]:
    """Return the provider's name and the reason for the choice, as a sentence.

    An existing cluster is never chosen by itself. Raises ProviderError when CLUSTER names none, or nothing fits.
    """
    if asked := environment.get(VARIABLE, "").strip():
        if asked not in base.NAMES:
            raise base.ProviderError(f"{VARIABLE}={asked}: there are only {', '.join(base.NAMES)}.")
        return asked, f"{VARIABLE}={asked} asks for it"
    no_kind = "no Docker daemon answers"
    if docker_works():
        if can_get_kind():
            return "kind", "a Docker daemon works here"
        no_kind = "Docker works, but kind can neither be downloaded nor, without Go, be built"
    if (no_node := why_no_node()) is None:
        return "node", f"{no_kind}, and this is Linux with root"
    raise base.ProviderError(
        f"No cluster can be brought up here. kind: {no_kind}. node: {no_node}. Start Docker, or run as root on Linux, "
        f"or point KUBECONFIG at a cluster and set {VARIABLE}=existing {existing.ALLOW}=<its context>."
    )


def chosen() -> tuple[base.Provider, str]:
    """Return the provider for this machine and environment, and why it is that one."""
    name, reason = choose(
        os.environ,
        docker_works=kind.docker_works,
        can_get_kind=lambda: binaries.obtainable("kind"),
        why_no_node=machine.why_not,
    )
    return make(name), reason


def make(name: str) -> base.Provider:
    """Return the provider with that name."""
    return _MAKERS[name]()


def remember(name: str) -> None:
    """Write down which provider the cluster of the state folder is from."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    _record().write_text(f"{name}\n")


def remembered() -> base.Provider | None:
    """Return the provider that :func:`remember` wrote down, None when there is none."""
    try:
        name = _record().read_text().strip()
    except OSError:
        return None
    return make(name) if name in _MAKERS else None


def forget() -> None:
    """Remove what :func:`remember` wrote."""
    _record().unlink(missing_ok=True)


def _record() -> Path:
    return paths.state().with_name(f"{paths.state().name}.provider")
