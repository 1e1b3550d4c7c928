"""A real API server for tests: ``pytest_plugins = ["tests.support.apiserver"]``, then ask for ``apiserver``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import controlplane


@pytest.fixture(scope="session")
def apiserver() -> Iterator[Path]:
    """Yield the kubeconfig of an administrator of a fresh API server, one for the whole test session.

    Only etcd and kube-apiserver run: no controllers, no pods. Tests share it, so each makes a namespace of its own.
    On a bare machine the programs are downloaded or built first, which takes minutes once.
    """
    with controlplane.running() as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="session")
def apiserver_with_controllers() -> Iterator[Path]:
    """Yield the same as ``apiserver``, of another one that runs the built-in controllers as well."""
    with controlplane.running(controller_manager=True) as kubeconfig:
        yield kubeconfig
