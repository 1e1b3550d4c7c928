"""A real API server for tests: import the fixture into a conftest.py, then ask for ``apiserver``.

tests/conftest.py has the hook that provides the programs before the first test, so no test's time limit covers it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from hack.cluster import binaries, controlplane

_FIXTURES = {"apiserver", "apiserver_with_controllers"}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Provide the API server's programs when a test needs them: on a bare machine that takes minutes, and says so."""
    if session.config.option.collectonly:
        return
    if any(_FIXTURES.intersection(getattr(item, "fixturenames", ())) for item in session.items):
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            binaries.ensure(binaries.CONTROL_PLANE)


@pytest.fixture(scope="session")
def apiserver() -> Iterator[Path]:
    """Yield the kubeconfig of an administrator of a fresh API server, one for the whole test session.

    Only etcd and kube-apiserver run: no controllers, no pods. Tests share it, so each makes a namespace of its own.
    """
    with controlplane.running() as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="session")
def apiserver_with_controllers() -> Iterator[Path]:
    """Yield the same as ``apiserver``, of another one that runs the built-in controllers as well."""
    with controlplane.running(controller_manager=True) as kubeconfig:
        yield kubeconfig
